import { Box, Flex, Link, Text } from "@chakra-ui/react";
import { Link as RouterLink } from "react-router-dom";

import type { Accounts, Day } from "./api";
import { useAsked } from "./live";
import { needs } from "./needs";
import { count } from "./words";

/** The desk in a line, on Airflow's first page. */
export const Strip = () => {
  const book = useAsked<Accounts>("accounts", "book");
  const day = useAsked<Day>("day", "runs");
  const accounts = book.data?.accounts ?? [];
  const halted = accounts.filter((each) => each.halt).length;
  const error = book.error ?? day.error;
  return (
    <Box as="section" aria-label="Desk today" borderRadius="md" borderWidth={1} p={3}>
      <Flex columnGap={4} rowGap={1} wrap="wrap">
        <Link asChild fontWeight="bold" textDecoration="underline">
          <RouterLink to="/plugin/desk">Desk</RouterLink>
        </Link>
        {book.data && day.data ? (
          <>
            <Text>{count(needs(book.data, day.data).length, "thing needs", "things need")} a person</Text>
            <Text>{count(accounts.length, "account")}</Text>
            {book.data.halt ? <Text color="red.fg">all accounts are halted</Text> : undefined}
            {halted ? <Text color="red.fg">{count(halted, "account is", "accounts are")} halted</Text> : undefined}
            <Text>{count(day.data.runs.filter((run) => run.state === "running").length, "run goes", "runs go")} on</Text>
          </>
        ) : error ? undefined : (
          <Text color="fg.muted">Loading…</Text>
        )}
        {/* Beside what was known before, which is old then. */}
        {error ? (
          <Text color="red.fg" role="alert">
            {error}
          </Text>
        ) : undefined}
      </Flex>
    </Box>
  );
};

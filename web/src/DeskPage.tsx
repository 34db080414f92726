import { Badge, Box, Flex, Grid, Heading, Link, Text } from "@chakra-ui/react";
import { useEffect, useState } from "react";
import { Link as RouterLink } from "react-router-dom";

import { type Account, type Accounts, ask, type Day, type Me, type Run } from "./api";
import { useAsked, useConnected } from "./live";
import { Needs } from "./Needs";
import { needs } from "./needs";
import { Panel } from "./Panel";
import { type Column, Rows } from "./Rows";
import { Switch } from "./Switch";
import { count, money, signOf, time, took } from "./words";

const STATES: Record<string, string> = { failed: "red", queued: "gray", running: "blue", success: "green" };

const DagLink = ({ dag, run }: { dag: string; run?: string }) => (
  <Link asChild textDecoration="underline">
    <RouterLink
      to={`/dags/${encodeURIComponent(dag)}${run === undefined ? "" : `/runs/${encodeURIComponent(run)}`}`}
    >
      {dag}
    </RouterLink>
  </Link>
);

const runColumns = (now: string): Column<Run>[] => [
  { by: (run) => run.dag, name: "DAG", show: (run) => <DagLink dag={run.dag} run={run.run} /> },
  {
    by: (run) => run.state,
    name: "State",
    show: (run) => (
      <Badge colorPalette={STATES[run.state] ?? "gray"} variant="surface">
        {run.state}
      </Badge>
    ),
  },
  { by: (run) => run.began ?? "", name: "Began", show: (run) => time(run.began) },
  { name: "Took", right: true, show: (run) => took(run.began, run.ended, now) },
];

const NEXT: Column<Day["next"][number]>[] = [
  { by: (each) => each.dag, name: "DAG", show: (each) => <DagLink dag={each.dag} /> },
  { by: (each) => each.at, name: "At", show: (each) => time(each.at) },
];

const SOURCES: Column<Day["sources"][number]>[] = [
  { by: (each) => each.name, name: "Source", show: (each) => each.name },
  {
    by: (each) => each.session ?? "",
    name: "Freshest session",
    show: (each) => each.session ?? "known after the next new bars",
  },
  { by: (each) => each.stored, name: "Bars stored", show: (each) => time(each.stored) },
];

/** An account whose own halt is taken off stays halted with all others. */
const stateOf = (account: Account, all: boolean): string =>
  account.halt ? "halted" : all ? "halted with all" : "open";

const accountColumns = (me: Me | undefined, all: boolean, again: () => void): Column<Account>[] => [
  { by: (each) => each.account, name: "Account", show: (each) => each.account },
  {
    by: (each) => stateOf(each, all),
    name: "State",
    show: (each) => (
      <Flex align="center" gap={2}>
        <Badge colorPalette={stateOf(each, all) === "open" ? "green" : "red"} variant="surface">
          {stateOf(each, all)}
        </Badge>
        {me?.may_trade ? (
          <Switch account={each.account} halted={each.halt !== null} onDone={again} />
        ) : undefined}
      </Flex>
    ),
  },
  { by: (each) => each.execution, name: "Orders go", show: (each) => each.execution },
  { by: (each) => each.session ?? "", name: "Settled to", show: (each) => each.session ?? "–" },
  { by: (each) => Number(each.equity), name: "Equity", right: true, show: (each) => money(each.equity) },
  {
    by: (each) => Number(each.profit),
    name: "Profit of the session",
    right: true,
    show: (each) => (
      <Text as="span" color={["red.fg", "fg", "green.fg"][signOf(each.profit) + 1]}>
        {money(each.profit, "exceptZero")}
      </Text>
    ),
  },
  { by: (each) => each.next_open ?? "", name: "Next open", show: (each) => time(each.next_open) },
];

function useMe(): Me | undefined {
  const [me, setMe] = useState<Me>();
  useEffect(() => {
    // Who may not be told who they are may change nothing either.
    ask<Me>("me").then(setMe, () => undefined);
  }, []);
  return me;
}

/** Today: what needs a person, the accounts, what ran and what runs next, how fresh the bars are. */
export const DeskPage = () => {
  const me = useMe();
  const connected = useConnected();
  const book = useAsked<Accounts>("accounts", "book");
  const day = useAsked<Day>("day", "runs");
  const found = needs(book.data, day.data);
  const all = Boolean(book.data?.halt);
  const now = day.data?.now ?? "";
  const error = book.error ?? day.error;
  const known = book.data !== undefined && day.data !== undefined && error === undefined;
  return (
    <Box id="tradewind-desk" maxW="100rem" mx="auto" p={{ base: 2, md: 4 }} w="100%">
      <Flex align="center" gap={3} justify="space-between" mb={4} wrap="wrap">
        <Heading as="h1" size="xl">
          Desk
        </Heading>
        <Flex align="center" gap={3} wrap="wrap">
          <Text color="fg.muted" fontSize="sm" role="status">
            {connected ? "live" : "not live: asked again each minute"}
          </Text>
          {me?.may_trade && book.data ? (
            <Switch account={null} halted={book.data.halt !== null} onDone={book.again} />
          ) : undefined}
        </Flex>
      </Flex>
      <Grid gap={4} templateColumns="minmax(0, 1fr)">
        <Panel
          error={error && `This may not be all, or old: ${error}`}
          title={known ? `Needs a person: ${count(found.length, "thing")}` : "Needs a person"}
        >
          {known || found.length > 0 ? (
            <Needs found={found} />
          ) : error ? undefined : (
            <Text color="fg.muted">Loading…</Text>
          )}
        </Panel>
        <Panel error={book.error} title="Accounts">
          <Text color="fg.muted" fontSize="sm" mb={2}>
            Amounts are in the currency of the account's bars, at the close that it is settled to.
          </Text>
          <Rows
            columns={accountColumns(me, all, book.again)}
            keyOf={(each) => each.account}
            label="accounts"
            nothing={book.data ? "No account was opened yet." : "Loading…"}
            rows={book.data?.accounts ?? []}
            size={25}
            words={(each) => `${each.account} ${each.execution} ${stateOf(each, all)}`}
          />
        </Panel>
        <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", lg: "repeat(2, minmax(0, 1fr))" }}>
          <Panel error={day.error} title="Ran and runs">
            <Rows
              columns={runColumns(now)}
              keyOf={(run) => `${run.dag} ${run.run}`}
              label="runs"
              nothing={day.data ? "Nothing ran yet." : "Loading…"}
              rows={day.data?.runs ?? []}
              words={(run) => `${run.dag} ${run.state} ${run.kind}`}
            />
          </Panel>
          <Panel title="Runs next, by the clock">
            <Rows
              columns={NEXT}
              keyOf={(each) => each.dag}
              label="next runs"
              nothing={day.data ? "Nothing: what is left runs after new bars, or by hand." : "Loading…"}
              rows={day.data?.next ?? []}
              words={(each) => each.dag}
            />
          </Panel>
          <Panel title="Sources of bars">
            <Rows
              columns={SOURCES}
              keyOf={(each) => each.name}
              label="sources"
              nothing={day.data ? "No source has announced bars yet." : "Loading…"}
              rows={day.data?.sources ?? []}
              words={(each) => each.name}
            />
          </Panel>
        </Grid>
      </Grid>
    </Box>
  );
};

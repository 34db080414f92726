import { Box, Heading, Text } from "@chakra-ui/react";
import { type ReactNode, useId } from "react";

type Props = { title: string; error?: string | undefined; children: ReactNode };

/** A part of the page with its heading, and what went wrong when it was asked for. */
export const Panel = ({ title, error, children }: Props) => {
  const id = useId();
  return (
    <Box as="section" aria-labelledby={id} borderWidth={1} borderRadius="md" minW={0} p={4}>
      <Heading as="h2" id={id} mb={3} size="md">
        {title}
      </Heading>
      {error === undefined ? undefined : (
        <Text color="red.fg" mb={2} role="alert">
          {error}
        </Text>
      )}
      {children}
    </Box>
  );
};

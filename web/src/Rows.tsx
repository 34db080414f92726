import { Box, Button, Flex, Input, Table, Text } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";

export type Column<T> = {
  name: string;
  show: (row: T) => ReactNode;
  /** What rows are sorted by; a column without cannot be sorted by. */
  by?: (row: T) => string | number;
  right?: boolean;
};

type Props<T> = {
  /** What the table is of, for who hears the page. */
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  nothing: string;
  /** What a search looks at; no search without. */
  words?: (row: T) => string;
  size?: number;
};

/** A table that can be searched, sorted and paged: however many rows there are, few are drawn. */
export function Rows<T>({ label, rows, columns, keyOf, nothing, words, size = 10 }: Props<T>) {
  const [wanted, setWanted] = useState("");
  const [sort, setSort] = useState<{ name: string; down: boolean }>();
  const [asked, setPage] = useState(0);
  const found = words
    ? rows.filter((row) => words(row).toLowerCase().includes(wanted.trim().toLowerCase()))
    : rows;
  const by = columns.find((column) => column.name === sort?.name)?.by;
  const sorted = by === undefined ? found : [...found].sort((a, b) => compare(by(a), by(b), sort?.down));
  const pages = Math.max(1, Math.ceil(sorted.length / size));
  const page = Math.min(asked, pages - 1);
  const shown = sorted.slice(page * size, (page + 1) * size);
  const order = (name: string) =>
    setSort((before) => ({ down: before?.name === name && !before.down, name }));
  return (
    <>
      {words && rows.length > size ? (
        <Input
          aria-label={`Search ${label}`}
          mb={2}
          onChange={(event) => {
            setWanted(event.target.value);
            setPage(0);
          }}
          placeholder="Search"
          size="sm"
          type="search"
          value={wanted}
        />
      ) : undefined}
      {shown.length === 0 ? (
        <Text color="fg.muted">{rows.length === 0 ? nothing : "Nothing matches."}</Text>
      ) : (
        // Focusable, so that a keyboard can scroll it where it is wider than the screen.
        <Box aria-label={`Table of ${label}`} overflowX="auto" role="region" tabIndex={0}>
          <Table.Root aria-label={label} size="sm">
            <Table.Header>
              <Table.Row>
                {columns.map((column) => (
                  <Table.ColumnHeader
                    aria-sort={
                      column.by && sort?.name === column.name
                        ? sort.down
                          ? "descending"
                          : "ascending"
                        : undefined
                    }
                    fontSize="xs"
                    key={column.name}
                    textAlign={column.right ? "end" : "start"}
                    whiteSpace="nowrap"
                  >
                    {column.by ? (
                      <Button h="auto" minW={0} onClick={() => order(column.name)} px={0} size="xs" variant="plain">
                        {column.name}
                        {sort?.name === column.name ? (sort.down ? " ↓" : " ↑") : ""}
                      </Button>
                    ) : (
                      column.name
                    )}
                  </Table.ColumnHeader>
                ))}
              </Table.Row>
            </Table.Header>
            <Table.Body>
              {shown.map((row) => (
                <Table.Row key={keyOf(row)}>
                  {columns.map((column) => (
                    <Table.Cell
                      fontVariantNumeric={column.right ? "tabular-nums" : undefined}
                      key={column.name}
                      textAlign={column.right ? "end" : "start"}
                      whiteSpace="nowrap"
                    >
                      {column.show(row)}
                    </Table.Cell>
                  ))}
                </Table.Row>
              ))}
            </Table.Body>
          </Table.Root>
        </Box>
      )}
      {pages > 1 ? (
        <Flex align="center" gap={2} mt={2}>
          <Button disabled={page === 0} onClick={() => setPage(page - 1)} size="xs" variant="outline">
            Before
          </Button>
          <Text aria-live="polite" fontSize="sm">
            Page {page + 1} of {pages}
          </Text>
          <Button
            disabled={page === pages - 1}
            onClick={() => setPage(page + 1)}
            size="xs"
            variant="outline"
          >
            Next
          </Button>
        </Flex>
      ) : undefined}
    </>
  );
}

function compare(a: string | number, b: string | number, down = false): number {
  const order =
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -order : order;
}

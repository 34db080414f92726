import { ChakraProvider, defaultSystem } from "@chakra-ui/react";
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";

import { Rows } from "../src/Rows";

type Row = { name: string; worth: number };

const rows: Row[] = Array.from({ length: 1000 }, (_, place) => ({
  name: `strategy ${place}`,
  worth: (place * 7919) % 1000,
}));

const show = (given: readonly Row[]) =>
  render(
    <ChakraProvider value={defaultSystem}>
      <Rows
        columns={[
          { by: (row) => row.name, name: "Name", show: (row) => row.name },
          { by: (row) => row.worth, name: "Worth", right: true, show: (row) => row.worth },
        ]}
        keyOf={(row) => row.name}
        label="things"
        nothing="No thing."
        rows={given}
        words={(row) => row.name}
      />
    </ChakraProvider>,
  );

const cells = (): string[] => screen.getAllByRole("cell").map((cell) => cell.textContent ?? "");

afterEach(cleanup);

test("of a thousand rows ten are drawn, and the next ten are a button away", () => {
  show(rows);
  expect(cells()).toHaveLength(20);
  expect(screen.getByText("Page 1 of 100")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Next" }));
  expect(cells()[0]).toBe("strategy 10");
});

test("a search looks at all pages, and begins at the first", () => {
  show(rows);
  fireEvent.click(screen.getByRole("button", { name: "Next" }));
  fireEvent.change(screen.getByRole("searchbox", { name: "Search things" }), { target: { value: " Strategy 777 " } });
  expect(cells()).toEqual(["strategy 777", String((777 * 7919) % 1000)]);
  fireEvent.change(screen.getByRole("searchbox"), { target: { value: "no such" } });
  expect(screen.getByText("Nothing matches.")).toBeTruthy();
});

test("numbers are sorted as numbers, and a second time the other way", () => {
  show(rows);
  fireEvent.click(screen.getByRole("button", { name: "Worth" }));
  expect(cells().filter((_, place) => place % 2).map(Number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(screen.getByRole("columnheader", { name: /Worth/ }).getAttribute("aria-sort")).toBe("ascending");
  fireEvent.click(screen.getByRole("button", { name: /Worth/ }));
  expect(cells()[1]).toBe("999");
});

test("rows that went while a later page was open leave no empty page", () => {
  const { rerender } = show(rows);
  fireEvent.click(screen.getByRole("button", { name: "Next" }));
  rerender(<></>);
  show(rows.slice(0, 3));
  expect(cells()).toHaveLength(6);
  cleanup();
  show([]);
  expect(screen.getByText("No thing.")).toBeTruthy();
});

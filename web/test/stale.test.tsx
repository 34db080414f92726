import { ChakraProvider, defaultSystem } from "@chakra-ui/react";
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router-dom";
import { afterEach, expect, test, vi } from "vitest";

import type { Accounts } from "../src/api";
import { DeskPage } from "../src/DeskPage";
import { Strip } from "../src/Strip";

const halted: Accounts = {
  accounts: [],
  halt: { at: "2026-11-30T12:00:00Z", by: "alice", reason: "a bad print" },
};
const day = { broken: [], failed: [], next: [], now: "2026-11-30T12:00:00Z", runs: [], sources: [], waiting: [] };
const found: Record<string, { data?: unknown; error?: string }> = {};

vi.mock("../src/live", () => ({
  useAsked: (path: string) => ({ ...found[path], again: () => undefined }),
  useConnected: () => true,
}));

const show = (what: React.ReactNode) =>
  render(
    <ChakraProvider value={defaultSystem}>
      <MemoryRouter>{what}</MemoryRouter>
    </ChakraProvider>,
  );

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test("the strip says beside old figures that they cannot be had now", () => {
  Object.assign(found, { accounts: { data: { accounts: [], halt: null }, error: "away" }, day: { data: day } });
  show(<Strip />);
  expect(screen.getByText("0 accounts")).toBeTruthy();
  expect(screen.getByRole("alert").textContent).toBe("away");
});

test("a halt is among what needs a person though Airflow's database does not answer", () => {
  vi.stubGlobal("fetch", async () => new Response("{}", { status: 503 }));
  Object.assign(found, { accounts: { data: halted }, day: { error: "away" } });
  show(<DeskPage />);
  expect(screen.getByText(/^All accounts: a bad print/)).toBeTruthy();
  expect(screen.getByRole("heading", { level: 2, name: "Needs a person" })).toBeTruthy();
  expect(screen.getAllByRole("alert").map((each) => each.textContent)).toContain(
    "This may not be all, or old: away",
  );
});

test("an old page does not say that nothing needs a person", () => {
  vi.stubGlobal("fetch", async () => new Response("{}", { status: 503 }));
  Object.assign(found, { accounts: { data: { accounts: [], halt: null }, error: "away" }, day: { data: day } });
  show(<DeskPage />);
  expect(screen.queryByText("Nothing.")).toBeNull();
});

import { expect, test } from "vitest";

import type { Account, Accounts, Day } from "../src/api";
import { needs } from "../src/needs";

const account: Account = {
  account: "momentum", cash: "1.00", equity: "1.00", execution: "paper", halt: null, next_open: null,
  positions: "0.00", profit: "0.00", refused: [], session: "2026-01-02",
};
const book: Accounts = { accounts: [account], halt: null };
const day: Day = {
  broken: [], failed: [], next: [], now: "2026-01-02T10:00:00+00:00", runs: [], sources: [], waiting: [],
};
const at = "2026-01-02T09:00:00+00:00";

test("a quiet day needs nobody", () => {
  expect(needs(book, day)).toEqual([]);
  expect(needs(undefined, undefined)).toEqual([]);
});

test("halts come first, then decisions, orders, runs and files", () => {
  const found = needs(
    {
      accounts: [
        {
          ...account,
          halt: { at, by: "", reason: "this one" },
          refused: [
            {
              client_order_id: "1", reasons: ["too much", "too late"], session: "2026-01-05", shares: -5,
              state: "refused", symbol: "IBM",
            },
          ],
        },
      ],
      halt: { at, by: "alice", reason: "a drill" },
    },
    {
      ...day,
      broken: [{ file: "a.py", since: at, why: "SyntaxError" }],
      failed: [{ began: at, dag: "x/y", ended: at, kind: "manual", run: "manual__2026+01", state: "failed" }],
      waiting: [{ dag: "train_a", run: "r", since: at, subject: "Make version 3?", task: "approve" }],
    },
  );
  expect(found.map((each) => each.what)).toEqual([
    "halted", "halted", "decision", "order refused", "failed", "unreadable",
  ]);
  expect(found[0]?.text).toContain("a drill (by alice, ");
  expect(found[1]?.text).toContain("by nobody knows whom");
  expect(found[2]?.to).toBe("/dags/train_a/runs/r/tasks/approve/required_actions");
  expect(found[3]?.text).toBe("momentum: sell 5 IBM for the open of 2026-01-05: too much; too late");
  expect(found[4]?.to).toBe("/dags/x%2Fy/runs/manual__2026%2B01");
  expect(new Set(found.map((each) => each.key)).size).toBe(found.length);
});

import { expect, test } from "vitest";

import { money, signOf, took } from "../src/words";

test("money keeps each digit that a number would lose", () => {
  expect(money("90071992547409931.07").replace(/\D/g, "")).toBe("9007199254740993107");
  expect(money("-0.10")).toContain("0.10");
  expect(money(null)).toBe("–");
});

test("a sign is that of the amount, and nothing has none", () => {
  expect([signOf("-0.01"), signOf("0.00"), signOf("-0.00"), signOf(null), signOf("5")]).toEqual([-1, 0, 0, 0, 1]);
});

test("how long a run has taken goes on until it has ended", () => {
  const began = "2026-01-01T10:00:00+00:00";
  expect(took(began, null, "2026-01-01T10:01:05+00:00")).toBe("1 min 5 s");
  expect(took(began, "2026-01-01T13:00:00+01:00", "")).toBe("2 h 0 min");
  expect(took(began, "2026-01-01T09:59:59+00:00", "")).toBe("0.0 s"); // a clock that was set
  expect(took(null, null, began)).toBe("–");
});

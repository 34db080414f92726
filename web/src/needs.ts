import type { Accounts, Day, Halt } from "./api";
import { time } from "./words";

export type Need = { key: string; what: string; text: string; to?: string };

const said = (halt: Halt): string =>
  `${halt.reason} (by ${halt.by || "nobody knows whom"}, ${time(halt.at)})`;

const runOf = (dag: string, run: string): string =>
  `/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;

/** What needs a person, most urgent first. */
export function needs(book: Accounts | undefined, day: Day | undefined): Need[] {
  const accounts = book?.accounts ?? [];
  return [
    ...(book?.halt ? [{ key: "halt", what: "halted", text: `All accounts: ${said(book.halt)}` }] : []),
    ...accounts.flatMap((each) =>
      each.halt
        ? [{ key: `halt ${each.account}`, what: "halted", text: `${each.account}: ${said(each.halt)}` }]
        : [],
    ),
    ...(day?.waiting ?? []).map((each) => ({
      key: `waiting ${each.dag} ${each.run} ${each.task}`,
      what: "decision",
      text: `${each.subject || `${each.dag}: ${each.task}`} Asked ${time(each.since)}.`,
      to: `${runOf(each.dag, each.run)}/tasks/${encodeURIComponent(each.task)}/required_actions`,
    })),
    ...accounts.flatMap((each) =>
      each.refused.map((order) => ({
        key: `refused ${order.client_order_id}`,
        what: `order ${order.state}`,
        text:
          `${each.account}: ${order.shares > 0 ? "buy" : "sell"} ${Math.abs(order.shares)} ` +
          `${order.symbol} for the open of ${order.session}: ${order.reasons.join("; ")}`,
      })),
    ),
    ...(day?.failed ?? []).map((each) => ({
      key: `failed ${each.dag} ${each.run}`,
      what: "failed",
      text: `${each.dag}: the last run failed, ${time(each.ended)}.`,
      to: runOf(each.dag, each.run),
    })),
    ...(day?.broken ?? []).map((each) => ({
      key: `broken ${each.file}`,
      what: "unreadable",
      text: `${each.file}: ${each.why}`,
    })),
  ];
}

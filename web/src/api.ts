// What the routes of `tradewind.orchestration.runtime.page` answer. Amounts of money are text.

export type Halt = { reason: string; by: string; at: string };

export type RefusedOrder = {
  client_order_id: string;
  symbol: string;
  session: string;
  shares: number;
  state: string;
  reasons: string[];
};

export type Account = {
  account: string;
  execution: string;
  session: string | null;
  equity: string | null;
  cash: string | null;
  positions: string | null;
  profit: string | null;
  halt: Halt | null;
  next_open: string | null;
  refused: RefusedOrder[];
};

export type Accounts = { halt: Halt | null; accounts: Account[] };

export type Run = {
  dag: string;
  run: string;
  kind: string;
  state: string;
  began: string | null;
  ended: string | null;
};

export type Waiting = { dag: string; run: string; task: string; subject: string; since: string };

export type Day = {
  now: string;
  runs: Run[];
  next: { dag: string; at: string }[];
  waiting: Waiting[];
  failed: Run[];
  broken: { file: string; why: string; since: string | null }[];
  sources: { name: string; session: string | null; stored: string }[];
};

export type Me = { name: string; may_trade: boolean };

/** The page may be below a path of its own, which the host's page names. */
export const address = (path: string): string =>
  new URL(`tradewind/api/${path}`, document.baseURI).href;

/** Ask a route; an error says what the route said. */
export async function ask<T>(path: string, change?: object, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(address(path), {
    credentials: "same-origin",
    signal: signal ?? null,
    ...(change && {
      body: JSON.stringify(change),
      headers: { "Content-Type": "application/json" },
      method: "POST",
    }),
  });
  if (answer.ok) {
    return (await answer.json()) as T;
  }
  if (answer.status === 401) {
    throw new Error("You are logged out: load the page again to log in.");
  }
  throw new Error(await detail(answer));
}

async function detail(answer: Response): Promise<string> {
  const said: unknown = await answer.json().catch(() => null);
  const words = said !== null && typeof said === "object" && "detail" in said ? said.detail : null;
  return typeof words === "string" ? words : `Airflow answered ${answer.status} ${answer.statusText}`;
}

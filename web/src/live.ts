import { useEffect, useRef, useState } from "react";

import { address, ask } from "./api";

export type News = "book" | "runs";

type Listener = { onNews: (news: News) => void; onState: (connected: boolean) => void };

// One connection for all that the page shows, for browsers allow few to a server.
const listeners = new Set<Listener>();
let source: EventSource | undefined;
let again: ReturnType<typeof setTimeout> | undefined;

// A browser comes again by itself after a broken connection, and never after an answer that is an
// error: a proxy gives one while Airflow starts, and Airflow to who is logged out.
const COME_AGAIN = 10_000;

function connect(): void {
  const opened = new EventSource(address("live"));
  const told = (connected: boolean) => listeners.forEach((each) => each.onState(connected));
  source = opened;
  opened.onopen = () => told(true);
  opened.onerror = () => {
    told(false);
    if (opened.readyState === EventSource.CLOSED) {
      clearTimeout(again);
      again = setTimeout(connect, COME_AGAIN);
    }
  };
  for (const news of ["book", "runs"] as const) {
    opened.addEventListener(news, () => listeners.forEach((each) => each.onNews(news)));
  }
}

export function listen(listener: Listener): () => void {
  listeners.add(listener);
  if (source === undefined) {
    connect();
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearTimeout(again);
      source?.close();
      source = undefined;
    }
  };
}

/** Whether news come in as they are made. */
export function useConnected(): boolean {
  const [connected, setConnected] = useState(source?.readyState === 1);
  useEffect(() => listen({ onNews: () => undefined, onState: setConnected }), []);
  return connected;
}

export type Asked<T> = { data?: T; error?: string; again: () => void };

// In milliseconds. A run that ends makes news of each of its tasks: those are asked for together.
const PAUSE: Record<News, number> = { book: 0, runs: 2000 };
// Where news are lost, as with a proxy that holds them back, the page is late and not wrong.
const AT_MOST = 60_000;

/** What a route answers, asked again when there is news of its kind. */
export function useAsked<T>(path: string, news: News): Asked<T> {
  const [found, setFound] = useState<{ data?: T; error?: string }>({});
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    const ended = new AbortController();
    let asking = false;
    let wanted = false;
    let soon: ReturnType<typeof setTimeout> | undefined;
    const now = async () => {
      if (asking) {
        wanted = true;
        return;
      }
      asking = true;
      try {
        const data = await ask<T>(path, undefined, ended.signal);
        setFound({ data });
      } catch (error) {
        if (!ended.signal.aborted) {
          // What was known is still shown, beside the error.
          setFound((before) => ({ ...before, error: String((error as Error).message) }));
        }
      }
      asking = false;
      if (wanted && !ended.signal.aborted) {
        wanted = false;
        void now();
      }
    };
    const later = () => {
      if (document.visibilityState === "hidden") {
        wanted = true;
        return;
      }
      soon ??= setTimeout(() => {
        soon = undefined;
        void now();
      }, PAUSE[news]);
    };
    const seen = () => {
      if (document.visibilityState === "visible" && wanted && !asking) {
        wanted = false;
        later();
      }
    };
    again.current = () => void now();
    void now();
    const beat = setInterval(later, AT_MOST);
    const stop = listen({ onNews: (each) => each === news && later(), onState: () => undefined });
    document.addEventListener("visibilitychange", seen);
    return () => {
      ended.abort();
      clearInterval(beat);
      clearTimeout(soon);
      stop();
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, news]);
  return { ...found, again: () => again.current() };
}

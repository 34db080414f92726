import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { listen } from "../src/live";

class Source extends EventTarget {
  static readonly CLOSED = 2;
  static made: Source[] = [];
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;
  constructor() {
    super();
    Source.made.push(this);
  }
  close() {
    this.readyState = Source.CLOSED;
  }
}

beforeEach(() => {
  Source.made = [];
  vi.stubGlobal("EventSource", Source);
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a page hears again after an answer after which a browser does not come by itself", () => {
  const onNews = vi.fn();
  const states: boolean[] = [];
  const stop = listen({ onNews, onState: (connected) => states.push(connected) });
  const [refused] = Source.made;
  refused?.close(); // as browsers do where the answer is an error
  refused?.onerror?.();
  vi.advanceTimersByTime(60_000);
  expect(Source.made).toHaveLength(2);
  Source.made[1]?.onopen?.();
  Source.made[1]?.dispatchEvent(new Event("book"));
  expect(states).toEqual([false, true]);
  expect(onNews).toHaveBeenCalledWith("book");
  stop();
  vi.advanceTimersByTime(60_000);
  expect(Source.made).toHaveLength(2);
});

test("a page that has left does not come again", () => {
  const stop = listen({ onNews: () => undefined, onState: () => undefined });
  Source.made[0]?.close();
  Source.made[0]?.onerror?.();
  stop();
  vi.advanceTimersByTime(60_000);
  expect(Source.made).toHaveLength(1);
});

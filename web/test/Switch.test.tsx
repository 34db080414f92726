import { ChakraProvider, defaultSystem } from "@chakra-ui/react";
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";

import { Switch } from "../src/Switch";

const answers = (status: number, content: object) => {
  const sent = vi.fn(async (_: string, __: RequestInit) => new Response(JSON.stringify(content), { status }));
  vi.stubGlobal("fetch", sent);
  return sent;
};

const show = (onDone: () => void) =>
  render(
    <ChakraProvider value={defaultSystem}>
      <Switch account="momentum" halted={false} onDone={onDone} />
    </ChakraProvider>,
  );

const say = (reason: string) => {
  fireEvent.click(screen.getByRole("button", { name: "Halt momentum" }));
  fireEvent.change(screen.getByLabelText("Why must momentum stop?"), { target: { value: reason } });
  fireEvent.submit(screen.getByLabelText(/Why/).closest("form") as HTMLFormElement);
};

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test("a halt is sent with its reason, and by whom is left to the login", async () => {
  const sent = answers(200, {});
  const done = vi.fn();
  show(done);
  say("a drill");
  await waitFor(() => expect(done).toHaveBeenCalledOnce());
  const [address, request] = sent.mock.calls[0] ?? [];
  expect(address).toBe(new URL("tradewind/api/halt", document.baseURI).href);
  expect(request?.body).toBe('{"account":"momentum","reason":"a drill"}');
  expect(request?.headers).toEqual({ "Content-Type": "application/json" });
});

test("what the desk refuses is said where it was asked for", async () => {
  answers(400, { detail: "there is no account momentum" });
  const done = vi.fn();
  show(done);
  say("a drill");
  expect((await screen.findByRole("alert")).textContent).toBe("there is no account momentum");
  expect(done).not.toHaveBeenCalled();
});

test("a form that was opened to halt never resumes, though somebody else has halted meanwhile", async () => {
  const sent = answers(200, {});
  const at = (halted: boolean) => (
    <ChakraProvider value={defaultSystem}>
      <Switch account="momentum" halted={halted} onDone={() => undefined} />
    </ChakraProvider>
  );
  const { rerender } = render(at(false));
  fireEvent.click(screen.getByRole("button", { name: "Halt momentum" }));
  fireEvent.change(screen.getByLabelText(/Why/), { target: { value: "a bad print" } });
  rerender(at(true));
  expect(screen.getByRole("status").textContent).toBe("It is halted already.");
  fireEvent.submit(screen.getByLabelText(/Why/).closest("form") as HTMLFormElement);
  await screen.findByRole("button", { name: "Resume momentum" });
  expect(sent.mock.calls.map(([address]) => address)).toEqual([
    new URL("tradewind/api/halt", document.baseURI).href,
  ]);
});

import { Button, Flex, Input, Text } from "@chakra-ui/react";
import { type FormEvent, useId, useState } from "react";

import { ask } from "./api";

type Props = {
  /** Null for all accounts. */
  account: string | null;
  halted: boolean;
  onDone: () => void;
};

/** Halts an account, or lets it go on; a reason is asked for first. */
export const Switch = ({ account, halted, onDone }: Props) => {
  // What the form was opened for. Others may switch meanwhile: it must not send the opposite then.
  const [asked, setAsked] = useState<"halt" | "resume">();
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const id = useId();
  const now = halted ? "resume" : "halt";
  const resumes = (asked ?? now) === "resume";
  const verb = resumes ? "Resume" : "Halt";
  const whom = account ?? "all accounts";
  if (asked === undefined) {
    return (
      <Button
        aria-label={`${verb} ${whom}`}
        colorPalette={resumes ? "green" : "red"}
        onClick={() => setAsked(now)}
        size="xs"
        variant="outline"
      >
        {verb}
        {account === null ? " all" : ""}
      </Button>
    );
  }
  const send = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      await ask(asked, { account, reason });
      setAsked(undefined);
      setReason("");
      onDone();
    } catch (failed) {
      setError((failed as Error).message);
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(event) => void send(event)}>
      <Flex align="center" gap={2} wrap="wrap">
        <label htmlFor={id}>
          Why {resumes ? "may" : "must"} {whom} {resumes ? "go on" : "stop"}?
        </label>
        <Input
          autoFocus
          id={id}
          maxLength={1000}
          onChange={(event) => setReason(event.target.value)}
          required
          size="xs"
          value={reason}
          w="16rem"
        />
        <Button colorPalette={resumes ? "green" : "red"} disabled={busy} size="xs" type="submit">
          {verb}
        </Button>
        <Button onClick={() => setAsked(undefined)} size="xs" variant="ghost">
          Leave it
        </Button>
        {asked === now || busy ? undefined : (
          <Text role="status">{resumes ? "It goes on already." : "It is halted already."}</Text>
        )}
        {error ? (
          <Text color="red.fg" role="alert">
            {error}
          </Text>
        ) : undefined}
      </Flex>
    </form>
  );
};

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
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const id = useId();
  const verb = halted ? "Resume" : "Halt";
  const whom = account ?? "all accounts";
  if (!open) {
    return (
      <Button
        aria-label={`${verb} ${whom}`}
        colorPalette={halted ? "green" : "red"}
        onClick={() => setOpen(true)}
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
      await ask(halted ? "resume" : "halt", { account, reason });
      setOpen(false);
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
          Why {halted ? "may" : "must"} {whom} {halted ? "go on" : "stop"}?
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
        <Button colorPalette={halted ? "green" : "red"} disabled={busy} size="xs" type="submit">
          {verb}
        </Button>
        <Button onClick={() => setOpen(false)} size="xs" variant="ghost">
          Leave it
        </Button>
        {error ? (
          <Text color="red.fg" role="alert">
            {error}
          </Text>
        ) : undefined}
      </Flex>
    </form>
  );
};

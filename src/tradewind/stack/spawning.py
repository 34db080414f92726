"""How a service's process comes to be: executed, or forked by a process that is warm."""

import asyncio
import itertools
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tradewind.errors import StackError
from tradewind.stack.processes import is_same_process, started_at

__all__ = ["UNKNOWN", "ForkServer", "Process", "Program", "ending", "execute"]

UNKNOWN = 256  # no exit code: the fork server that would have been told it has died
ORPHAN_POLL = 0.5  # seconds between looks at a process whose fork server has died


@dataclass(frozen=True)
class Program:
    """What to run.

    Attributes
    ----------
    command : list of str
    environment : mapping
        The whole environment.
    log : Path
        Takes its output, at the end.
    cwd : Path
    stdin : str
        What it reads: for passwords, which a command line would show to everybody.
    imports : tuple of str
        Modules that a fork server imports before it forks it.
    """

    command: list[str]
    environment: Mapping[str, str]
    log: Path
    cwd: Path
    stdin: str = ""
    imports: tuple[str, ...] = ()


class Process(Protocol):
    """What the supervisor needs of a process, as `asyncio.subprocess.Process` has it."""

    @property
    def pid(self) -> int:
        """Process id, and the id of the session that it leads."""

    @property
    def returncode(self) -> int | None:
        """None while it lives."""

    async def wait(self) -> int:
        """Return the exit code when it has ended."""

    def send_signal(self, signal: int, /) -> None:
        """Send a signal."""


def ending(process: Process) -> str:
    """How a process ended, for people."""
    if process.returncode == UNKNOWN:
        return "ended (its exit code went with its fork server)"
    return f"ended with exit code {process.returncode}"


async def execute(program: Program) -> Process:
    """Start a program in a session of its own."""
    with program.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            env=dict(program.environment),
            stdin=asyncio.subprocess.PIPE if program.stdin else asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=program.cwd,
        )
    if process.stdin is not None:
        with suppress(ConnectionError):
            process.stdin.write(program.stdin.encode())
        process.stdin.close()
    return process


@dataclass
class _Forked:
    pid: int
    started: int | None
    returncode: int | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    given: int | None = None

    def end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
            self._over.set()
            if self.given is not None:
                os.close(self.given)
                self.given = None

    async def wait(self) -> int:
        await self._over.wait()
        assert self.returncode is not None  # noqa: S101 - set by end() alone
        return self.returncode

    def send_signal(self, signal: int, /) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal)


class ForkServer:
    """The supervisor's end of `tradewind.stack.forkserver`; itself a `Process`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {0: asyncio.Future()}
        self._children: dict[int, _Forked] = {}
        self._given: dict[int, int] = {}
        self._dead = False
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def execute(cls, program: Program) -> "ForkServer":
        """Start one; it answers when it has imported its modules."""
        with program.log.open("ab") as log:
            return cls(
                await asyncio.create_subprocess_exec(
                    *program.command,
                    env=dict(program.environment),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    cwd=program.cwd,
                )
            )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while the server lives."""
        return self._process.returncode

    async def wait(self) -> int:
        """Return the exit code when the server has ended."""
        return await self._process.wait()

    def send_signal(self, signal: int, /) -> None:
        """Send a signal to the server alone."""
        self._process.send_signal(signal)

    async def ping(self) -> None:
        """Return when it has imported its modules and answers.

        Raises
        ------
        StackError
            If the server has died.
        """
        await asyncio.shield(self._asked[0])
        await self._ask({})

    async def fork(self, program: Program) -> Process:
        """Start a Python program as a fork of the server, in a session of its own.

        Raises
        ------
        StackError
            If the server has died.
        """
        given = _memory_file(
            program.log.stem, {"environment": dict(program.environment), "stdin": program.stdin}
        )
        answer = await self._ask(
            {
                "command": program.command,
                # Not sent to the server, of which every program is a copy: only its own reads it.
                "given": f"/proc/{os.getpid()}/fd/{given}",
                "log": str(program.log),
                "cwd": str(program.cwd),
                "imports": program.imports,
            },
            given,
        )
        return self._children[answer["pid"]]

    async def _ask(self, request: dict[str, Any], given: int | None = None) -> dict[str, Any]:
        number = next(self._ids)
        if given is not None:
            self._given[number] = given
        if self._process.stdin is None or self._dead:
            self._close(number)
            raise StackError("its fork server has died")
        self._asked[number] = answer = asyncio.Future[dict[str, Any]]()
        try:
            self._process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                child = self._children.get(answer.result().get("pid", 0))
                if child is not None:  # begun, but nobody will know of it
                    child.send_signal(signal.SIGKILL)
            raise
        finally:
            del self._asked[number]

    def _close(self, number: int) -> None:
        """Close the memory file of a request that nothing was forked for."""
        if (given := self._given.pop(number, None)) is not None:
            os.close(given)

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - execute() opened it
        async for line in stdout:
            reply = json.loads(line)
            if "ended" in reply:
                # A child that an imported module left behind is none of ours.
                if (ended := self._children.pop(reply["ended"], None)) is not None:
                    ended.end(reply["code"])
                continue
            asked = self._asked.get(reply["id"])
            if "pid" in reply:
                # Noted here, not by who asked: the end may be told in the very next line.
                given = self._given.pop(reply["id"], None)
                child = _Forked(reply["pid"], started_at(reply["pid"]), given=given)
                self._children[child.pid] = child
                if asked is None or asked.done():  # who asked has been told to stop meanwhile
                    child.send_signal(signal.SIGKILL)
            if asked is not None and not asked.done():
                asked.set_result(reply)
        self._dead = True
        for number in list(self._given):
            self._close(number)
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(StackError("its fork server has died"))
                asked.exception()  # nobody may be waiting for it
        await asyncio.gather(*map(self._outlive, self._children.values()))

    async def _outlive(self, orphan: _Forked) -> None:
        while is_same_process(orphan.pid, orphan.started):  # noqa: ASYNC110 - nobody would set it
            await asyncio.sleep(ORPHAN_POLL)
        orphan.end(UNKNOWN)


def _memory_file(name: str, content: dict[str, Any]) -> int:
    """Return a file in memory, which has no name that another user could open."""
    descriptor = os.memfd_create(name)
    with os.fdopen(os.dup(descriptor), "wb") as sink:
        sink.write(json.dumps(content).encode())
    return descriptor

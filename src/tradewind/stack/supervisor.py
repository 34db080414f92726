"""Starts services in the order of their needs, watches them, and stops them in reverse."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path

from tradewind.errors import ServiceFailedError, StackError
from tradewind.stack.clock import Clock, SetBackError
from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.ports import require_free
from tradewind.stack.probes import ProbeFailure
from tradewind.stack.processes import session_members, started_at, stop_processes
from tradewind.stack.service import Service
from tradewind.stack.service_logs import bound_logs
from tradewind.stack.spawning import UNKNOWN, ForkServer, Process, Program, ending, execute
from tradewind.stack.state import (
    ServiceState,
    StackState,
    disown_state,
    vouch_for_state,
    write_state,
)

__all__ = ["Supervisor", "log_tail"]

START_POLL = 0.5  # seconds between probes of a service that is starting
WATCH_POLL = 5.0  # seconds between probes of a service that runs
LOGS_POLL = 60.0  # seconds between looks at how large the logs are
PING_TIMEOUT = 5.0  # seconds
# Seconds before each restart; after the last it has failed.
BACK_OFF: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
FORGIVEN_AFTER = 30.0  # seconds of life after which earlier restarts no longer count
# How a process ends that somebody else ended; of one whose fork server died, nobody knows.
_KILLED = (-signal.SIGKILL, -signal.SIGTERM, UNKNOWN)
LOG_LIMIT = 20 * 1024 * 1024  # bytes; a longer log is set aside at the next start


class _KilledError(ServiceFailedError):
    """A service was ended by somebody else, or with its fork server: that says nothing of it."""


class Supervisor:
    """Runs the services until told to stop, or until one fails at the start."""

    def __init__(
        self,
        services: list[Service],
        layout: Layout,
        *,
        start_timeout: float,
        on_change: Callable[[StackState], None] = lambda _: None,
    ) -> None:
        self._services = services
        self._layout = layout
        self._start_timeout = start_timeout
        self._on_change = on_change
        self._processes: dict[str, Process] = {}
        self._needs = _all_needs(services)
        self._ready = {service.name: asyncio.Event() for service in services}
        self._stopping = asyncio.Event()
        self._unwritten: StackError | None = None
        self.state = StackState(pid=os.getpid(), started=started_at(os.getpid()))
        self.state.services = {
            s.name: ServiceState(s.name, step=s.step, address=s.address) for s in services
        }

    def stop(self) -> None:
        """Ask for an orderly stop."""
        self._stopping.set()

    async def run(self) -> None:
        """Start everything, watch it until a stop is asked for, stop everything.

        Raises
        ------
        ServiceFailedError
            If a service did not start; what had started has been stopped again.
        """
        began = time.monotonic()
        self._publish()
        drivers: list[asyncio.Task[object]] = [
            asyncio.create_task(self._drive(service)) for service in self._services
        ]
        stop: asyncio.Task[object] = asyncio.create_task(self._stopping.wait())
        ready: asyncio.Task[object] = asyncio.create_task(self._all_ready())
        drivers.append(asyncio.create_task(self._keep_state_current()))
        try:
            while not stop.done():
                waited = {stop, ready, *drivers}
                pending = {task for task in waited if not task.done()}
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for driver in drivers:
                    if driver.done() and (error := driver.exception()):
                        self.state.error = str(error)
                        raise error
                if ready.done() and self.state.seconds is None:
                    self.state.seconds = time.monotonic() - began
                    self._publish()
        finally:
            for task in (*drivers, stop, ready):
                task.cancel()
            await asyncio.gather(*drivers, stop, ready, return_exceptions=True)
            await self._stop_all()

    async def _all_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()

    async def _drive(self, service: Service) -> None:
        """Start a service, watch it, and start it again when it ends.

        The back-off is written here, not with tenacity: it also waits for the services that this
        one needs, forgets restarts that lie behind, and shows each state while it waits.
        """
        for need in service.needs:
            await self._ready[need].wait()
        if service.theirs:
            await self._follow(service)
            return
        restarts = 0
        while True:
            started, began = time.time(), time.monotonic()
            before = self._restarts_of_needs(service)
            clock = Clock(followed=service.follows_the_clock)
            try:
                if service.step:
                    await self._finish_step(service)
                    return
                process = await self._start(service)
                await self._until_healthy(service, process, started, clock)
                self._ready[service.name].set()
                await self._watch(service, process, started, clock)
            except ServiceFailedError as error:
                reason = str(error).splitlines()[0]
                forgiven = isinstance(error, SetBackError)
                spoiled = forgiven or (
                    (
                        isinstance(error, _KilledError)
                        or self._missing(service)
                        or self._restarts_of_needs(service) != before
                    )
                    and restarts < len(BACK_OFF)
                )
                if not spoiled and not self._ready[service.name].is_set():
                    self._set(service, "failed", reason)  # a first start that fails is an error
                    raise
            self._set(service, "restarting", reason)
            await self._end(service)
            if forgiven or time.monotonic() - began > FORGIVEN_AFTER:
                restarts = 0
            if self._missing(service):  # then its end says nothing about itself
                while missing := self._missing(service):
                    self._set(service, "restarting", f"{reason}; waits for {', '.join(missing)}")
                    await asyncio.sleep(WATCH_POLL)
            elif restarts == len(BACK_OFF):
                self._set(service, "failed", f"{reason}; gave up after {restarts} restarts")
                return
            else:
                await asyncio.sleep(BACK_OFF[restarts])
                restarts += 1
            self.state.services[service.name].restarts += 1

    async def _follow(self, service: Service) -> None:
        """Ask a service that somebody else runs how it is, as long as the stack runs."""
        began, ready = time.monotonic(), self._ready[service.name]
        self._set(service, "starting")
        while True:
            reason = await _failure_of(service, time.time())
            if reason is None:
                self._set(service, "healthy")
                ready.set()
            elif ready.is_set():
                self._set(service, "unhealthy", reason)
            elif time.monotonic() - began > self._start_timeout:
                self._set(service, "failed", reason)
                raise ServiceFailedError(
                    f"{service.name} at {service.address} is not healthy after "
                    f"{self._start_timeout:g} s: {reason}. Ask who runs it; tradewind adopt says "
                    "what it needs"
                )
            else:
                self.state.services[service.name].detail = reason
            await asyncio.sleep(WATCH_POLL if ready.is_set() else START_POLL)

    def _missing(self, service: Service) -> list[str]:
        """Names of what a service needs, directly or not, and that is not well now."""
        return sorted(
            name
            for name in self._needs[service.name]
            if self.state.services[name].state not in ("healthy", "done")
        )

    def _restarts_of_needs(self, service: Service) -> int:
        return sum(self.state.services[n].restarts for n in self._needs[service.name])

    async def _finish_step(self, service: Service) -> None:
        done = service.done_file
        if done is None or not done.exists() or done.read_text() != service.done_value:
            self._set(service, "starting")
            if service.command:
                process = await self._start(service)
                try:
                    code = await asyncio.wait_for(process.wait(), self._start_timeout)
                except TimeoutError:
                    raise self._failure(service, f"not done in {self._start_timeout:g} s") from None
                if code:
                    raise self._failure(service, ending(process), process)
            else:
                await self._prepare(service)
            await self._end(service)  # nothing of it is left to be stopped later
            if done is not None:
                write_atomically(done, service.done_value)
        self._set(service, "done")
        self._ready[service.name].set()

    async def _prepare(self, service: Service) -> None:
        if service.prepare is None:
            return
        try:
            await asyncio.to_thread(service.prepare)
        except (StackError, OSError) as error:
            self._set(service, "failed", str(error).splitlines()[0])
            raise ServiceFailedError(f"{service.name}: {error}") from error

    async def _start(self, service: Service) -> Process:
        self._set(service, "starting")
        await self._prepare(service)
        try:
            for port in service.ports:
                require_free(port, service.name)
            process = await self._spawn(service)
        except (StackError, OSError) as error:  # no such program, no log, a taken port
            kind = _KilledError if self._lost_its_fork_server(service) else ServiceFailedError
            raise kind(f"{service.name} cannot be started: {error}") from error
        self._processes[service.name] = process
        record = self.state.services[service.name]
        record.pid = process.pid
        record.started = started_at(process.pid)
        self._publish()
        return process

    async def _spawn(self, service: Service) -> Process:
        path = self._layout.service_log(service.name)
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        program = Program(
            service.command,
            service.environment,
            path,
            cwd=self._layout.root if os.geteuid() else Path("/"),
            stdin=service.stdin,
            imports=service.imports,
        )
        if service.forks:
            return await ForkServer.execute(program)
        if service.forked_by is None:
            return await execute(program)
        server = self._processes.get(service.forked_by)
        if not isinstance(server, ForkServer):
            raise StackError(f"{service.forked_by} is not running")
        try:
            async with asyncio.timeout(self._start_timeout):
                return await server.fork(program)
        except TimeoutError:
            raise StackError(f"{service.forked_by} does not answer") from None

    async def _until_healthy(
        self, service: Service, process: Process, started: float, clock: Clock
    ) -> None:
        deadline = time.monotonic() + self._start_timeout
        while True:
            reason = await self._probe(service, process, started)
            if process.returncode is not None:
                raise self._failure(service, ending(process), process)
            if reason is None:
                self._set(service, "healthy")
                return
            if time.monotonic() > deadline:
                raise self._failure(
                    service, f"not healthy after {self._start_timeout:g} s ({reason})"
                )
            clock.look()
            self.state.services[service.name].detail = reason
            await _ended_within(process, START_POLL)

    async def _watch(
        self, service: Service, process: Process, started: float, clock: Clock
    ) -> None:
        while not await _ended_within(process, WATCH_POLL):
            clock.look()
            reason = await self._probe(service, process, started)
            self._set(service, "healthy" if reason is None else "unhealthy", reason or "")
        raise self._failure(service, ending(process))

    async def _probe(self, service: Service, process: Process, started: float) -> str | None:
        if not isinstance(process, ForkServer):
            return await _failure_of(service, started)
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await process.ping()
        except Exception as error:  # noqa: BLE001 - an answer nobody foresaw is no health either
            return f"{type(error).__name__}: {error}"
        return None

    async def _end(self, service: Service) -> None:
        process = self._processes.get(service.name)
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(service.stop_signal)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), service.grace)
        # Children of a process that died by itself, or would not stop, live on in its session.
        members = session_members([process.pid])[process.pid]
        if members:
            await asyncio.to_thread(stop_processes, members, grace=3.0)
        if process.returncode is None:  # a fork server that hangs tells of no end
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 3.0)
        self._processes.pop(service.name, None)  # last: an end cut short is tried again
        self.state.services[service.name].pid = None

    async def _stop_all(self) -> None:
        remaining = {s.name: s for s in self._services if s.name in self._processes}
        while remaining:
            # A service may stop when nothing that runs needs it any more.
            needed = set().union(*(self._needs[name] for name in remaining))
            batch = [s for name, s in remaining.items() if name not in needed]
            await asyncio.gather(*(self._end(service) for service in batch))
            for service in batch:
                if self.state.services[service.name].state != "failed":
                    self._set(service, "stopped")
                del remaining[service.name]
        for record in self.state.services.values():
            if record.state not in ("failed", "done"):
                record.state = "stopped"
        self._publish()

    def _lost_its_fork_server(self, service: Service) -> bool:
        if service.forked_by is None:
            return False
        server = self._processes.get(service.forked_by)
        return server is None or server.returncode is not None

    def _failure(
        self, service: Service, reason: str, process: Process | None = None
    ) -> ServiceFailedError:
        path = self._layout.service_log(service.name)
        killed = process is not None and process.returncode in _KILLED
        kind = _KilledError if killed else ServiceFailedError
        return kind(f"{service.name} {reason}. Last lines of {path}:\n{log_tail(path)}")

    def _set(self, service: Service, state: str, detail: str = "") -> None:
        record = self.state.services[service.name]
        if (record.state, record.detail) != (state, detail):
            record.state, record.detail = state, detail
            self._publish()

    def _publish(self) -> None:
        try:
            write_state(self._layout, self.state)
            self._unwritten = None
        except StackError as error:  # a full disk is no reason to stop what still runs
            disown_state(self._layout)
            self._unwritten = error
        with suppress(OSError):  # a log on the same disk
            self._on_change(self.state)

    async def _keep_state_current(self) -> None:
        looked = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_POLL)
            if time.monotonic() - looked > LOGS_POLL:
                looked = time.monotonic()
                bound_logs(self._layout)
            if self._unwritten is None:
                vouch_for_state(self._layout)
                continue
            if self.state.seconds is None:  # nobody would learn that the start succeeded
                raise self._unwritten
            self._publish()


async def _failure_of(service: Service, started: float) -> str | None:
    """Return why a service is not healthy, as its probe says; None if it is."""
    try:
        if service.probe is not None:
            await asyncio.to_thread(service.probe, started)
    except ProbeFailure as failure:
        return str(failure)
    except Exception as error:  # noqa: BLE001 - an answer no probe foresaw is no health either
        return f"{type(error).__name__}: {error}"
    return None


async def _ended_within(process: Process, seconds: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return False
    return True


def log_tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log was written)"


def _all_needs(services: Sequence[Service]) -> dict[str, set[str]]:
    """Return by service what it needs, directly or not."""
    needs = {service.name: service.needs for service in services}
    found: dict[str, set[str]] = {}
    for name in TopologicalSorter(needs).static_order():  # what is needed comes before
        found[name] = set(needs[name]).union(*(found[need] for need in needs[name]))
    return found

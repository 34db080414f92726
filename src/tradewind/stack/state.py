"""What is known of the running stack: written by the supervisor, read by everybody else.

Nothing here asks for the time of day: it moves whenever somebody sets the machine's clock.
"""

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from tradewind.stack.clock import booted
from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.processes import boot_id, is_same_process, started_at

__all__ = [
    "ServiceState",
    "StackState",
    "disown_state",
    "is_current",
    "read_state",
    "vouch_for_state",
    "write_state",
]

STALE_AFTER = 30.0  # seconds; the supervisor vouches for the file every five
_ROUNDED = 2.0  # seconds, by which a process's start in a file of version 0.1 may be off


@dataclass
class ServiceState:
    """One service.

    `state` is one of waiting, starting, healthy, unhealthy, restarting, failed, stopped, or, for
    a step that is done once, done. `started` is the clock tick since boot at which its process
    began, as `started_at` tells it.
    """

    name: str
    step: bool
    state: str = "waiting"
    detail: str = ""
    pid: int | None = None
    started: int | None = None
    restarts: int = 0
    address: str = ""


@dataclass
class StackState:
    """The supervisor and its services, in the order of their start."""

    pid: int
    started: int | None
    boot: str = field(default_factory=boot_id)
    error: str = ""
    seconds: float | None = None  # from the start to all healthy
    services: dict[str, ServiceState] = field(default_factory=dict)

    def supervised(self) -> bool:
        """Whether the supervisor that wrote this is alive."""
        return self.boot == boot_id() and is_same_process(self.pid, self.started)

    def sessions(self) -> list[int]:
        """Process sessions that belong to the services, alive or not."""
        if self.boot != boot_id():
            return []
        return [service.pid for service in self.services.values() if service.pid]

    def gave_up(self) -> bool:
        """Whether a service has failed and will not be started again."""
        return any(s.state == "failed" for s in self.services.values())

    def all_healthy(self) -> bool:
        """Whether every service is healthy and every step done."""
        return all(s.state in ("healthy", "done") for s in self.services.values())


def read_state(layout: Layout) -> StackState | None:
    """Return the last state written, or None if the stack never started."""
    try:
        content = json.loads(layout.state_file.read_text())
    except FileNotFoundError:
        return None
    if "created" in content:
        _know_by_ticks(layout, content)
    content["services"] = {k: ServiceState(**v) for k, v in content["services"].items()}
    return StackState(**content)


def _know_by_ticks(layout: Layout, content: dict[str, Any]) -> None:
    """Tell the processes of a file of version 0.1 by their ticks, not by the time of day.

    While the supervisor lives, its lock says so, and its file lists no process that has ended. It
    is gone where the lock is free; then the time of day is all that tells leftovers from strangers.
    """
    supervised = content["boot"] == boot_id() and _is_locked(layout)
    del content["created"]
    content["started"] = started_at(content["pid"]) if supervised else None
    for record in content["services"].values():
        created = record.pop("created")
        ticks = started_at(record["pid"]) if record["pid"] else None
        if ticks is not None and not supervised and abs(_epoch(ticks) - created) >= _ROUNDED:
            ticks = None
        record["started"] = ticks


def _epoch(ticks: int) -> float:
    """Return a moment of this boot in seconds since the epoch, by the clock as it is set now."""
    return booted() + ticks / os.sysconf("SC_CLK_TCK")


def _is_locked(layout: Layout) -> bool:
    try:
        with layout.lock_file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def write_state(layout: Layout, state: StackState) -> None:
    """Replace the state file."""
    write_atomically(layout.state_file, json.dumps(asdict(state)))
    vouch_for_state(layout)


def vouch_for_state(layout: Layout) -> None:
    """Say that what the state file tells is still so."""
    with suppress(OSError):
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        os.utime(layout.state_file, ns=(now, now))


def disown_state(layout: Layout) -> None:
    """Say that it is so no longer, where the file itself cannot be replaced.

    A full disk still takes a new time; a read-only one does not, and the time grows old there.
    """
    with suppress(OSError):
        os.utime(layout.state_file, ns=(0, 0))


def is_current(layout: Layout) -> bool:
    """Whether the supervisor has vouched for the state file lately."""
    vouched = layout.state_file.stat().st_mtime_ns / 1e9  # seconds since boot; 0: disowned
    return vouched > 0 and time.clock_gettime(time.CLOCK_BOOTTIME) - vouched < STALE_AFTER

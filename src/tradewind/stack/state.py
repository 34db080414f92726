"""What is known of the running stack: written by the supervisor, read by everybody else."""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.processes import boot_id, is_same_process

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


@dataclass
class ServiceState:
    """One service.

    `state` is one of waiting, starting, healthy, unhealthy, restarting, failed, stopped, or, for
    a step that is done once, done.
    """

    name: str
    step: bool
    state: str = "waiting"
    detail: str = ""
    pid: int | None = None
    created: float = 0.0
    restarts: int = 0
    address: str = ""


@dataclass
class StackState:
    """The supervisor and its services, in the order of their start."""

    pid: int
    created: float
    boot: str = field(default_factory=boot_id)
    error: str = ""
    seconds: float | None = None  # from the start to all healthy
    services: dict[str, ServiceState] = field(default_factory=dict)

    def supervised(self) -> bool:
        """Whether the supervisor that wrote this is alive."""
        return self.boot == boot_id() and is_same_process(self.pid, self.created)

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
    content["services"] = {k: ServiceState(**v) for k, v in content["services"].items()}
    return StackState(**content)


def write_state(layout: Layout, state: StackState) -> None:
    """Replace the state file."""
    write_atomically(layout.state_file, json.dumps(asdict(state)))


def vouch_for_state(layout: Layout) -> None:
    """Say that what the state file tells is still so."""
    with suppress(OSError):
        os.utime(layout.state_file)


def disown_state(layout: Layout) -> None:
    """Say that it is so no longer, where the file itself cannot be replaced.

    A full disk still takes a new time; a read-only one does not, and the time grows old there.
    """
    with suppress(OSError):
        os.utime(layout.state_file, (0, 0))


def is_current(layout: Layout) -> bool:
    """Whether the supervisor has vouched for the state file lately."""
    return time.time() - layout.state_file.stat().st_mtime < STALE_AFTER

"""What is known of the running stack: written by the supervisor, read by everybody else."""

import json
from dataclasses import asdict, dataclass, field

from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.processes import boot_id, is_same_process

__all__ = ["ServiceState", "StackState", "read_state", "write_state"]


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

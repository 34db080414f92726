"""What the command line shows: progress, tables, logins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from tradewind.stack.state import StackState

__all__ = ["credentials", "starting", "status"]

COLOURS = {
    "healthy": "green", "done": "green", "starting": "yellow", "waiting": "dim",
    "restarting": "yellow", "unhealthy": "red", "failed": "red", "orphaned": "red",
    "stopped": "dim",
}  # fmt: skip
console = Console()


@contextmanager
def starting() -> Iterator[Callable[[StackState], None]]:
    """Show services as they start: a line for each change, so that it reads well in a log, too."""
    seen: dict[str, str] = {}

    def show(state: StackState) -> None:
        for name, record in state.services.items():
            if seen.get(name, "waiting") != record.state:
                seen[name] = record.state
                ready = sum(s.state in ("healthy", "done") for s in state.services.values())
                detail = f"  {record.detail}" if record.detail else ""
                console.print(
                    f"[dim]{ready:2}/{len(state.services)}[/] {name:<24} "
                    f"[{COLOURS[record.state]}]{record.state}[/]",
                    end="",
                )
                console.print(detail, markup=False, highlight=False)

    yield show


def status(found: dict[str, Any]) -> None:
    """Print a table of the services."""
    if not found["services"]:
        console.print("The stack has never run here. Start it: tradewind up --detach")
        return
    table = Table("service", "state", "pid", "memory", "restarts", "address", "detail")
    for row in found["services"]:
        memory = f"{row['memory'] / 2**20:.0f} MB" if row["memory"] else ""
        table.add_row(
            row["service"], f"[{COLOURS[row['state']]}]{row['state']}[/]", str(row["pid"] or ""),
            memory, str(row["restarts"] or ""), row["address"], row["detail"],
        )  # fmt: skip
    total = sum(row["memory"] or 0 for row in found["services"])
    table.caption = f"memory together {total / 2**20:.0f} MB (proportional set size)"
    console.print(table)


def credentials(found: dict[str, dict[str, str]]) -> None:
    """Print a table of logins."""
    table = Table("page", "address", "user", "password")
    for page, login in found.items():
        table.add_row(page, login["address"], login["user"], login["password"])
    console.print(table)

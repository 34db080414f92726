"""Services, logins and checks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tradewind.display import terminal
from tradewind.display.tables import Grid, Number

if TYPE_CHECKING:
    from tradewind.stack.adoption import Adoption
    from tradewind.stack.checks import Check

__all__ = [
    "COLOURS",
    "adoption",
    "checks",
    "credentials",
    "status",
]

COLOURS = {
    "healthy": "green", "done": "green", "starting": "yellow", "waiting": "dim",
    "restarting": "yellow", "unhealthy": "red", "failed": "red", "orphaned": "red",
    "stopped": "dim", "unknown": "red",
}  # fmt: skip


_FOUND = {
    "ready": "green", "done": "green", "note": "cyan", "to do": "yellow", "in the way": "red",
}  # fmt: skip


def status(found: dict[str, Any]) -> None:
    """Print a table of the services."""
    if not found["services"]:
        terminal.console.print("The stack has never run here. Start it: tradewind up --detach")
        return
    total = sum(row["memory"] or 0 for row in found["services"])
    table = Grid(
        "service", "state", Number("pid"), Number("memory"), "address",
        caption=f"memory together {total / 2**20:.0f} MB (proportional set size)",
    )  # fmt: skip
    for row in found["services"]:
        memory = f"{row['memory'] / 2**20:.0f} MB" if row["memory"] else ""
        table.add(
            row["service"], f"[{COLOURS[row['state']]}]{row['state']}[/]", str(row["pid"] or ""),
            memory, row["address"],
        )  # fmt: skip
    table.print(terminal.console)
    for row in found["services"]:
        if row["restarts"]:
            terminal.console.print(f"{row['service']}: started again {row['restarts']} times")
        if row["detail"]:
            terminal.console.print(
                f"{row['service']}: {row['detail']}", markup=False, soft_wrap=True
            )


def credentials(found: dict[str, dict[str, str]]) -> None:
    """Print a table of logins."""
    table = Grid("page", "address", "user", "password")
    for page, login in found.items():
        table.add(page, login["address"], login["user"], login["password"])
    table.print(terminal.console)


def adoption(found: "Adoption") -> None:
    """Print what was found at each service of the team's, and the commands that are to be run."""
    from tradewind.stack.adoption import in_words

    for state, line in in_words(found):
        terminal.in_one_piece(line, style=_FOUND.get(state or ""))


def checks(found: "Sequence[Check]") -> None:
    """Print each check, and under what is wrong how to mend it."""
    for check in found:
        if check.ok:
            terminal.console.print(f"[green]ok[/]    {check.name}")
            if check.note:
                terminal.in_one_piece(f"      {check.note}")
        else:
            terminal.console.print(f"[red]wrong[/] {check.name}")
            for line in (*check.problem.splitlines(), f"mend: {check.mend}"):
                terminal.in_one_piece(f"      {line}")
    wrong = sum(not check.ok for check in found)
    terminal.console.print(
        f"{wrong} of {len(found)} checks found something wrong" if wrong else "all well"
    )

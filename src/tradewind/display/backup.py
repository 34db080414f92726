"""Backups and restores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.tables import Grid, Number, Words

if TYPE_CHECKING:
    from tradewind.stack.backup.summary import Listed, Summary

__all__ = ["backup_made", "backups", "restored", "upgraded"]


def backup_made(found: "Summary") -> None:
    """Print where a backup is and what is in it."""
    _say(f"backup [bold]{found.backup.name}[/] is in {escape(found.place)}: {_what(found)}")
    if found.removed:
        _say(f"removed: {', '.join(found.removed)}")


def backups(found: "Sequence[Listed]") -> None:
    """Print a table of backups."""
    table = Grid("backup", "made, UTC", "version", Number("size"), Words("encrypted to"))
    for each in found:
        table.add(
            each.name, f"{each.made:%Y-%m-%d %H:%M:%S}", each.version, _size(each.size),
            # As much of a key as tells it from others; whole ones are in --json.
            ", ".join(f"{key[:12]}..." for key in each.encrypted_to) or "nobody: in the clear",
        )  # fmt: skip
    terminal.table_or(table, "There is no backup here: tradewind backup DIR")


def restored(found: "Summary") -> None:
    """Print what a restore brought back."""
    _say(f"restored {found.backup.name}, {_what(found)}; all of it is as it was")
    if found.set_aside:
        _say(f"what was here before is in {escape(found.set_aside)}")
    _say("start it: tradewind up --detach")


def upgraded(found: "Summary") -> None:
    """Print that an upgrade succeeded, and where the way back is."""
    _say(f"upgraded, and healthy. As it was before: {found.backup.name} in {escape(found.place)}")


def _what(found: "Summary") -> str:
    rows, files = sum(found.rows.values()), sum(found.files.values())
    return (
        f"{_size(found.backup.size)}, {rows:,} rows, {files:,} files, "
        f"{found.versions:,} registered versions"
    )


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MB"


def _say(line: str) -> None:
    terminal.console.print(line, highlight=False, soft_wrap=True)

"""What is old, and what takes disk space."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tradewind.display import terminal
from tradewind.display.tables import Grid, Number

if TYPE_CHECKING:
    from tradewind.desk.disk import DiskUsage
    from tradewind.desk.housekeeping import Removed

__all__ = ["disk", "disk_in_short", "removed"]


def removed(found: "Mapping[str, Removed]", *, dry_run: bool) -> None:
    """Print a table of what was removed, or would be."""
    table = Grid("part", "would go" if dry_run else "gone", Number("number"), Number("of files"))
    for part, each in found.items():
        size = _size(each.bytes)
        for what, number in each.removed.items():
            table.add(part, what, f"{number:,}", size)
            part = size = ""  # noqa: PLW2901 - said once
    table.print(terminal.console)


def disk(found: "DiskUsage") -> None:
    """Print a table of what takes disk space, with what it grows by."""
    if found.parts:
        when = f"{found.recorded:%Y-%m-%d %H:%M} UTC" if found.recorded else ""
        table = Grid("part", Number("size"), Number("a day"), caption=f"measured {when}")
        for part in found.parts:
            table.add(
                part.name,
                "unknown" if part.bytes is None else _size(part.bytes),
                "" if part.growth is None else _change(part.growth),
            )
        table.print(terminal.console)
    terminal.console.print(_in_a_line(found))


def disk_in_short(found: "DiskUsage") -> None:
    """Print in a line or two what is free, and what takes the rest."""
    terminal.console.print(_in_a_line(found))
    named = [f"{part.name} {_size(part.bytes)}" for part in found.parts if part.bytes is not None]
    if named:
        terminal.console.print(f"      {', '.join(named)}")


def _in_a_line(found: "DiskUsage") -> str:
    """Return in a line what is free, and for how long."""
    free = f"disk: {_size(found.free)} of {_size(found.total)} free"
    if found.recorded is None:
        return f"{free}; what takes it is measured each night, and by tradewind housekeeping"
    taken = sum(part.bytes or 0 for part in found.parts)
    ours = f"{free}, ours {_size(taken)}"
    if found.growth is None:
        return f"{ours}; how fast that grows is known after two days"
    if found.days_left is None:
        return f"{ours}, which does not grow"
    return f"{ours}; {_size(found.growth)} a day fill it in {found.days_left:,.0f} days"


def _change(size: float) -> str:
    return f"{'-' if size < 0 else '+'}{_size(abs(size))}"


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"

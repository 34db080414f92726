"""Sources of bars, and what is stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.tables import Grid, Number, Words

if TYPE_CHECKING:
    from tradewind.desk.data import Action
    from tradewind.market.sources.source import SourceSpec
    from tradewind.market.store.bar_store import SnapshotInfo, Stored
    from tradewind.market.validation.findings import Finding

__all__ = [
    "actions",
    "findings",
    "snapshots",
    "sources",
    "stored",
]


def sources(found: "Sequence[SourceSpec]") -> None:
    """Print a table of sources."""
    table = Grid("source", "kind", "calendar", "schedule", Words("description"))
    for spec in found:
        table.add(
            spec.name, escape(spec.kind), escape(spec.calendar), spec.schedule or "by hand",
            escape(spec.description),
        )  # fmt: skip
    table.print(terminal.console)


def actions(found: "Sequence[Action]") -> None:
    """Print a table of corporate actions."""
    table = Grid("symbol", "ex-date", "kind", Number("value"), "announced")
    for each in found:
        value = escape(each.other or "") if each.value is None else f"{each.value:.10g}"
        table.add(
            escape(each.symbol), str(each.ex_date), escape(each.kind), value,
            str(each.announced or "not said"),
        )  # fmt: skip
    terminal.table_or(table, "The source tells no corporate action of these symbols")


def findings(found: "Sequence[Finding]") -> None:
    """Print what validation found, errors first."""
    colours = {"error": "red", "warning": "yellow"}
    for each in found:
        terminal.console.print(
            f"[{colours[each.severity]}]{each.severity:<7}[/] {escape(str(each))}", soft_wrap=True
        )
    counts = {"error": 0, "warning": 0}
    for each in found:
        counts[each.severity] += each.count
    terminal.console.print(f"{counts['error']} errors, {counts['warning']} warnings")


def stored(found: "Sequence[Stored]") -> None:
    """Print a table of what is stored."""
    table = Grid(
        "source", Number("symbols"), Words("sessions"), Number("bars"), Number("revised"),
        "stored last, UTC",
    )  # fmt: skip
    for each in found:
        table.add(
            each.source, f"{len(each.symbols):,}", f"{each.first} to {each.last}",
            f"{each.bars:,}", f"{each.revised:,}", f"{each.stored:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    terminal.table_or(table, "Nothing is stored yet: tradewind data ingest SOURCE")


def snapshots(found: "Sequence[SnapshotInfo]") -> None:
    """Print a table of snapshots."""
    if not found:
        terminal.console.print(
            "There is no snapshot yet: a training or a backtest takes one. What is stored says "
            "`tradewind data stored`"
        )
        return
    table = Grid(
        "snapshot", "source", Words("symbols"), Words("sessions"), Number("bars"), "as of", "taken"
    )
    for each in found:
        table.add(
            each.id[:12], each.source, escape(_some(each.symbols)),
            f"{each.start or 'the first'} to {each.end or 'the last'}", f"{each.rows:,}",
            f"{each.as_of:%Y-%m-%d %H:%M}" if each.as_of else "taken",
            f"{each.created:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    table.print(terminal.console)


def _some(names: "Sequence[str]", shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more

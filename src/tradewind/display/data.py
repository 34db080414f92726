"""Sources of bars, and what is stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.tables import Grid, Number, Words

if TYPE_CHECKING:
    from tradewind.desk.data import Action
    from tradewind.desk.stored_bars import Difference, Shown
    from tradewind.market.sources.source import SourceSpec
    from tradewind.market.store.bar_store import SnapshotInfo, Stored
    from tradewind.market.validation.findings import Finding

__all__ = [
    "actions",
    "differences",
    "findings",
    "shown",
    "snapshots",
    "sources",
    "stored",
]

_SHOWN: Final = 20  # rows of a table; --json has all


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


def shown(found: "Shown") -> None:
    """Print what is stored of a symbol."""
    say = terminal.console.print
    age = f", {found.behind} sessions ago" if found.behind else ", up to date"
    say(
        f"{escape(found.symbol)} of {found.source}: {found.bars:,} bars from {found.first} to "
        f"{found.last}{age}; last close {found.close:.10g}"
    )
    if found.missing:
        names = ", ".join(map(str, found.missing[:_SHOWN]))
        more = f" and {len(found.missing) - _SHOWN} more" if found.missing[_SHOWN:] else ""
        say(f"sessions without a bar: {names}{more}")
    steps = Grid("session", "kind", Number("value"))
    for step in found.steps[-_SHOWN:]:
        value = f"{step.value:.6g} for 1" if step.kind == "split" else f"{step.value:.3%}"
        steps.add(str(step.session), step.kind, value)
    terminal.table_or(steps, "No split and no dividend")
    if found.steps[_SHOWN:]:
        say(f"and {len(found.steps) - _SHOWN} older ones; --json has all")
    changed = Grid("session", "value", Number("was"), Number("became"), "revised, UTC")
    for each in found.changed[-_SHOWN:]:
        changed.add(
            str(each.session), each.field, f"{each.was:.10g}", f"{each.became:.10g}",
            f"{each.known_at:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    terminal.table_or(changed, "Nothing was revised")
    if found.changed[_SHOWN:]:
        say(f"and {len(found.changed) - _SHOWN} older ones; --json has all")
    if found.said:
        said = Grid("session", "rule", Words("who said what"), "said, UTC")
        for one in found.said[-_SHOWN:]:
            said.add(str(one.session), one.rule, escape(one.what), f"{one.known_at:%Y-%m-%d %H:%M}")
        said.print(terminal.console)


def differences(one: str, other: str, found: "Sequence[Difference]") -> None:
    """Print how what is stored of two sources differs."""
    terminal.in_one_piece(f"first: {one}; second: {other}")
    table = Grid(
        "symbol", Number("both"), Number("only first"), Number("only second"), Number("prices"),
        Number("volumes"), Number("actions"), Words("the first difference"),
    )  # fmt: skip
    for each in found:
        counts = (
            each.common, each.only_one, each.only_other, each.prices, each.volumes, each.actions,
        )  # fmt: skip
        table.add(
            escape(each.symbol), *(f"{count:,}" for count in counts), escape(each.first or "none")
        )
    table.print(terminal.console)

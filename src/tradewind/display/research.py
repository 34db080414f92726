"""Backtests and signals."""

from typing import TYPE_CHECKING

from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.figures import metric_table
from tradewind.display.tables import Grid, Number

if TYPE_CHECKING:
    from tradewind.desk.research import BacktestReport
    from tradewind.trading.signals import SignalSet

__all__ = [
    "backtest",
    "signals",
]


def backtest(found: "BacktestReport") -> None:
    """Print the figures of a backtest."""
    metric_table(
        {name: (value,) for name, value in found.metrics.items()}, "value",
        title=f"{found.strategy}, {found.folds} folds",
        caption=f"snapshot {found.snapshot_id[:12]}; entered in the ledger",
    ).print(terminal.console)  # fmt: skip
    if found.verdict:
        terminal.console.print(f"{found.verdict}.", markup=False, highlight=False)


def signals(strategy: str, found: "SignalSet | None") -> None:
    """Print target weights."""
    if found is None:
        terminal.console.print(
            f"No signals by a champion of {strategy} yet: they are made when a version becomes "
            f"champion and when its source has stored new bars; see signals_{strategy} in Airflow"
        )
        return
    table = Grid(
        "symbol", Number("weight"),
        title=f"{strategy}, decided after {found.session} for the open of {found.trade_session}",
        caption=f"version {found.model_version}, snapshot {found.snapshot_id[:12]}",
    )  # fmt: skip
    for symbol, weight in found.weights.items():
        table.add(escape(symbol), f"{weight:+.2%}")
    table.print(terminal.console)

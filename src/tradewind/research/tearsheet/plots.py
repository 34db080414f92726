"""The picture of a backtest: equity above, drawdown below, on one dated axis."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tradewind.research.tearsheet.axes import date_axis, draw_drawdown, draw_equity, mark, style
from tradewind.research.tearsheet.palette import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["equity_and_drawdown"]


def equity_and_drawdown(
    equity: pl.DataFrame, title: str, *, fold_starts: Sequence[date] = ()
) -> "Figure":
    """Draw equity and drawdown of a backtest.

    Parameters
    ----------
    equity : DataFrame of shape (n_sessions, 8)
        As returned by `tradewind.research.backtest.run.run_backtest`. The benchmark is drawn
        where there is one.
    title : str
    fold_starts : sequence of date
        First session of each test window, marked lightly.

    Returns
    -------
    matplotlib.figure.Figure
        10 by 6 inches; made without pyplot, so that no display is needed and nothing is
        left open.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), dpi=150, facecolor="white", layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    draw_equity(above, equity)
    draw_drawdown(below, equity)
    for axes in (above, below):
        style(axes)
        mark(axes, fold_starts)
    date_axis(below)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
    return figure

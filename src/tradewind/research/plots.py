"""The picture of a backtest: equity above, drawdown below, on one dated axis."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["equity_and_drawdown"]

_INK: Final = "#1b2a41"
_MUTED: Final = "#8a94a6"
_GRID: Final = "#e4e8ee"
_FOLD: Final = "#c9d0da"
_STRATEGY: Final = "#0b6e99"
_LOSS: Final = "#c8553d"
_LOG_SPAN: Final = 3.0  # from here on, equal steps should mean equal percentages


def equity_and_drawdown(
    equity: pl.DataFrame, title: str, *, fold_starts: Sequence[date] = ()
) -> "Figure":
    """Draw equity and drawdown of a backtest.

    Parameters
    ----------
    equity : DataFrame of shape (n_sessions, 8)
        As returned by `tradewind.research.backtest.run_backtest`. The benchmark is drawn
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
    _draw_equity(above, equity)
    _draw_drawdown(below, equity)
    for axes in (above, below):
        _style(axes)
        for start in fold_starts:
            axes.axvline(start, color=_FOLD, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
    _date_axis(below)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=_INK)
    return figure


def _draw_equity(axes: "Axes", equity: pl.DataFrame) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    sessions = equity.get_column("session").to_numpy()
    values = equity.get_column("equity")
    lines = [values]
    axes.axhline(1.0, color=_MUTED, linewidth=0.8, zorder=1)
    if not equity.get_column("benchmark").null_count():
        benchmark = equity.get_column("benchmark")
        lines.append(benchmark)
        axes.plot(
            sessions,
            benchmark.to_numpy(),
            color=_MUTED,
            linewidth=1.2,
            label="buy and hold, equal shares, no costs",
        )
    axes.plot(
        sessions, values.to_numpy(), color=_STRATEGY, linewidth=1.6, label="strategy, after costs"
    )
    drawn = np.concatenate([line.to_numpy() for line in lines])
    if drawn.max() / drawn.min() >= _LOG_SPAN:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_ylabel("equity", color=_INK)
    axes.legend(loc="upper left", frameon=False, labelcolor=_INK)


def _draw_drawdown(axes: "Axes", equity: pl.DataFrame) -> None:
    from matplotlib.ticker import PercentFormatter

    sessions = equity.get_column("session").to_numpy()
    drawdown = equity.get_column("drawdown").to_numpy()
    axes.fill_between(sessions, drawdown, 0.0, color=_LOSS, alpha=0.35, linewidth=0)
    axes.plot(sessions, drawdown, color=_LOSS, linewidth=0.8)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.set_ylim(top=0.0)
    axes.set_ylabel("drawdown", color=_INK)


def _date_axis(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )
    axes.margins(x=0.01)


def _style(axes: "Axes") -> None:
    axes.grid(visible=True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=_INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)

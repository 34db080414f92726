"""Parts that the still pictures share: equity, drawdown, and the style of axes."""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from tradewind.research.tearsheet.palette import FOLD, GRID, INK, LOSS, MUTED, STRATEGY
from tradewind.research.tearsheet.series import benchmark_equity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LOG_SPAN", "date_axis", "draw_drawdown", "draw_equity", "mark", "style"]

LOG_SPAN: Final = 3.0
"""From this ratio of highest to lowest on, equal steps should mean equal percentages."""


def draw_equity(axes: "Axes", equity: pl.DataFrame, *, benchmark: str = "") -> None:
    """Draw growth of one unit of capital, beside buying and holding where there is a benchmark.

    If `benchmark` is given, it names a third line, the growth of the column benchmark_return.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    sessions = equity.get_column("session").to_numpy()
    values = equity.get_column("equity")
    lines = [values]
    axes.axhline(1.0, color=MUTED, linewidth=0.8, zorder=1)
    if not equity.get_column("benchmark").null_count():
        held = equity.get_column("benchmark")
        lines.append(held)
        axes.plot(
            sessions,
            held.to_numpy(),
            color=MUTED,
            linewidth=1.2,
            label="buy and hold, equal shares, no costs",
        )
    if benchmark:
        kept = benchmark_equity(equity).get_column("benchmark_equity")
        lines.append(kept)
        axes.plot(
            sessions, kept.to_numpy(), color=INK, linewidth=0.9, linestyle=":", label=benchmark
        )
    axes.plot(
        sessions, values.to_numpy(), color=STRATEGY, linewidth=1.6, label="strategy, after costs"
    )
    drawn = np.concatenate([line.to_numpy() for line in lines])
    if drawn.max() / drawn.min() >= LOG_SPAN:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_ylabel("equity", color=INK)
    axes.legend(loc="upper left", frameon=False, labelcolor=INK)


def draw_drawdown(axes: "Axes", equity: pl.DataFrame) -> None:
    """Draw the loss from the highest equity so far."""
    from matplotlib.ticker import PercentFormatter

    sessions = equity.get_column("session").to_numpy()
    drawdown = equity.get_column("drawdown").to_numpy()
    axes.fill_between(sessions, drawdown, 0.0, color=LOSS, alpha=0.35, linewidth=0)
    axes.plot(sessions, drawdown, color=LOSS, linewidth=0.8)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.set_ylim(top=0.0)
    axes.set_ylabel("drawdown", color=INK)


def date_axis(axes: "Axes") -> None:
    """Label only as many dates as are needed."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0.01)


def mark(axes: "Axes", starts: Iterable[date]) -> None:
    """Mark the first session of each test window lightly."""
    for start in starts:
        dotted = (0, (2, 3))
        axes.axvline(start, color=FOLD, linewidth=0.8, linestyle=dotted, zorder=0)  # type: ignore[arg-type]


def style(axes: "Axes") -> None:
    """Reduce the frame to light horizontal lines."""
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)

"""The picture of a symbol's bars: adjusted close above, volume below, and what is odd marked."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tradewind.market.bars import adjusted
from tradewind.research.tearsheet.axes import LOG_SPAN, date_axis, style
from tradewind.research.tearsheet.palette import INK, LOSS, MUTED, STRATEGY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bar_chart"]


def bar_chart(
    bars: pl.DataFrame,
    title: str,
    *,
    splits: Sequence[date] = (),
    dividends: Sequence[date] = (),
    revised: Sequence[date] = (),
    disputed: Sequence[date] = (),
    missing: Sequence[date] = (),
) -> "Figure":
    """Draw one symbol's adjusted closes and volume.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Of one symbol, sorted.
    title : str
    splits, dividends, revised, disputed, missing : sequence of date
        Sessions that are marked.

    Returns
    -------
    matplotlib.figure.Figure
        10 by 6 inches; made without pyplot, so that no display is needed and nothing is left open.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(10, 6), dpi=150, facecolor="white", layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    told = adjusted(bars)
    sessions = told["session"].to_numpy()
    closes = told["close"]
    above.plot(sessions, closes.to_numpy(), color=STRATEGY, linewidth=1.2)
    if closes.max() / closes.min() >= LOG_SPAN:  # type: ignore[operator]  # a column of floats
        above.set_yscale("log")
        above.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        above.yaxis.set_minor_formatter(NullFormatter())
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    for marker, colour, days, label in (
        ("^", INK, splits, "split"),
        ("o", LOSS, revised, "revised"),
        ("x", LOSS, disputed, "sources differ"),
    ):
        marked = told.filter(pl.col("session").is_in(list(days)))
        if marked.height:
            above.plot(
                marked["session"].to_numpy(), marked["close"].to_numpy(), linestyle="",
                marker=marker, color=colour, markersize=7, label=f"{label} ({marked.height})",
            )  # fmt: skip
    if dividends:  # along the bottom, where they hide no price
        above.plot(
            np.array(dividends, dtype="datetime64[D]"), np.full(len(dividends), 0.02),
            transform=above.get_xaxis_transform(), linestyle="", marker="|", color=INK,
            markersize=9, label=f"dividend ({len(dividends)})",
        )  # fmt: skip
    for place, day in enumerate(missing):
        label = f"no bar ({len(missing)})" if place == 0 else ""
        above.axvline(day, color=LOSS, linewidth=0.6, alpha=0.5, zorder=0, label=label)
    above.set_ylabel("close, adjusted", color=INK)
    if above.get_legend_handles_labels()[0]:
        above.legend(loc="upper left", frameon=False, labelcolor=INK)
    below.vlines(sessions, 0.0, told["volume"].to_numpy() / 1e6, color=MUTED, linewidth=0.5)
    below.set_ylabel("million shares", color=INK)
    below.set_ylim(bottom=0.0)
    for axes in (above, below):
        style(axes)
    date_axis(below)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
    return figure

"""The tear sheet as one still page."""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tradewind.research.tearsheet.axes import date_axis, draw_drawdown, draw_equity, mark, style
from tradewind.research.tearsheet.palette import INK, LOSS, MUTED, STRATEGY, tint
from tradewind.research.tearsheet.report import Report
from tradewind.research.tearsheet.series import (
    ROLLING_SESSIONS,
    monthly_returns,
    rolling_sharpe,
    yearly_returns,
)
from tradewind.research.verdict import least_probability, verdict_title
from tradewind.research.words import count, percent, probability, ratio, times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_WIDTH: Final = 12.0  # inches, as are the heights
_HEAD: Final = 1.6
_CURVES: Final = 5.0
_LEAST_BELOW: Final = 2.9
_A_YEAR: Final = 0.27
_DPI: Final = 110
_MARGIN: Final = 0.03
_SOFT: Final = "#536074"


def draw(report: Report) -> "Figure":
    """Draw equity, drawdown, monthly returns, rolling Sharpe ratio and key figures.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot, so that no display is needed and nothing is left open.
    """
    from matplotlib.figure import Figure

    years = yearly_returns(report.days).height
    below = max(_LEAST_BELOW, 0.75 + _A_YEAR * years)
    height = _HEAD + _CURVES + below
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    grid = figure.add_gridspec(
        2, 1, height_ratios=[_CURVES, below], hspace=0.45 / (_CURVES + below) * 4,
        left=0.06, right=1 - _MARGIN, top=1.0 - _HEAD / height, bottom=0.42 / height,
    )  # fmt: skip
    upper = grid[0].subgridspec(2, 1, height_ratios=[3, 1], hspace=0.14)
    equity = figure.add_subplot(upper[0])
    drawdown = figure.add_subplot(upper[1], sharex=equity)
    lower = grid[1].subgridspec(1, 2, width_ratios=[1.75, 1.0], wspace=0.1)
    _head(figure, report, height)
    draw_equity(
        equity, report.days, benchmark=report.benchmark_line if report.has_named_benchmark else ""
    )
    draw_drawdown(drawdown, report.days)
    sessions = report.days.get_column("session")
    equity.set_xlim(sessions[0], sessions[-1])
    equity.tick_params(labelbottom=False)
    for axes in (equity, drawdown):
        style(axes)
        mark(axes, (fold.test_start for fold in report.folds))
    date_axis(drawdown)
    for axes, label in ((equity, "equity"), (drawdown, "drawdown")):
        axes.set_ylabel(label, labelpad=2)
        axes.yaxis.set_label_coords(-0.05, 0.5)
    _heat(figure.add_subplot(lower[0]), report)
    _rolling(figure.add_subplot(lower[1]), report)
    return figure


def _head(figure: "Figure", report: Report, height: float) -> None:
    def down(inches: float) -> float:
        return 1.0 - inches / height

    # No mathematics in a user's text: matplotlib would read it between dollar signs.
    plain: dict[str, Any] = {"ha": "left", "va": "baseline", "parse_math": False}
    sessions = report.days.get_column("session")
    strategy = report.strategy
    size = min(18.0, 700.0 / len(strategy.name))  # fifty of the widest letters still fit
    figure.text(
        _MARGIN, down(0.4), strategy.name, fontsize=size, fontweight="bold", color=INK, **plain
    )
    subtitle = (
        f"out of sample, after costs: {sessions[0]} to {sessions[-1]}, "
        f"{len(report.folds)} test windows, {len(strategy.universe.symbols)} symbols"
        + (f"; {said.lower()}" if (said := verdict_title(report.metrics, report.benchmark)) else "")
        + ("; LABELS LEAK: NOT EVIDENCE" if strategy.leaks else "")
    )
    figure.text(_MARGIN, down(0.66), subtitle, fontsize=10.5, color=_SOFT, **plain)
    figures = _key_figures(report)
    for place, (name, value, beside) in enumerate(figures):
        left = _MARGIN + place * (1.0 - 2 * _MARGIN) / len(figures)
        figure.text(left, down(0.94), name, fontsize=9, color=_SOFT, **plain)
        figure.text(left, down(1.19), value, fontsize=15, fontweight="bold", color=INK, **plain)
        figure.text(left, down(1.37), beside, fontsize=8.5, color=_SOFT, **plain)


def _key_figures(report: Report) -> list[tuple[str, str, str]]:
    metric = report.metric

    def held(name: str) -> str:
        value = metric(f"benchmark_{name}")
        return "" if math.isnan(value) else f"holding: {percent(value)}"

    interval = f"95 %: {ratio(metric('sharpe_low_95'))} to {ratio(metric('sharpe_high_95'))}"
    deflated = metric("deflated_sharpe_probability")
    if report.trials is not None and report.was_tried_before and not math.isnan(deflated):
        belief = (
            "P(more than luck)",
            probability(deflated),
            f"{count(report.trials.n_trials)} trials",
        )
    else:
        belief = ("P(true Sharpe > 0)", probability(metric("sharpe_probability")), "one trial")
    return [
        ("Return a year", percent(metric("annual_return")), held("annual_return")),
        ("Sharpe ratio", ratio(metric("sharpe")), interval),
        ("Deepest drawdown", percent(metric("max_drawdown")), held("max_drawdown")),
        _alpha(report),
        ("Turnover a year", times(metric("annual_turnover")),
         f"{count(metric('longest_drawdown_sessions'))} sessions below peak"),
        belief,
    ]  # fmt: skip


def _alpha(report: Report) -> tuple[str, str, str]:
    """Return the alpha; where it is not known, how well the strategy predicts."""
    metric = report.metric
    if math.isnan(metric("alpha")):
        coefficient = ratio(metric("information_coefficient"), 3)
        return "Information coefficient", coefficient, f"right sign: {percent(metric('hit_rate'))}"
    likely = probability(least_probability(report.metrics))
    return "Alpha a year", percent(metric("alpha")), f"P(more than luck): {likely}"


def _heat(axes: "Axes", report: Report) -> None:
    from matplotlib.patches import Rectangle

    months = monthly_returns(report.days)
    totals = yearly_returns(report.days)
    strongest = float(months.get_column("net_return").abs().quantile(0.95) or 0.0) or 1.0
    years = totals.get_column("year").to_list()
    for year, month, value in months.iter_rows():
        row = years.index(year)
        corner = (month - 1 + 0.04, row + 0.05)
        axes.add_patch(Rectangle(corner, 0.92, 0.9, color=tint(value / strongest), linewidth=0))
        axes.text(month - 0.5, row + 0.52, _bare(value), fontsize=8, **_centred())
    for row, total in enumerate(totals.get_column("net_return")):
        axes.text(12.75, row + 0.52, _bare(total), fontsize=8.5, fontweight="bold", **_centred())
    axes.set_xlim(0, 13.3)
    axes.set_ylim(len(years), 0)
    axes.set_xticks([*(np.arange(12) + 0.5), 12.75], [*"JFMAMJJASOND", "year"])
    axes.set_yticks(np.arange(len(years)) + 0.52, [str(year) for year in years])
    axes.tick_params(colors=INK, length=0, labelsize=9, top=False, labeltop=True, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("monthly returns, %", loc="left", fontsize=10.5, color=INK, pad=20)


def _centred() -> dict[str, Any]:
    return {"ha": "center", "va": "center", "color": INK}


def _rolling(axes: "Axes", report: Report) -> None:
    sessions = report.days.get_column("session").to_numpy()
    ratios = rolling_sharpe(report.days, per_year=report.per_year).to_numpy()
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    axes.fill_between(
        sessions, ratios, 0.0, where=ratios < 0.0, color=LOSS, alpha=0.25, linewidth=0,
        interpolate=True,
    )  # fmt: skip
    axes.plot(sessions, ratios, color=STRATEGY, linewidth=1.2)
    axes.set_xlim(sessions[0], sessions[-1])
    style(axes)
    date_axis(axes)
    axes.set_title(
        f"Sharpe ratio of the latest {ROLLING_SESSIONS} sessions",
        loc="left", fontsize=10.5, color=INK, pad=20,
    )  # fmt: skip


def _bare(value: float) -> str:
    return ratio(value * 100.0, 1)

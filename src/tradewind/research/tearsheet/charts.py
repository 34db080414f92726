"""The interactive plots of a tear sheet, one function a plot.

Each returns a plotly figure without a title: the page writes it above, as text.
"""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from tradewind.research.tearsheet.axes import LOG_SPAN
from tradewind.research.tearsheet.palette import FOLD, GRID, INK, LOSS, MUTED, STRATEGY
from tradewind.research.tearsheet.report import Report
from tradewind.research.tearsheet.series import benchmark_equity, rolling_sharpe, yearly_returns
from tradewind.research.words import TIMES, percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["CHARTS", "log_ticks"]

_HOVER_TIMES: Final = f"%{{y:.3f}}{TIMES}"
_DIGITS: Final = 6  # significant digits; more are invisible and make the page larger
_TURNOVER_SESSIONS: Final = 63
_NOTHING: Final = 1e-9  # what rounding may leave of a closed position in a running sum
_BINS: Final = 60  # even, so that zero lies between two
_DATED: Final = {"hoverformat": "%a %d %b %Y", "type": "date"}
_PERCENT: Final = {"tickformat": ".0%", "hoverformat": ".1%"}
_FILLED_LOSS: Final = "rgba(200,85,61,0.28)"
_FILLED_GAIN: Final = "rgba(11,110,153,0.22)"


def equity(report: Report) -> "Figure":
    """Draw growth of one unit of capital, beside buying and holding; test windows marked."""
    days = report.days
    traces = []
    if report.has_benchmark:
        held = _line(days, "benchmark", "buy and hold", MUTED, width=1.2)
        traces.append({**held, "hovertemplate": _HOVER_TIMES})
    if report.has_named_benchmark:
        line = _line(
            benchmark_equity(days), "benchmark_equity", report.benchmark_line, INK, width=1.0
        )
        traces.append({**line, "hovertemplate": _HOVER_TIMES})
    grown = _line(days, "equity", "strategy, after costs", STRATEGY, width=1.8)
    traces.append({**grown, "hovertemplate": _HOVER_TIMES})
    drawn = np.concatenate([np.array(trace["y"]) for trace in traces])
    axis: dict[str, Any] = {"ticksuffix": TIMES}
    if drawn.max() / drawn.min() >= LOG_SPAN:
        ticks = log_ticks(drawn.min(), drawn.max())
        axis |= {
            "type": "log",
            "tickvals": ticks,
            "ticktext": [f"{tick:g}{TIMES}" for tick in ticks],
        }
    starts = [
        {
            "type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "x0": str(fold.test_start), "x1": str(fold.test_start),
            "line": {"color": FOLD, "width": 1, "dash": "dot"},
        }
        for fold in report.folds
    ]  # fmt: skip
    return _figure(traces, xaxis=_DATED, yaxis=axis, shapes=starts, showlegend=True)


def drawdown(report: Report) -> "Figure":
    """Draw the loss from the highest equity so far."""
    trace = _line(report.days, "drawdown", "drawdown", LOSS, width=1.0)
    trace |= {"fill": "tozeroy", "fillcolor": _FILLED_LOSS, "hovertemplate": "%{y:.1%}"}
    lowest = min(float(report.days.get_column("drawdown").to_numpy().min()), -0.01)
    return _figure(
        [trace], xaxis=_DATED, yaxis={**_PERCENT, "range": [lowest * 1.08, 0.0], "nticks": 5}
    )


def rolling(report: Report) -> "Figure":
    """Draw the Sharpe ratio of the latest half year, session by session."""
    ratios = report.days.select("session", rolling_sharpe(report.days, per_year=report.per_year))
    trace = _line(ratios, "rolling_sharpe", "Sharpe ratio", STRATEGY, width=1.4)
    level = report.metric("sharpe")
    lines = [_level(0.0, MUTED, "solid")]
    if math.isfinite(level):
        lines.append(_level(level, STRATEGY, "dot"))
    return _figure([{**trace, "hovertemplate": "%{y:.2f}"}], xaxis=_DATED, shapes=lines)


def exposure(report: Report) -> "Figure":
    """Draw the shares of equity wanted long and, where there are any, short, and their sum."""
    filled = {"line": {"width": 0}, "hovertemplate": "%{y:.0%}", "fill": "tozeroy"}
    traces = [
        _line(report.days, "wanted_long", "long", STRATEGY) | filled | {"fillcolor": _FILLED_GAIN},
    ]
    if report.days.get_column("wanted_short").to_numpy().min() < -_NOTHING:
        short = _line(report.days, "wanted_short", "short", LOSS)
        gross = _line(report.days, "wanted_gross", "gross", INK, width=0.9)
        traces += [
            short | filled | {"fillcolor": _FILLED_LOSS},
            gross | {"hovertemplate": "%{y:.0%}"},
        ]
    return _figure(traces, xaxis=_DATED, yaxis={**_PERCENT, "nticks": 5}, showlegend=True)


def yearly(report: Report) -> "Figure":
    """Draw the return of each calendar year, beside buying and holding."""
    years = yearly_returns(report.days)
    labels = [str(year) for year in years.get_column("year")]
    bar = {"type": "bar", "x": labels, "hovertemplate": "%{y:.1%}"}
    traces = []
    if report.has_benchmark:
        held = _numbers(years.get_column("benchmark_return"))
        traces.append(bar | {"y": held, "name": "buy and hold", "marker": {"color": FOLD}})
    earned = _numbers(years.get_column("net_return"))
    traces.append(bar | {"y": earned, "name": "strategy", "marker": {"color": STRATEGY}})
    return _figure(
        traces, xaxis={"type": "category"}, yaxis={**_PERCENT, "nticks": 6}, showlegend=True
    )


def distribution(report: Report) -> "Figure":
    """Draw the distribution of returns a session; the outer bars include all beyond them."""
    net = report.days.get_column("net_return").to_numpy()
    reach = max(float(np.quantile(np.abs(net), 0.995)), 1e-6)
    edges = np.linspace(-reach, reach, _BINS + 1)
    counts, _ = np.histogram(np.clip(net, -reach, reach), edges)
    middles = (edges[1:] + edges[:-1]) / 2
    trace = {
        "type": "bar", "x": _rounded(middles), "y": counts.tolist(), "name": "sessions",
        "marker": {"color": [LOSS if middle < 0.0 else STRATEGY for middle in middles]},
        "opacity": 0.8, "hovertemplate": "about %{x:.2%}: %{y} sessions<extra></extra>",
    }  # fmt: skip
    worst = float(np.quantile(net, 0.05))
    line = {
        "type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "x0": worst, "x1": worst,
        "line": {"color": INK, "width": 1, "dash": "dot"},
    }  # fmt: skip
    note = _note(
        f"1 in 20 is below {percent(worst)} ", x=worst, y=1.0, xanchor="right", yref="paper"
    )
    return _figure(
        [trace], xaxis={"tickformat": ".1%", "hoverformat": ".2%"}, bargap=0.06,
        shapes=[line], annotations=[note], hovermode="closest",
    )  # fmt: skip


def turnover(report: Report) -> "Figure":
    """Draw turnover of the latest quarter, in multiples of equity a year."""
    name = f"latest {_TURNOVER_SESSIONS} sessions"
    yearly_rate = pl.col("turnover").rolling_mean(_TURNOVER_SESSIONS) * report.per_year
    rates = report.days.select("session", yearly_rate.alias("rate"))
    trace = _line(rates, "rate", name, STRATEGY, width=1.4)
    return _figure(
        [{**trace, "hovertemplate": f"%{{y:.1f}}{TIMES}"}],
        xaxis=_DATED, yaxis={"ticksuffix": TIMES, "rangemode": "tozero", "nticks": 5},
    )  # fmt: skip


def costs(report: Report) -> "Figure":
    """Draw the costs of trading and borrowing since the start, as shares of equity at the time."""
    lines = {"cost": ("trading", LOSS), "borrow_cost": ("borrowing", INK)}
    spent = report.days.select("session", pl.col(*lines).cum_sum())
    traces = [
        _line(spent, column, name, colour, width=1.4) | {"hovertemplate": "%{y:.2%}"}
        for column, (name, colour) in lines.items()
        if column == "cost" or spent.get_column(column)[-1] > 0.0
    ]
    axis = {"tickformat": ".1%", "rangemode": "tozero", "nticks": 5}
    return _figure(traces, xaxis=_DATED, yaxis=axis, showlegend=len(traces) > 1)


def fold_sharpes(report: Report) -> "Figure":
    """Draw the Sharpe ratio in each test window."""
    return _by_fold(report, "sharpe", "%{y:.2f}")


def fold_coefficients(report: Report) -> "Figure":
    """Draw the information coefficient in each test window."""
    return _by_fold(report, "information_coefficient", "%{y:.3f}")


def importance(report: Report) -> "Figure":
    """Draw the features that the model relies on, as shares of the whole."""
    total = sum(report.importance.values()) or 1.0
    # The largest on top, and names in order where two are equal.
    ranked = sorted(report.importance.items(), key=lambda item: (item[1], item[0]))
    trace = {
        "type": "bar", "orientation": "h", "marker": {"color": STRATEGY}, "opacity": 0.85,
        "x": _rounded(value / total for _, value in ranked),
        "y": [_plain(name) for name, _ in ranked],
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }  # fmt: skip
    return _figure(
        [trace], xaxis={**_PERCENT, "rangemode": "tozero"}, yaxis={"automargin": True},
        hovermode="closest", height=max(180, 60 + 22 * len(ranked)),
    )  # fmt: skip


def trials(report: Report) -> "Figure":
    """Draw every trial, worst first, and the level of the best of as many worthless ones."""
    found = report.trials
    assert found is not None  # noqa: S101 - CHARTS asks first
    chosen = pl.col("chosen")
    rest, best = found.points.filter(~chosen), found.points.filter(chosen)
    traces = [
        _dots(rest, "trials", {"color": MUTED, "size": 7, "opacity": 0.65}),
        _dots(
            best,
            "chosen",
            {"color": STRATEGY, "size": 12, "line": {"color": INK, "width": 1.5}},
        ),
    ]
    note = _note(
        f"expected of the best of {found.n_trials:,} worthless trials: {found.threshold:.2f}",
        x=0.005, y=found.threshold, xanchor="left", xref="paper", yanchor="bottom",
    )  # fmt: skip
    return _figure(
        traces, xaxis={"title": _title("trial, worst first"), "rangemode": "tozero"},
        shapes=[_level(found.threshold, LOSS, "dash")], annotations=[note],
        showlegend=True, hovermode="closest",
    )  # fmt: skip


def paths(report: Report) -> "Figure":
    """Draw the Sharpe ratios of the combinatorial test's histories."""
    ratios = sorted(report.paths)
    trace = {
        "type": "bar", "x": list(range(1, len(ratios) + 1)), "y": _rounded(ratios),
        "marker": {"color": [STRATEGY if value > 0.0 else LOSS for value in ratios]},
        "opacity": 0.85, "hovertemplate": "%{y:.2f}<extra></extra>",
    }  # fmt: skip
    return _figure(
        [trace], xaxis={"title": _title("history, worst first")}, hovermode="closest", bargap=0.2
    )


def _always(_: Report) -> bool:
    return True


def _is_skilled(report: Report) -> bool:
    return any("information_coefficient" in fold.metrics for fold in report.folds)


CHARTS: Final[dict[str, tuple[Callable[[Report], "Figure"], Callable[[Report], bool]]]] = {
    "equity": (equity, _always),
    "drawdown": (drawdown, _always),
    "rolling": (rolling, _always),
    "exposure": (exposure, _always),
    "yearly": (yearly, _always),
    "distribution": (distribution, _always),
    "turnover": (turnover, _always),
    "costs": (costs, _always),
    "fold_sharpes": (fold_sharpes, _always),
    "fold_coefficients": (fold_coefficients, _is_skilled),
    "importance": (importance, lambda report: bool(report.importance)),
    "trials": (trials, lambda report: report.was_tried_before),
    "paths": (paths, lambda report: bool(report.paths)),
}
"""By name: what draws a plot, and whether a report has anything for it."""


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two positive numbers, ends included.

    Examples
    --------
    >>> log_ticks(0.8, 12.0)
    [1.0, 2.0, 5.0, 10.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (float(f"{step}e{power}") for power in powers for step in (1, 2, 5))
    return [tick for tick in ticks if low <= tick <= high]


def _by_fold(report: Report, metric: str, hover: str) -> "Figure":
    values = [fold.metrics.get(metric, math.nan) for fold in report.folds]
    shown = [value if math.isfinite(value) else None for value in values]
    trace = {
        "type": "bar", "x": [fold.index for fold in report.folds], "y": _rounded(shown),
        "marker": {"color": [LOSS if (value or 0.0) < 0.0 else STRATEGY for value in shown]},
        "opacity": 0.85,
        "customdata": [f"{fold.test_start} to {fold.test_end}" for fold in report.folds],
        "hovertemplate": f"%{{customdata}}: {hover}<extra></extra>",
    }  # fmt: skip
    shapes = []
    level = report.metric(metric)
    if math.isfinite(level):
        shapes.append(_level(level, INK, "dot"))
    return _figure(
        [trace], xaxis={"title": _title("test window"), "dtick": max(1, len(values) // 12)},
        yaxis={"nticks": 6}, shapes=shapes, hovermode="closest", bargap=0.25,
    )  # fmt: skip


def _line(
    days: pl.DataFrame, column: str, name: str, colour: str, *, width: float = 1.4
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": days.get_column("session").cast(pl.String).to_list(),
        "y": _numbers(days.get_column(column)),
        "line": {"color": colour, "width": width},
    }


def _dots(points: pl.DataFrame, name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": points.get_column("trial").to_list(),
        "y": _numbers(points.get_column("sharpe")),
        "text": [_plain(words) for words in points.get_column("parameters")],
        "marker": marker,
        "hovertemplate": "%{y:.2f}<br>%{text}<extra></extra>",
    }


def _level(value: float, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value,
        "layer": "below", "line": {"color": colour, "width": 1, "dash": dash},
    }  # fmt: skip


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "font": {"size": 12}}


def _note(text: str, **where: object) -> dict[str, Any]:
    return {"text": text, "showarrow": False, "font": {"size": 11, "color": INK}, **where}


def _numbers(column: pl.Series) -> list[float | None]:
    shown: list[float | None] = column.fill_nan(None).round_sig_figs(_DIGITS).to_list()
    return shown


def _rounded(values: Iterable[float | None]) -> list[float | None]:
    return _numbers(pl.Series(list(values), dtype=pl.Float64))


def _plain(text: str) -> str:
    """Return text that plotly shows as it is; it reads tags in names and labels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _figure(traces: list[dict[str, Any]], **layout: Any) -> "Figure":  # noqa: ANN401
    from plotly import graph_objects as go

    axis = {
        "gridcolor": GRID, "linecolor": GRID, "zeroline": False, "ticks": "",
        "tickfont": {"color": INK}, "fixedrange": False,
    }  # fmt: skip
    across = {**axis, "showgrid": False, **layout.pop("xaxis", {})}
    up = {**axis, **layout.pop("yaxis", {})}
    settings = {
        # Without plotly's own theme, which would add 7 kB to each plot.
        "template": {},
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12,
                 "color": INK},
        "paper_bgcolor": "white", "plot_bgcolor": "white",
        # All dated plots have the same margins, so that their dates are below each other.
        "margin": {"l": 52, "r": 12, "t": 12, "b": 36},
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom",
                   "bgcolor": "rgba(255,255,255,0)"},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "white", "bordercolor": GRID, "font": {"color": INK}},
        "separators": ".,",
        "xaxis": across,
        "yaxis": up,
    }  # fmt: skip
    return go.Figure(data=traces, layout={**settings, **layout})

"""The tear sheet of a training: one page on return, risk, and how certain they are.

`tear_sheet_html` is for a browser, and `tear_sheet_png` is a still picture of the same content. The
page is one file of about 2.5 MB that loads nothing from the network: it contains the plotting
library, compressed, and its own script unpacks it.
"""

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from tradewind.research.tearsheet.charts import CHARTS
from tradewind.research.tearsheet.palette import tint
from tradewind.research.tearsheet.report import Report, report_of
from tradewind.research.tearsheet.series import ROLLING_SESSIONS, monthly_returns, yearly_returns
from tradewind.research.tearsheet.statements import statements
from tradewind.research.tearsheet.still import draw
from tradewind.research.verdict import is_better, least_probability
from tradewind.research.words import METRICS, count, percent, probability, ratio, times, words_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

    from tradewind.market.validation.findings import Finding
    from tradewind.research.evaluation.walk_forward import FoldResult
    from tradewind.research.training import TrainingResult

__all__ = ["page", "still", "tear_sheet_html", "tear_sheet_png"]

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SHOWN_FINDINGS: Final = 100
_FOLD_METRICS: Final = (
    "annual_return", "sharpe", "max_drawdown", "information_coefficient", "hit_rate",
    "annual_turnover",
)  # fmt: skip
_FOLD_HEADS: Final = ("Return a year", "Sharpe", "Drawdown", "IC", "Hit rate", "Turnover")
_FACTS: Final = {
    "git_commit": "Commit",
    "git_dirty": "Files differed from it",
    "lock_sha256": "Lock file, SHA-256",
    "requirements_sha256": "Packages of the desk's own, SHA-256",
    "python": "Python",
}
_BENCHMARK: Final = "benchmark_"
_SAID: Final = "of the final model, in sample"
_SHUFFLED: Final = "by shuffling one feature at a time in the last test window"


def tear_sheet_html(
    result: "TrainingResult",
    *,
    findings: "Sequence[Finding]" = (),
    snapshot_id: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> str:
    """Return the tear sheet as one self-contained HTML file.

    The same arguments give the same bytes. Everything that comes from outside, such as a
    strategy's description, is shown as text, whatever it holds.

    Parameters
    ----------
    result : TrainingResult
        As returned by `tradewind.research.training.train`.
    findings : sequence of Finding
        What validation noted about the bars; the first hundred are listed.
    snapshot_id : str, optional
        The snapshot it was trained on.
    provenance : mapping of str to str, optional
        Commit, lock file and so on.
    """
    return page(
        report_of(result, findings=findings, snapshot_id=snapshot_id, provenance=provenance)
    )


def page(report: Report) -> str:
    """Return what `tear_sheet_html` returns, from an existing report."""
    charts = {
        name: chart(report).to_plotly_json() for name, (chart, wanted) in CHARTS.items()
        if wanted(report)
    }  # fmt: skip
    sessions = report.days.get_column("session")
    return (
        _environment()
        .get_template("tearsheet.html")
        .render(
            css=_asset("tearsheet.css"),
            js=_asset("tearsheet.js"),
            library=_library(),
            charts=charts,
            charts_json=_json_in_html(charts),
            strategy=report.strategy,
            strategy_json=report.strategy.model_dump_json(indent=2, exclude_none=True),
            first=sessions[0],
            last=sessions[-1],
            days=count(report.days.height),
            per_year=count(report.per_year),
            symbols=_shortened(report.strategy.universe.symbols),
            figures=_key_figures(report),
            verdict=report.verdict,
            better=is_better(report.metrics),
            statements=statements(report),
            rolling_sessions=ROLLING_SESSIONS,
            months=MONTHS,
            monthly=_monthly(report),
            fold_columns=_FOLD_HEADS,
            folds=[_fold(fold) for fold in report.folds],
            statistics=_statistics(report),
            facts=_facts(report),
            leans_on=_SHUFFLED if report.importance_shuffled else _SAID,
            findings=report.findings[:_SHOWN_FINDINGS],
            findings_left_out=max(0, len(report.findings) - _SHOWN_FINDINGS),
        )
    )


def tear_sheet_png(
    result: "TrainingResult",
    *,
    findings: "Sequence[Finding]" = (),
    snapshot_id: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> "Figure":
    """Return the tear sheet as one still page, to be saved by ``figure.savefig``.

    Parameters
    ----------
    result, findings, snapshot_id, provenance
        As for `tear_sheet_html`.

    Returns
    -------
    matplotlib.figure.Figure
        12 inches wide, higher the more years there are; made without pyplot.
    """
    return still(
        report_of(result, findings=findings, snapshot_id=snapshot_id, provenance=provenance)
    )


def still(report: Report) -> "Figure":
    """Return what `tear_sheet_png` returns, from an existing report."""
    return draw(report)


def _key_figures(report: Report) -> list[dict[str, str]]:
    def held(metric: str, words: str) -> str:
        value = report.metric(_BENCHMARK + metric)
        return "" if math.isnan(value) else f"holding: {words}"

    metric = report.metric
    interval = f"95 %: {ratio(metric('sharpe_low_95'))} to {ratio(metric('sharpe_high_95'))}"
    rows = [
        ("Return a year", percent(metric("annual_return")),
         held("annual_return", percent(metric("benchmark_annual_return")))),
        ("Sharpe ratio", ratio(metric("sharpe")), interval),
        ("Deepest drawdown", percent(metric("max_drawdown")),
         held("max_drawdown", percent(metric("benchmark_max_drawdown")))),
        ("Volatility a year", percent(metric("annual_volatility")),
         f"Calmar ratio {ratio(metric('calmar'))}"),
        ("Information coefficient", ratio(metric("information_coefficient"), 3),
         f"right sign: {percent(metric('hit_rate'))}"),
        ("Turnover a year", times(metric("annual_turnover")),
         f"costs: {percent(metric('annual_cost'), 2)} a year"),
    ]  # fmt: skip
    if not math.isnan(metric("alpha")):
        deflated = least_probability(report.metrics)
        rows += [
            ("Alpha a year", percent(metric("alpha")),
             f"beta {ratio(metric('beta'))} to {_benchmark_in_words(report)}"),
            ("P(alpha is more than luck)", probability(deflated), _trials_in_words(report)),
        ]  # fmt: skip
    return [{"name": name, "value": value, "beside": beside} for name, value, beside in rows]


def _benchmark_in_words(report: Report) -> str:
    return "equal weight" if report.benchmark == "equal_weight" else report.benchmark


def _trials_in_words(report: Report) -> str:
    tried = 1 if report.trials is None else report.trials.n_trials
    return f"{count(tried)} {'trial' if tried == 1 else 'trials'}"


def _monthly(report: Report) -> list[dict[str, Any]]:
    months = monthly_returns(report.days)
    found = {(year, month): value for year, month, value in months.iter_rows()}
    strongest = float(months.get_column("net_return").abs().quantile(0.95) or 0.0) or 1.0
    return [
        {
            "year": year,
            "cells": [
                {"value": _bare(found[year, month]), "colour": tint(found[year, month] / strongest)}
                if (year, month) in found
                else None
                for month in range(1, 13)
            ],
            "total": _bare(total),
        }
        for year, total in yearly_returns(report.days).select("year", "net_return").iter_rows()
    ]


def _bare(value: float) -> str:
    return ratio(value * 100.0, 1)


def _fold(fold: "FoldResult") -> dict[str, Any]:
    return {
        "index": fold.index,
        "trained": f"{fold.train_start} \u2013 {fold.train_end}",
        "tested": f"{fold.test_start} \u2013 {fold.test_end}",
        "n_train": count(fold.n_train),
        "n_test": count(fold.n_test),
        "figures": [
            words_of(metric)[1](fold.metrics.get(metric, math.nan)) for metric in _FOLD_METRICS
        ],
    }


def _statistics(report: Report) -> list[dict[str, str]]:
    """Return all figures: those with a known name in their order, then the others."""
    shown = [
        metric
        for metric in report.metrics
        if not (metric.startswith(_BENCHMARK) and metric.removeprefix(_BENCHMARK) in METRICS)
    ]
    known = [metric for metric in METRICS if metric in shown]
    others = [metric for metric in shown if metric not in METRICS]
    rows = []
    for metric in [*known, *others]:
        name, write = words_of(metric)
        held = report.metrics.get(_BENCHMARK + metric)
        rows.append(
            {
                "name": name,
                "value": write(report.metrics[metric]),
                "held": "" if held is None else write(held),
            }
        )
    return rows


def _facts(report: Report) -> list[tuple[str, str]]:
    strategy = report.strategy
    facts = [
        ("Bars", f"{report.data_start} to {report.data_end}, source {strategy.universe.source}, "
                 f"calendar {strategy.universe.calendar}"),
        ("Symbols", ", ".join(strategy.universe.symbols)),
        ("Benchmark", _benchmark_in_words(report)),
        ("Snapshot", report.snapshot_id or "not recorded"),
        ("Strategy, SHA-256", strategy.content_hash()),
        ("Seed", str(strategy.seed)),
        ("Horizon, purge", f"{strategy.horizon} and {strategy.purge} sessions"),
    ]  # fmt: skip
    facts += [(_FACTS.get(key, key), value) for key, value in report.provenance.items()]
    return facts


def _shortened(symbols: Sequence[str], shown: int = 8) -> str:
    if len(symbols) <= shown:
        return ", ".join(symbols)
    return f"{', '.join(symbols[:shown])} and {len(symbols) - shown} more"


def _json_in_html(value: object) -> str:
    """Return JSON in which no text can end the HTML element around it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (resources.files("tradewind.research.tearsheet") / "assets" / name).read_text("utf-8")


@cache
def _library() -> str:
    """Return plotly.js, 4.8 MB of it, in 2 MB."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(zlib.compress(get_plotlyjs().encode(), 9)).decode()


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("tradewind.research.tearsheet", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

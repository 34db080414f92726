"""The content of a tear sheet, gathered from a training and its context."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from tradewind.market.calendar import sessions_per_year
from tradewind.research.backtest.benchmark import benchmark_name
from tradewind.research.statistics.inference import expected_best_sharpe
from tradewind.research.verdict import verdict
from tradewind.research.words import words_of

if TYPE_CHECKING:
    from tradewind.market.validation.findings import Finding
    from tradewind.research.evaluation.walk_forward import FoldResult
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.research.training import TrainingResult

__all__ = ["MAIN_FIGURES", "Report", "Trials", "figures_in_words", "report_of"]

MAIN_FIGURES: Final = (
    "annual_return", "annual_volatility", "sharpe", "max_drawdown", "annual_turnover",
    "annual_cost", "trades", "trials",
)  # fmt: skip

_POINTS: Final = {
    "trial": pl.Int64, "sharpe": pl.Float64, "chosen": pl.Boolean, "parameters": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Trials:
    """The sets of parameters that were tried before one was chosen.

    Attributes
    ----------
    n_trials : int
        Every trial ever run on these data; the number by which statistics are deflated.
    threshold : float
        Annualised Sharpe ratio that the best of as many worthless trials is expected to show.
    table : DataFrame of shape (n_trials, n_columns)
        All that the ledger has of them; see `tradewind.research.trials.ledger`.
    points : DataFrame of shape (n_drawn, 4)
        trial (from 1, worst first), sharpe (annualised), chosen (bool), parameters (in words,
        those that differ between trials). Without those that failed.
    """

    n_trials: int
    threshold: float
    table: pl.DataFrame
    points: pl.DataFrame


@dataclass(frozen=True)
class Report:
    """Exactly what is drawn and written on a tear sheet.

    Attributes
    ----------
    strategy : Strategy
    data_start, data_end : date
        First and last session of the bars used.
    folds : tuple of FoldResult
    metrics : mapping of str to float
        Over all test windows in a row; see `tradewind.research.statistics.performance` for units.
    days : DataFrame of shape (n_sessions, n_columns)
        As returned by `tradewind.research.backtest.run.run_backtest`, with the columns wanted_long,
        wanted_short (zero or negative) and wanted_gross: the shares of equity that were wanted for
        the session.
    importance : mapping of str to float
        By feature; empty where there is none.
    importance_shuffled : bool
        Whether it was found by shuffling each feature on the last test window, and not said by the
        final model.
    trials : Trials or None
        None without a sweep.
    paths : tuple of float
        Annualised Sharpe ratios of the combinatorial test's histories; empty without one.
    findings : tuple of Finding
        Findings of validation about the bars.
    snapshot_id : str or None
    provenance : mapping of str to str
        What is needed to compute the same result again.
    """

    strategy: "Strategy"
    data_start: date
    data_end: date
    folds: "tuple[FoldResult, ...]"
    metrics: Mapping[str, float]
    days: pl.DataFrame
    importance: Mapping[str, float] = field(default_factory=dict)
    importance_shuffled: bool = False
    trials: Trials | None = None
    paths: tuple[float, ...] = ()
    findings: "tuple[Finding, ...]" = ()
    snapshot_id: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def metric(self, name: str) -> float:
        """Return a figure, NaN where it was not computed."""
        return self.metrics.get(name, math.nan)

    @property
    def per_year(self) -> float:
        """Sessions a year of the strategy's calendar."""
        return sessions_per_year(self.strategy.universe.calendar)

    @property
    def benchmark(self) -> str:
        """What the strategy is compared with: ``equal_weight``, ``cash`` or a symbol."""
        return benchmark_name(self.strategy)

    @property
    def verdict(self) -> str:
        """Whether it is better than its benchmark, in a sentence; empty where that is unknown."""
        return verdict(self.metrics, self.benchmark)

    @property
    def has_named_benchmark(self) -> bool:
        """Whether its benchmark is not cash, and its returns are known."""
        return self.benchmark != "cash" and "benchmark_return" in self.days.columns

    @property
    def benchmark_line(self) -> str:
        """Label of the benchmark's line in a picture."""
        if self.benchmark == "equal_weight":
            return "benchmark: equal weight, kept equal"
        return f"benchmark: {self.benchmark}"

    @property
    def was_tried_before(self) -> bool:
        """Whether it is the best of several trials, as far as the ledger knows."""
        return self.trials is not None and self.trials.n_trials > 1

    @property
    def has_benchmark(self) -> bool:
        """Whether there is anything to compare the strategy with."""
        return not self.days.get_column("benchmark").null_count()


def report_of(
    result: "TrainingResult",
    *,
    findings: "Sequence[Finding]" = (),
    snapshot_id: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Report:
    """Gather a report from a training.

    Parameters
    ----------
    result : TrainingResult
    findings, snapshot_id, provenance
        See `Report`.
    """
    return Report(
        strategy=result.strategy,
        data_start=result.data_start,
        data_end=result.data_end,
        folds=result.folds,
        metrics=result.metrics,
        days=_days(result),
        importance=result.importance,
        importance_shuffled=result.importance_shuffled,
        trials=_trials(result),
        paths=_paths(result),
        findings=tuple(findings),
        snapshot_id=snapshot_id,
        provenance=dict(provenance or {}),
    )


def figures_in_words(report: Report) -> list[tuple[str, str, str]]:
    """Return the main figures: name, the strategy's and the benchmark's.

    The benchmark's is empty where there is none.
    """
    found = []
    for metric in MAIN_FIGURES:
        name, write = words_of(metric)
        held = report.metric(f"benchmark_{metric}")
        found.append((name, write(report.metric(metric)), "" if math.isnan(held) else write(held)))
    return found


def _days(result: "TrainingResult") -> pl.DataFrame:
    weight = pl.col("weight")
    wanted = (
        result.wanted_weights()
        .group_by("session")
        .agg(
            weight.filter(weight > 0.0).sum().alias("wanted_long"),
            weight.filter(weight < 0.0).sum().alias("wanted_short"),
        )
    )
    # Decided after a close, held from the next open.
    held = wanted.sort("session").with_columns(pl.exclude("session").shift(1, fill_value=0.0))
    return result.equity.join(held, on="session", how="left", maintain_order="left").with_columns(
        wanted_gross=pl.col("wanted_long") - pl.col("wanted_short")
    )


def _trials(result: "TrainingResult") -> Trials | None:
    summary = result.trials
    if summary is None:
        return None
    by_session = expected_best_sharpe(summary.n_trials, summary.variance)
    return Trials(
        n_trials=summary.n_trials,
        threshold=by_session * math.sqrt(sessions_per_year(result.strategy.universe.calendar)),
        table=summary.table,
        points=_points(summary.table, result),
    )


def _points(table: pl.DataFrame, result: "TrainingResult") -> pl.DataFrame:
    """Return the trials that have a Sharpe ratio as they are drawn."""
    defined = table.drop_nulls("sharpe").sort("sharpe", maintain_order=True)
    found = [json.loads(parameters) for parameters in defined.get_column("parameters")]
    final = result.strategy.model.model_dump(mode="json")
    sharpe = result.metrics["sharpe"]
    # Parameters that all trials share are left out.
    values: dict[str, set[str]] = {}
    for each in found:
        for name, value in each.items():
            values.setdefault(name, set()).add(json.dumps(value))
    telling = sorted(name for name, differing in values.items() if len(differing) > 1)
    return pl.DataFrame(
        {
            "trial": range(1, len(found) + 1),
            "sharpe": defined.get_column("sharpe"),
            # The same parameters may have been tried with other features, or on other data.
            "chosen": [
                each == final and math.isclose(reached, sharpe, rel_tol=1e-9)
                for each, reached in zip(found, defined.get_column("sharpe"), strict=True)
            ],
            "parameters": [
                ", ".join(f"{name} {each[name]}" for name in telling if name in each)
                for each in found
            ],
        },
        schema=_POINTS,
    )


def _paths(result: "TrainingResult") -> tuple[float, ...]:
    table = result.combinatorial
    if table is None:
        return ()
    return tuple(table.get_column("sharpe").drop_nulls().drop_nans().to_list())

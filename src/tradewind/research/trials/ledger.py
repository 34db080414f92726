"""The ledger of trials: every trial of a strategy counts against its best result.

The best Sharpe ratio of fifty trials means less than the same ratio of a single one. So each trial
is entered, also failed ones, and none is ever removed. The lineage of a strategy is its name.
Trials on other data count as long as the data overlap, for then they have used part of the data on
which the next trial is judged.

The configuration counts, not how often it was run. The same hypothesis on more data is not another
trial, for nothing was chosen between the two runs. So a strategy that is trained every night
without a change has one trial, on the data it was trained on last.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.evaluation.walk_forward import Judgement
from tradewind.research.statistics.alpha import alpha_variance
from tradewind.research.statistics.inference import backtest_overfitting
from tradewind.research.trials.continued import as_continued
from tradewind.research.trials.trial import Returns, Trial

__all__ = [
    "Ledger",
    "MemoryLedger",
    "TrialSummary",
    "counted_in",
    "overfitting",
    "record_training",
    "summarise_trials",
]

_BLOCKS: Final = 16
_LEAST_SESSIONS: Final = 2 * _BLOCKS
_SCHEMA: Final = pl.Schema(
    {
        "configuration": pl.String(),
        "snapshot_id": pl.String(),
        "data_start": pl.Date(),
        "data_end": pl.Date(),
        "parameters": pl.String(),
        "sharpe_per_session": pl.Float64(),
        "sharpe": pl.Float64(),
        "information_coefficient": pl.Float64(),
        "max_drawdown": pl.Float64(),
        "n_sessions": pl.Int64(),
        "failure": pl.String(),
    }
)


@dataclass(frozen=True)
class TrialSummary:
    """The trials of a strategy, as the deflated Sharpe ratio needs them.

    Attributes
    ----------
    n_trials : int
        Distinct configurations ever tried on overlapping data, failed ones among them.
    variance : float
        Of their Sharpe ratios a session; 0.0 below two that are defined.
    alpha_variance : float
        Of the Sharpe ratios a session of their residuals; see
        `tradewind.research.statistics.alpha.alpha_variance`. The same as `variance` where too few
        share enough sessions with the training at hand.
    pbo : float, optional
        Probability of backtest overfitting of the sweep at hand; None without a sweep, NaN if
        too few of its trials or sessions are left to tell.
    table : DataFrame of shape (n_trials, 11)
        configuration, snapshot_id, data_start, data_end, parameters (JSON), sharpe_per_session,
        sharpe (annualised), information_coefficient, max_drawdown, n_sessions, failure. If a
        configuration was run on several snapshots, only the trial whose data end last; if there are
        several of these, the one with the greatest snapshot id. The order does not depend on when a
        trial was run.
    """

    n_trials: int
    variance: float
    alpha_variance: float
    pbo: float | None
    table: pl.DataFrame


class Ledger(Protocol):
    """Where trials are entered and looked up; none can be removed."""

    def enter(self, trial: Trial) -> None:
        """Keep a trial; the same configuration on the same snapshot is kept once."""

    def trials(self, strategy: str) -> list[Trial]:
        """Return all trials of a strategy without their returns, in no order."""

    def returns(
        self, strategy: str, snapshot_id: str, configurations: Sequence[str]
    ) -> list[Returns]:
        """Return the net returns of trials that did not fail, in the order asked for."""


class MemoryLedger:
    """A ledger for a notebook without a database; it ends with the notebook."""

    def __init__(self) -> None:
        self._trials: dict[tuple[str, str, str], Trial] = {}

    def enter(self, trial: Trial) -> None:
        """Keep a trial; the same configuration on the same snapshot is kept once."""
        self._trials.setdefault((trial.strategy, trial.snapshot_id, trial.configuration), trial)

    def trials(self, strategy: str) -> list[Trial]:
        """Return all trials of a strategy without their returns, in no order."""
        kept = [trial for trial in self._trials.values() if trial.strategy == strategy]
        return [replace(trial, returns=None) for trial in kept]

    def returns(
        self, strategy: str, snapshot_id: str, configurations: Sequence[str]
    ) -> list[Returns]:
        """Return the net returns of trials that did not fail, in the order asked for."""
        found = [self._trials.get((strategy, snapshot_id, each)) for each in configurations]
        return [trial.returns for trial in found if trial is not None and trial.returns is not None]


def record_training(
    ledger: Ledger,
    judgement: Judgement,
    *,
    snapshot_id: str,
    feature_code: str = "",
    may_continue: bool = False,
) -> None:
    """Enter a training; after a sweep it repeats the best trial, and both count once.

    Parameters
    ----------
    ledger : Ledger
    judgement : Judgement
        As returned by `tradewind.research.evaluation.walk_forward.judge`.
    snapshot_id : str
        The snapshot it was judged on.
    feature_code : str
        See `tradewind.research.trials.trial.configuration_hash`.
    may_continue : bool
        Whether it is the trial of an earlier one that it continues: see `as_continued`.
    """
    trial = Trial.of_judgement(judgement, snapshot_id=snapshot_id, feature_code=feature_code)
    ledger.enter(as_continued(ledger, trial) if may_continue else trial)


def counted_in(
    ledger: Ledger,
    *,
    snapshot_id: str,
    sweep: Sequence[str] = (),
    feature_code: str = "",
    may_continue: bool = False,
) -> Callable[[Judgement], TrialSummary]:
    """Return the function with which `tradewind.research.training.train` enters its judgement.

    Parameters
    ----------
    ledger : Ledger
    snapshot_id : str
    sweep : sequence of str
        Configurations of the sweep's trials: `SweepResult.configurations`; empty without one.
    feature_code : str
        See `tradewind.research.trials.trial.configuration_hash`.
    may_continue : bool
        See `record_training`.
    """

    def enter(judgement: Judgement) -> TrialSummary:
        record_training(
            ledger, judgement, snapshot_id=snapshot_id, feature_code=feature_code,
            may_continue=may_continue,
        )  # fmt: skip
        strategy = judgement.strategy
        returns = ledger.returns(strategy.name, snapshot_id, sweep) if sweep else None
        return summarise_trials(
            ledger,
            strategy.name,
            data_start=judgement.data_start,
            data_end=judgement.data_end,
            symbols=strategy.universe.symbols,
            benchmark=Returns(judgement.sessions.to_numpy(), judgement.benchmark_returns),
            pbo=None if returns is None else overfitting(returns),
        )

    return enter


def summarise_trials(
    ledger: Ledger,
    strategy: str,
    *,
    data_start: date,
    data_end: date,
    symbols: Collection[str],
    benchmark: Returns,
    pbo: float | None = None,
) -> TrialSummary:
    """Count the configurations ever tried for a strategy on data that overlap these.

    Each counts once, on whatever number of snapshots it was run.

    Parameters
    ----------
    ledger : Ledger
    strategy : str
        Name: the lineage.
    data_start, data_end : date
        First and last session of the data at hand.
    symbols : collection of str
        Of the data at hand; trials overlap if they share a session and a symbol.
    benchmark : Returns
        Returns that all trials are compared with, on their common sessions.
    pbo : float, optional
        Of the sweep at hand; see `overfitting`.
    """
    table = _table(
        _latest(
            trial
            for trial in ledger.trials(strategy)
            if trial.overlaps(data_start, data_end, symbols)
        )
    )
    sharpes = table.get_column("sharpe_per_session").drop_nulls().to_numpy()
    variance = float(sharpes.var(ddof=1)) if sharpes.size > 1 else 0.0
    beside = _beside(ledger, strategy, table, benchmark)
    return TrialSummary(
        n_trials=table.height,
        variance=variance,
        alpha_variance=alpha_variance(beside, otherwise=variance),
        pbo=pbo,
        table=table,
    )


def overfitting(returns: Sequence[Returns]) -> float:
    """Return the probability of backtest overfitting of a sweep.

    Parameters
    ----------
    returns : sequence of Returns
        Of its trials that did not fail. They are compared on their common sessions.

    Returns
    -------
    float
        See `tradewind.research.statistics.inference.backtest_overfitting`; NaN below two trials or
        32 common sessions.
    """
    if len(returns) < 2:  # noqa: PLR2004
        return float("nan")
    common = returns[0].sessions
    for other in returns[1:]:
        if not np.array_equal(common, other.sessions):
            common = np.intersect1d(common, other.sessions, assume_unique=True)
    if common.size < _LEAST_SESSIONS:
        return float("nan")
    columns = [each.net[np.searchsorted(each.sessions, common)] for each in returns]
    return backtest_overfitting(np.column_stack(columns), n_blocks=_BLOCKS)


def _beside(
    ledger: Ledger, strategy: str, table: pl.DataFrame, benchmark: Returns
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the returns of each trial of a table, and the benchmark's on the same sessions."""
    if table.height < 2:  # noqa: PLR2004 - one does not vary
        return
    for (snapshot_id,), rows in table.group_by("snapshot_id", maintain_order=True):
        for trial in ledger.returns(
            strategy, snapshot_id, rows.get_column("configuration").to_list()
        ):
            _, ours, theirs = np.intersect1d(
                trial.sessions, benchmark.sessions, assume_unique=True, return_indices=True
            )
            yield trial.net[ours], benchmark.net[theirs]


def _latest(trials: Iterable[Trial]) -> Iterable[Trial]:
    """Return one trial a configuration: the one on the latest data."""
    latest: dict[str, Trial] = {}
    for trial in trials:
        held = latest.setdefault(trial.configuration, trial)
        if (trial.data_end, trial.snapshot_id) > (held.data_end, held.snapshot_id):
            latest[trial.configuration] = trial
    return latest.values()


def _table(trials: Iterable[Trial]) -> pl.DataFrame:
    rows = [
        {
            "configuration": trial.configuration,
            "snapshot_id": trial.snapshot_id,
            "data_start": trial.data_start,
            "data_end": trial.data_end,
            "parameters": json.dumps(dict(trial.parameters), sort_keys=True),
            "sharpe_per_session": trial.sharpe,
            "sharpe": trial.metrics.get("sharpe"),
            "information_coefficient": trial.metrics.get("information_coefficient"),
            "max_drawdown": trial.metrics.get("max_drawdown"),
            "n_sessions": trial.n_sessions,
            "failure": trial.failure,
        }
        for trial in trials
    ]
    return (
        pl.DataFrame(rows, schema=_SCHEMA)
        .with_columns(pl.col("sharpe_per_session").fill_nan(None))
        .sort("data_end", "data_start", "snapshot_id", "parameters", "configuration")
    )

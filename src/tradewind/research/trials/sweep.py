"""Sweeps: trials planned at once, run in batches by any number of processes, then collected.

A trial is entered in the ledger before its study marks it as finished, so that the ledger has every
trial that a sweep has.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from tradewind.errors import BacktestError, FitError, SplitError, SweepError
from tradewind.research.evaluation.dataset import Dataset, prepare
from tradewind.research.evaluation.walk_forward import Score, score
from tradewind.research.models.model import share
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.strategy.sweep import Choices, Range, Sweep
from tradewind.research.trials.database_ledger import DatabaseLedger
from tradewind.research.trials.parameter_sets import draw
from tradewind.research.trials.studies import find_study, plan_study, refuse_another
from tradewind.research.trials.trial import Trial, configuration_hash

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["BatchReport", "SweepPlan", "SweepResult", "collect", "plan", "run_batch", "study_name"]

_FIGURES: Final = ("sharpe", "information_coefficient", "max_drawdown")
_TYPES: Final = {**dict.fromkeys(("value", *_FIGURES), pl.Float64), "failure": pl.String}


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that is ready to run.

    Attributes
    ----------
    study_name : str
        Its name in Optuna.
    batches : tuple of int
        Numbers to call `run_batch` with, in parallel or not.
    n_trials : int
        Fewer than the strategy asks for if its parameters have no more values.
    """

    study_name: str
    batches: tuple[int, ...]
    n_trials: int


@dataclass(frozen=True)
class BatchReport:
    """The trials of one call of `run_batch`, by number, in the order they were run.

    Attributes
    ----------
    finished, failed : tuple of int
    taken_over : tuple of int
        Those of them that an earlier process had begun before it died.
    seconds : float
    """

    finished: tuple[int, ...]
    failed: tuple[int, ...]
    taken_over: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class SweepResult:
    """A sweep whose trials are all finished.

    Attributes
    ----------
    study_name : str
    best_number : int
        The lowest number, if several trials are best.
    best_parameters : dict
    best_value : float
        Of the sweep's objective.
    configurations : tuple of str
        Of all trials in their order; see `tradewind.research.trials.trial.configuration_hash`.
    trials : DataFrame of shape (n_trials, 6 + n_parameters)
        number, one column a parameter, value (the objective; null if it failed), sharpe
        (annualised), information_coefficient, max_drawdown, failure.
    """

    study_name: str
    best_number: int
    best_parameters: dict[str, Any]
    best_value: float
    configurations: tuple[str, ...]
    trials: pl.DataFrame


def plan(
    strategy: Strategy,
    snapshot_id: str,
    storage_url: str,
    *,
    sweep_id: str | None = None,
    asked_by: str | None = None,
    feature_code: str = "",
) -> SweepPlan:
    """Create a sweep with all its trials, or find it, or continue one that failed.

    Parameters
    ----------
    strategy : Strategy
        With a sweep.
    snapshot_id : str
        Of the bars its trials will be judged on.
    storage_url : str
        Of the PostgreSQL database, as SQLAlchemy writes it.
    sweep_id : str, optional
        Tells this sweep from others of the strategy. If not given, it is derived from the strategy,
        the snapshot and the code of its features, so that the same sweep is found again.
    asked_by : str, optional
        Who asks, such as a run. An unfinished sweep is continued, whoever began it; a sweep that
        another asker has finished is not reused.
    feature_code : str
        See `tradewind.research.trials.trial.configuration_hash`.

    Raises
    ------
    SweepError
        If the strategy has no sweep, or there is another one of that name.
    StrategyError
        If the model's code cannot be used.
    LedgerError
        If the database is out of reach or refuses.
    """
    strategy.model.check_code(strategy.name)
    sets = draw(strategy)
    sweep = _sweep_of(strategy)
    identity = _identity(strategy, snapshot_id, feature_code)
    name = study_name(strategy, sweep_id or identity["question"][:16])
    name = plan_study(
        storage_url,
        name,
        identity,
        parameters=sets,
        distributions={key: _distribution(space) for key, space in sweep.parameters.items()},
        asked_by=asked_by,
    )
    return SweepPlan(name, tuple(range(min(sweep.batches, len(sets)))), len(sets))


def study_name(strategy: Strategy, sweep_id: str) -> str:
    """Return a sweep's name in Optuna."""
    return f"{strategy.name}-{sweep_id}"


def run_batch(
    study_name: str,
    bars: pl.DataFrame,
    strategy: Strategy,
    storage_url: str,
    *,
    batch: int = 0,
    num_threads: int = 1,
    on_trial: Callable[[int, int], None] | None = None,
) -> BatchReport:
    """Run trials until all are finished, or running elsewhere.

    Batches share all trials, each beginning at a place of its own, so that none waits while
    there is work. Called again after it was killed, it goes on.

    Parameters
    ----------
    study_name : str
        From `plan`.
    bars : DataFrame of shape (n_bars, 9)
        Those of the snapshot the sweep was planned for.
    strategy : Strategy
        The one it was planned for.
    storage_url : str
        Of the PostgreSQL database, as SQLAlchemy writes it.
    batch : int
        Which of the plan's batches this is.
    num_threads : int
        Cores used for fitting. Results do not depend on it.
    on_trial : callable, optional
        Called with (number of the trial, trials of the sweep) after each.

    Raises
    ------
    SweepError
        If there is no such sweep, or it was planned for another strategy.
    StrategyError, SplitError
        If the bars do not suit the strategy.
    LedgerError
        If the database is out of reach or refuses.
    """
    began = time.monotonic()
    sweep = _sweep_of(strategy)
    done: dict[int, bool] = {}
    taken_over = []
    with (
        find_study(storage_url, study_name) as study,
        DatabaseLedger(storage_url, durable=False) as ledger,
    ):
        data = _data_of(study.identity)
        refuse_another(study_name, study.identity, _identity(strategy, **data))
        dataset = prepare(bars, strategy)
        # Freed with the batch: about a byte a row and feature of every fold, and twelve a row.
        shared = [share(strategy) for _ in dataset.windows]
        span = dataset.data_start, dataset.data_end
        total = len(study.trials())
        start = batch * total // sweep.batches % total
        while pending := study.unfinished():
            ran = len(done)
            for number in (each % total for each in range(start, start + total)):
                if number not in pending:
                    continue
                with study.claimed(pending[number]) as claim:
                    if claim is None:
                        continue
                    tried = strategy.with_parameters(claim.parameters)
                    outcome = _outcome(dataset, shared, tried, sweep, num_threads)
                    ledger.enter(Trial.of(outcome, tried, span=span, **data))
                    study.finish(claim, _value(outcome, sweep))
                done[number] = isinstance(outcome, Score)
                if claim.begun_before:
                    taken_over.append(number)
                if on_trial is not None:
                    on_trial(number, total)
            if len(done) == ran:  # others are running the rest
                break
        study.settle()
    return BatchReport(
        finished=tuple(number for number, well in done.items() if well),
        failed=tuple(number for number, well in done.items() if not well),
        taken_over=tuple(taken_over),
        seconds=time.monotonic() - began,
    )


def collect(study_name: str, strategy: Strategy, storage_url: str) -> SweepResult:
    """Return the best parameters and all trials of a sweep.

    Raises
    ------
    SweepError
        If a trial is unfinished, all failed, or the sweep is another's or does not exist.
    LedgerError
        If the database is out of reach or refuses.
    """
    with find_study(storage_url, study_name) as study, DatabaseLedger(storage_url) as ledger:
        data = _data_of(study.identity)
        refuse_another(study_name, study.identity, _identity(strategy, **data))
        trials = study.trials()
        kept = {
            entry.configuration: entry
            for entry in ledger.trials(strategy.name)
            if entry.snapshot_id == data["snapshot_id"]
        }
    waiting = [trial.number for trial in trials if not trial.state.is_finished()]
    if waiting:
        raise SweepError(
            f"sweep {study_name}: {len(waiting)} of {len(trials)} trials are unfinished, the first "
            f"is {waiting[0]}; run its batches again, they go on where they stopped"
        )
    configurations = tuple(
        configuration_hash(strategy.with_parameters(trial.params), data["feature_code"])
        for trial in trials
    )
    entries = [kept[each] for each in configurations]
    values = {trial.number: trial.value for trial in trials if trial.value is not None}
    if not values:
        raise SweepError(
            f"sweep {study_name}: all {len(trials)} trials failed, the first because: "
            f"{entries[0].failure}"
        )
    best = min(values, key=lambda number: (-values[number], number))
    table = [
        {"number": trial.number, **trial.params, "value": trial.value, **_figures(entry)}
        for trial, entry in zip(trials, entries, strict=True)
    ]
    return SweepResult(
        study_name=study_name,
        best_number=best,
        best_parameters=dict(trials[best].params),
        best_value=values[best],
        configurations=configurations,
        trials=pl.DataFrame(table, infer_schema_length=None, schema_overrides=_TYPES),
    )


def _sweep_of(strategy: Strategy) -> Sweep:
    if strategy.sweep is None:
        raise SweepError(f"strategy {strategy.name}: the file asks for no sweep")
    return strategy.sweep


def _identity(strategy: Strategy, snapshot_id: str, feature_code: str) -> dict[str, str]:
    """Return the identity of a sweep: two with the same values are the same sweep."""
    asked = {
        "configuration": configuration_hash(strategy, feature_code),
        "strategy": strategy.name,
        "sweep": _sweep_of(strategy).model_dump(mode="json", exclude={"batches"}),
        "snapshot_id": snapshot_id,
    }
    question = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return {"question": question, "snapshot_id": snapshot_id, "feature_code": feature_code}


def _data_of(identity: Mapping[str, str]) -> dict[str, str]:
    return {key: identity[key] for key in ("snapshot_id", "feature_code")}


def _outcome(
    dataset: Dataset, shared: Sequence[object], strategy: Strategy, sweep: Sweep, num_threads: int
) -> Score | str:
    """Return a trial's score, or why it failed."""
    try:
        # A trial whose parameters change its features has rows of its own, which it cannot share.
        suited = dataset if dataset.suits(strategy) else prepare(dataset.bars, strategy)
        kept = shared if suited is dataset else None
        scored = score(suited, strategy, num_threads=num_threads, shared=kept)
    except (BacktestError, FitError, SplitError) as error:
        return str(error)
    if not math.isfinite(scored.metrics[sweep.objective]):
        return f"its {sweep.objective} is not defined: it never traded, or nothing varied"
    return scored


def _value(outcome: Score | str, sweep: Sweep) -> float | None:
    return outcome.metrics[sweep.objective] if isinstance(outcome, Score) else None


def _distribution(space: Range | Choices) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(space, Choices):
        return CategoricalDistribution(space.choices)
    if space.whole:
        return IntDistribution(int(space.low), int(space.high), log=space.log)
    return FloatDistribution(float(space.low), float(space.high), log=space.log)


def _figures(entry: Trial) -> dict[str, Any]:
    return {**{name: entry.metrics.get(name) for name in _FIGURES}, "failure": entry.failure}

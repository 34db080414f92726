"""The tasks of a sweep, in a Celery worker, and what the sweep has chosen.

Each step imports what it needs when it runs, for this module is read with every DAG file.
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.desk.bars import bar_store
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

if TYPE_CHECKING:
    from tradewind.research.trials.sweep import SweepPlan

__all__ = ["Chosen", "chosen_by_sweep", "plan_sweep", "run_trials", "work_id"]

log = logging.getLogger(__name__)

_STUDY = "study"  # the XCom that names the study of a run's tasks
# What a trial's figures depend on, beside the strategy and the bars; and what they do not.
_JUDGED_WITH = ("tradewind", "lightgbm", "numpy", "polars", "scikit-learn")
_KEPT_WITH = frozenset({"cloudpickle", "pandas", "skops"})


@dataclass(frozen=True)
class Chosen:
    """What is trained.

    Attributes
    ----------
    strategy : Strategy
        With the best parameters, if there was a sweep.
    configurations : tuple of str
        Of the sweep's trials; none without one.
    """

    strategy: Strategy
    configurations: tuple[str, ...] = ()


def plan_sweep(strategy: Strategy, snapshot_id: str) -> list[int]:
    """Store every trial of the run's sweep as waiting, and return the numbers of its batches.

    The same sweep of an earlier run that failed is continued.

    Raises
    ------
    TradewindError
        If the strategy's sweep cannot be drawn or the ledger is out of reach.
    """
    from airflow.sdk import get_current_context

    planned = _planned(strategy, snapshot_id)
    get_current_context()["ti"].xcom_push(_STUDY, planned.study_name)
    log.info("%d trials in study %s", planned.n_trials, planned.study_name)
    return list(planned.batches)


def run_trials(strategy: Strategy, snapshot_id: str, batch: int) -> int:
    """Judge waiting trials of the run's sweep until none is left, and return how many.

    Raises
    ------
    TradewindError
        If the snapshot is damaged or the ledger is out of reach.
    """
    from tradewind.research.trials.sweep import run_batch

    settings = load_settings()
    report = run_batch(
        _study_of_run() or _planned(strategy, snapshot_id).study_name,
        bar_store(settings).read(snapshot_id),
        strategy,
        ledger_url(settings),
        batch=batch,
        on_trial=lambda number, total: log.info("trial %d of %d is judged", number, total),
    )
    if report.failed:
        log.warning("trials %s failed; they count all the same", report.failed)
    log.info("%d trials in %.1f s", len(report.finished), report.seconds)
    return len(report.finished)


def chosen_by_sweep(strategy: Strategy, snapshot_id: str) -> Chosen:
    """Return the strategy as the run's sweep has chosen it; as it is where it has no sweep.

    Raises
    ------
    TradewindError
        If all trials failed, some are unfinished, or the ledger is out of reach.
    """
    from tradewind.research.trials.sweep import collect

    if strategy.sweep is None:
        return Chosen(strategy)
    study = _judged_study(strategy, snapshot_id)
    swept = collect(study, strategy, ledger_url(load_settings()))
    log.info("trial %d is the best: %s", swept.best_number, swept.best_parameters)
    return Chosen(strategy.with_parameters(swept.best_parameters), swept.configurations)


def work_id(strategy: Strategy, snapshot_id: str) -> str:
    """Return the identity of work: the strategy, the code of its own, bars and libraries."""
    from importlib.metadata import version

    from tradewind.registry.flavours import packages
    from tradewind.research.features.own_code import own_code_hash

    code = own_code_hash(strategy)
    others = sorted({*packages(strategy.model)} - {*_JUDGED_WITH} - _KEPT_WITH)
    versions = " ".join(f"{name} {version(name)}" for name in (*_JUDGED_WITH, *others))
    parts = f"{snapshot_id} {strategy.content_hash()} {code} {versions}"
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _planned(strategy: Strategy, snapshot_id: str) -> "SweepPlan":
    """Plan the run's sweep; asked again in the same run, find it."""
    from airflow.sdk import get_current_context

    from tradewind.research.features.own_code import own_code_hash
    from tradewind.research.trials.sweep import plan

    run = get_current_context()["dag_run"]
    return plan(
        strategy,
        snapshot_id,
        ledger_url(load_settings()),
        sweep_id=work_id(strategy, snapshot_id),
        asked_by=f"{run.dag_id} {run.run_id}",
        feature_code=own_code_hash(strategy),
    )


def _study_of_run() -> str | None:
    """Return the study that the run's first task named; None if 0.1.0 planned it and named none."""
    from airflow.sdk import get_current_context

    name = get_current_context()["ti"].xcom_pull(task_ids="plan_sweep", key=_STUDY)
    return None if name is None else str(name)


def _judged_study(strategy: Strategy, snapshot_id: str) -> str:
    """Return the run's study, of which every trial is judged.

    Trials that 0.1.0 has judged are judged anew: the final model is held against figures of the
    code that trains it.
    """
    if (study := _study_of_run()) is not None:
        return study
    log.info("0.1.0 judged the trials of this run; they are judged anew")
    run_trials(strategy, snapshot_id, batch=0)
    return _planned(strategy, snapshot_id).study_name

"""The tasks that fit the folds of one training on several workers (``walk_forward.spread``).

Each step imports what it needs when it runs, for this module is read with every DAG file.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tradewind.desk.bars import bar_store
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.orchestration.steps.sweeps import chosen_by_sweep, work_id
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tradewind.research.evaluation.dataset import Dataset

__all__ = ["forget", "handed_over", "plan_folds", "run_folds"]

log = logging.getLogger(__name__)


def plan_folds(strategy: Strategy, snapshot_id: str) -> list[list[int]]:
    """Return the folds of the run's training, in the parts that a task each fits.

    Raises
    ------
    TradewindError
        If the snapshot is damaged, the strategy cannot be trained on it, or the ledger is out of
        reach.
    """
    from tradewind.desk.spread import plan_folds as plan

    settings = load_settings()
    chosen = chosen_by_sweep(strategy, snapshot_id).strategy
    parts = plan(bar_store(settings).read(snapshot_id), chosen, ledger_url(settings))
    log.info("%d folds in %d tasks", sum(map(len, parts)), len(parts))
    return parts


def run_folds(strategy: Strategy, snapshot_id: str, folds: Sequence[int]) -> int:
    """Fit some folds of the run's training, and return how many; a second try goes on.

    Raises
    ------
    TradewindError
        If the snapshot is damaged, a model cannot be fitted, or the ledger is out of reach.
    """
    from tradewind.desk.spread import fit_folds

    settings = load_settings()
    chosen = chosen_by_sweep(strategy, snapshot_id).strategy
    return fit_folds(
        bar_store(settings).read(snapshot_id),
        snapshot_id,
        chosen,
        ledger_url(settings),
        work=_work(chosen, snapshot_id),
        folds=folds,
        on_fold=_log_fold,
    )


def handed_over(strategy: Strategy, snapshot_id: str) -> "Mapping[int, NDArray[np.float64]]":
    """Return by fold what the tasks before have predicted; nothing where no folds are spread.

    Parameters
    ----------
    strategy : Strategy
        As it is trained: after a sweep, with the best parameters.
    snapshot_id : str

    Raises
    ------
    TradewindError
        If the ledger is out of reach.
    """
    from tradewind.desk.spread import folds_handed_over

    if not strategy.walk_forward.spread:
        return {}
    found = folds_handed_over(ledger_url(load_settings()), _work(strategy, snapshot_id))
    log.info(
        "%d folds were fitted by other tasks; those that are missing are fitted here", len(found)
    )
    return found


def forget(strategy: Strategy, snapshot_id: str) -> None:
    """Remove what was handed over to a training that is registered; parameters as before.

    Raises
    ------
    TradewindError
        If the ledger is out of reach.
    """
    from tradewind.desk.spread import forget_folds

    if strategy.walk_forward.spread:
        forget_folds(ledger_url(load_settings()), _work(strategy, snapshot_id))


def _work(strategy: Strategy, snapshot_id: str) -> str:
    """Return what tells the folds of this run from others.

    The file, or the code of its own, may be edited while the run goes on: folds of before are then
    not found, and fitted anew.
    """
    from airflow.sdk import get_current_context

    run = get_current_context()["dag_run"]
    parts = f"{run.dag_id} {run.run_id} {work_id(strategy, snapshot_id)}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _log_fold(fold: int, dataset: "Dataset") -> None:
    tested = dataset.test_rows(dataset.windows[fold])
    sessions = tested.get_column("session")
    log.info(
        "fold %d of %d is fitted: %d rows of %s to %s are predicted",
        fold, len(dataset.windows), tested.height, sessions[0], sessions[-1],
    )  # fmt: skip

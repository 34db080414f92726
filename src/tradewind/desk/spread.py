"""Folds of one training that are fitted in several processes.

Where they are fitted changes nothing: a fold depends on its own rows and on no other fold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tradewind.desk.counted import failure_counted

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from tradewind.research.evaluation.dataset import Dataset
    from tradewind.research.strategy.strategy import Strategy

__all__ = ["fit_folds", "folds_handed_over", "forget_folds", "plan_folds"]

_MOST_PARTS: Final = 256  # each is a process, and begins with the features of all bars
_KEPT_DAYS: Final = 7  # what a run that failed has left


def plan_folds(bars: "pl.DataFrame", strategy: "Strategy", database_url: str) -> list[list[int]]:
    """Divide the folds of a strategy into parts: each for itself, unless there are too many.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated, and judged once more by the training that the folds are part of.
    strategy : Strategy
        After a sweep: with the best parameters.
    database_url : str
        Of the database over which they are handed. What failed runs have left there is removed.

    Returns
    -------
    list of list of int
        Folds by number, from 0.

    Raises
    ------
    ResearchError
        If the strategy cannot be judged on these bars: here rather than in every part.
    """
    from tradewind.research.evaluation.dataset import prepare
    from tradewind.research.features.leaks import refuse_lookahead
    from tradewind.research.trials.kept_folds import KeptFolds

    strategy.model.check_code(strategy.name)
    refuse_lookahead(bars, strategy, seed=strategy.seed)
    folds = range(len(prepare(bars, strategy).windows))
    with KeptFolds(database_url) as kept:
        kept.forget_older(_KEPT_DAYS)
    return [list(folds[first::_MOST_PARTS]) for first in folds[:_MOST_PARTS]]


def fit_folds(
    bars: "pl.DataFrame",
    snapshot_id: str,
    strategy: "Strategy",
    database_url: str,
    *,
    work: str,
    folds: Sequence[int],
    on_fold: "Callable[[int, Dataset], None] | None" = None,
) -> int:
    """Fit some folds and hand over what they predict; leave out those that are there already.

    A model that cannot be fitted was tried: it is entered in the ledger with the reason.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Those of the snapshot.
    snapshot_id : str
    strategy : Strategy
    database_url : str
        Of the ledger, and of the folds.
    work : str
        Tells these folds from those of any other strategy, bars, code or run.
    folds : sequence of int
        Some of `plan_folds`.
    on_fold : callable, optional
        Called with the number of a fold that is done, and the dataset.

    Returns
    -------
    int
        Folds that were fitted here.

    Raises
    ------
    ResearchError
        If a model cannot be fitted, or the database is out of reach.
    """
    from tradewind.research.evaluation.dataset import prepare
    from tradewind.research.evaluation.walk_forward import predict_fold
    from tradewind.research.trials.kept_folds import KeptFolds

    strategy.model.check_code(strategy.name)
    with KeptFolds(database_url) as kept:
        wanted = {*folds} - kept.known(work)
        if not wanted:
            return 0
        dataset = prepare(bars, strategy)
        # The file may have been edited since they were planned, and have fewer by now.
        wanted &= {*range(len(dataset.windows))}
        for fold in sorted(wanted):
            with failure_counted(bars, snapshot_id, strategy, database_url):
                predictions = predict_fold(dataset, strategy, fold, num_threads=1)
            kept.keep(work, fold, predictions)
            if on_fold is not None:
                on_fold(fold, dataset)
    return len(wanted)


def folds_handed_over(database_url: str, work: str) -> "Mapping[int, NDArray[np.float64]]":
    """Return by fold what was predicted for its test.

    Raises
    ------
    LedgerError
        If the database is out of reach.
    """
    from tradewind.research.trials.kept_folds import KeptFolds

    with KeptFolds(database_url) as kept:
        return kept.predictions(work)


def forget_folds(database_url: str, work: str) -> None:
    """Remove what was handed over.

    Raises
    ------
    LedgerError
        If the database is out of reach.
    """
    from tradewind.research.trials.kept_folds import KeptFolds

    with KeptFolds(database_url) as kept:
        kept.forget(work)

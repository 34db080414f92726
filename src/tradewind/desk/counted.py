"""A training that counts: whoever asks for it, it enters the ledger of trials.

The same for a backtest on the command line or in a notebook, and for the task of a training.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.errors import BacktestError, FitError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from tradewind.desk.bars import CheckedBars
    from tradewind.research.models.external import HandedIn
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.research.training import TrainingResult

__all__ = ["CountedTraining", "failure_counted", "train_counted"]


@dataclass(frozen=True)
class CountedTraining:
    """A training that is in the ledger.

    Attributes
    ----------
    result : TrainingResult
    features_sha256 : str
        Of the code of the strategy's own features; empty if it has none.
    model_code_sha256 : str
        Of that of its own model or rule; empty if it has none.
    """

    result: "TrainingResult"
    features_sha256: str
    model_code_sha256: str


def train_counted(
    bars: "CheckedBars",
    strategy: "Strategy",
    ledger_url: str,
    *,
    sweep: Sequence[str] = (),
    on_fold: Callable[[int, int], None] | None = None,
    predicted: "Mapping[int, NDArray[np.float64]] | None" = None,
    handed_in: "HandedIn | None" = None,
) -> CountedTraining:
    """Judge a strategy and fit its final model, entering the trial in the ledger.

    One that fails was tried, too: it is entered with the reason.

    One thread does it: a worker runs as many tasks as it has slots, and one thread is repeatable.

    Parameters
    ----------
    bars : CheckedBars
    strategy : Strategy
        After a sweep: with the best parameters.
    ledger_url : str
        Address of the ledger's database: in a worker it stands in the environment, for a user
        among the stack's secrets.
    sweep : sequence of str
        Configurations of the sweep's trials; empty without one.
    on_fold : callable, optional
        Called with (folds done, folds in all) after each fold.
    predicted : mapping of int to ndarray, optional
        By fold, what was predicted elsewhere: see `tradewind.desk.spread`.
    handed_in : HandedIn, optional
        The predictions of an external model, whose content tells trials apart.

    Raises
    ------
    ResearchError
        If the strategy cannot be judged on these bars, or the ledger is out of reach.
    """
    from tradewind.research.code.own import model_code_hash
    from tradewind.research.features.own_code import feature_code_hash, own_code_hash
    from tradewind.research.training import train
    from tradewind.research.trials.database_ledger import DatabaseLedger
    from tradewind.research.trials.ledger import counted_in

    code = own_code_hash(strategy) if handed_in is None else handed_in.sha256
    features, model = feature_code_hash(strategy) or "", model_code_hash(strategy) or ""
    with DatabaseLedger(ledger_url) as ledger:
        counted = counted_in(
            ledger, snapshot_id=bars.snapshot_id, sweep=sweep, feature_code=code,
            may_continue=handed_in is not None,
        )  # fmt: skip
        with failure_counted(bars.bars, bars.snapshot_id, strategy, ledger_url, code=code):
            result = train(
                bars.bars,
                strategy,
                trials=counted,
                num_threads=1,
                on_fold=on_fold,
                predicted=predicted,
                handed_in=handed_in,
            )
    return CountedTraining(result, features, model)


@contextmanager
def failure_counted(
    bars: "pl.DataFrame",
    snapshot_id: str,
    strategy: "Strategy",
    ledger_url: str,
    *,
    code: str | None = None,
) -> Iterator[None]:
    """Enter a trial that fails inside in the ledger, with the reason: it was tried, too.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Those of the snapshot.
    snapshot_id : str
    strategy : Strategy
    ledger_url : str
    code : str, optional
        Tells the trial from others of the same file; if not given, the hash of the code of its own.

    Raises
    ------
    LedgerError
        If the ledger is out of reach.
    """
    from tradewind.research.features.own_code import own_code_hash
    from tradewind.research.features.universe import select_bars
    from tradewind.research.trials.database_ledger import DatabaseLedger
    from tradewind.research.trials.trial import Trial

    # Of the code that runs, whatever the file holds afterwards.
    code = own_code_hash(strategy) if code is None else code
    try:
        yield
    except (BacktestError, FitError) as error:
        if not isinstance(error.__cause__, TimeoutError):  # which tells of the machine, too
            used = select_bars(bars, strategy).get_column("session").unique().sort()
            failed = Trial.of(
                str(error), strategy, snapshot_id=snapshot_id,
                span=(used[0], used[-1]), feature_code=code,
            )  # fmt: skip
            with DatabaseLedger(ledger_url) as ledger:
                ledger.enter(failed)
        raise

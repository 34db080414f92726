"""Whether a model's predictions come from its rows alone, and come out the same again.

The first and the last fold are fitted once more, in a process that has done nothing before, and
asked for the same predictions; then for those of the earlier half of their sessions, with no later
row beside them. A model that looks at the rows of later sessions, or has kept something of another
fit, then predicts something else. So does one that draws numbers without the strategy's seed: it is
told from the others by one more fit in this process.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import LeakError, ResearchError, TradewindError
from tradewind.host.parents import end_with
from tradewind.market.bars import KEY
from tradewind.research.code.own import kept_sources, sources_kept, told
from tradewind.research.evaluation.dataset import Dataset
from tradewind.research.models.model import fit, predict_rows
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import PREFIX

__all__ = ["comes_out_again", "serve"]

# Of the predictions' own spread: what a sum is rounded by in a batch of another length.
_ROUNDING: Final = 1e-9

# As it is before any code of the desk's own runs: that could keep something there.
_AT_FIRST: Final = dict(os.environ)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Fold:
    """The rows of one fold, and what was predicted for its test."""

    index: int
    train: pl.DataFrame
    test: pl.DataFrame
    predicted: Numbers

    @property
    def earlier(self) -> int:
        """How many of the test's rows are of the earlier half of its sessions."""
        sessions = self.test.get_column("session")
        days = sessions.unique().sort()
        return int((sessions <= days[(days.len() - 1) // 2]).sum())


def comes_out_again(
    dataset: Dataset, predictions: pl.DataFrame, strategy: Strategy, *, num_threads: int = 1
) -> bool:
    """Fit and ask again, and compare to the bit.

    Parameters
    ----------
    dataset : Dataset
    predictions : DataFrame of shape (n_rows, 5)
        Out of sample, of the same dataset, as `tradewind.research.evaluation.walk_forward.score`
        returns them.
    strategy : Strategy
    num_threads : int
        Cores used for fitting, as for `predictions`.

    Returns
    -------
    bool
        Whether two fits on the same rows predict the same.

    Raises
    ------
    LeakError
        If a prediction depends on later rows, or on what the process did before.
    FitError
        If the model fails in the other process.
    ResearchError
        If that process is gone.
    """
    folds = [_fold(dataset, predictions, index) for index in (0, len(dataset.windows) - 1)]
    for fold, (whole, earlier) in zip(folds, _asked(folds, strategy, num_threads), strict=True):
        _refuse_later_rows(fold, whole, earlier, strategy)
        if np.array_equal(whole, fold.predicted):
            continue
        model = fit(fold.train, strategy, num_threads=num_threads)
        here = predict_rows(model, fold.test, strategy, num_threads=num_threads)
        if not np.array_equal(here, fold.predicted):
            return False
        raise LeakError(_remembers(fold, whole, strategy))
    return True


def _fold(dataset: Dataset, predictions: pl.DataFrame, index: int) -> _Fold:
    window = dataset.windows[index]
    predicted = predictions.filter(pl.col("fold") == index).get_column("prediction").to_numpy()
    return _Fold(index, dataset.train_rows(window), dataset.test_rows(window), predicted)


def _refuse_later_rows(fold: _Fold, whole: Numbers, earlier: Numbers, strategy: Strategy) -> None:
    beside = whole[: earlier.size]
    allowed = _ROUNDING * float(np.std(whole))
    wrong = np.flatnonzero(~(np.abs(earlier - beside) <= allowed))
    if wrong.size:
        at = int(wrong[0])
        symbol, session = fold.test.select(KEY).row(at)
        raise LeakError(
            f"strategy {strategy.name}: model: it looks ahead: for {symbol} {session} it predicts "
            f"{beside[at]!r} with later sessions beside it and {earlier[at]!r} without them "
            f"({wrong.size} of {earlier.size} rows of fold {fold.index}). A prediction must come "
            "from its own session and those before it"
        )


def _remembers(fold: _Fold, whole: Numbers, strategy: Strategy) -> str:
    wrong = np.flatnonzero(whole != fold.predicted)
    symbol, session = fold.test.select(KEY).row(int(wrong[0]))
    return (
        f"strategy {strategy.name}: model: it remembers: for {symbol} {session} it predicts "
        f"{fold.predicted[wrong[0]]!r} in one process and {whole[wrong[0]]!r} in another, by what "
        f"each had fitted before ({wrong.size} of {whole.size} rows of fold {fold.index}). All "
        "that a fit keeps must be in its own object, and nothing in its module, its class or a file"
    )


def _asked(
    folds: Sequence[_Fold], strategy: Strategy, num_threads: int
) -> list[tuple[Numbers, Numbers]]:
    """Return, of each fold, all predictions and those of its earlier half, from a new process."""
    ours, theirs = Pipe()
    with ours, theirs:
        process = subprocess.Popen(
            [
                sys.executable, "-c",
                f"import sys; sys.path[:] = {sys.path!r}\n"
                f"from {__name__} import serve; serve({theirs.fileno()})",
            ],
            env=_environment(), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=2,
        )  # fmt: skip
        theirs.close()
        try:
            found = []
            ours.send_bytes(pickle.dumps((os.getpid(), strategy, num_threads, kept_sources())))
            for fold in folds:
                ours.send_bytes(
                    pickle.dumps((fold.train, fold.test.drop("label", "label_end"), fold.earlier))
                )
                found.append(ours.recv())
        except (OSError, EOFError) as error:
            code = process.wait()
            raise ResearchError(
                f"strategy {strategy.name}: model: the process that fits it once more has ended "
                f"(code {code}): see what it wrote to standard error, and whether memory was short"
            ) from error
        finally:
            process.kill()
            process.wait()
    for answer in found:
        if isinstance(answer, TradewindError):
            raise answer
    return found


def _environment() -> dict[str, str]:
    """Return the environment that this process began with, and today's settings."""
    settings = {key: value for key, value in os.environ.items() if key.startswith(PREFIX)}
    return {key: value for key, value in _AT_FIRST.items() if not key.startswith(PREFIX)} | settings


def serve(descriptor: int) -> None:
    """Fit and predict what is asked for, until the other end closes."""
    with Connection(descriptor) as connection:
        parent, strategy, num_threads, kept = pickle.loads(connection.recv_bytes())  # noqa: S301 - our parent's
        end_with(parent)
        with sources_kept(kept):
            while True:
                try:
                    asked = pickle.loads(connection.recv_bytes())  # noqa: S301
                except EOFError:
                    return
                connection.send(_answer(asked, strategy, num_threads))


def _answer(asked: tuple[pl.DataFrame, pl.DataFrame, int], strategy: Strategy, cores: int) -> Any:  # noqa: ANN401
    train, test, earlier = asked
    try:
        model = fit(train, strategy, num_threads=cores)
        half, whole = (
            predict_rows(model, rows, strategy, num_threads=cores)
            for rows in (test.head(earlier), test)
        )
    except TradewindError as error:
        return type(error)(str(error))
    except Exception as error:  # noqa: BLE001 - it is told where it is understood
        return ResearchError(f"the model cannot be fitted once more: {told(error)}")
    return whole, half

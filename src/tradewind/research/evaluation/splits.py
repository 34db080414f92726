"""Folds whose training labels share no price with the labels they are tested on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import SplitError

__all__ = ["CombinatorialFold", "combinatorial_purged", "purged_walk_forward"]

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class CombinatorialFold:
    """One choice of test folds, and the sessions left for training.

    Attributes
    ----------
    train : ndarray of int
        Positions, increasing.
    tests : tuple of (int, ndarray of int)
        For each test fold the history it belongs to, from 0, and its positions, increasing.
    """

    train: Positions
    tests: tuple[tuple[int, Positions], ...]


def purged_walk_forward(
    dates: NDArray[np.datetime64],
    *,
    train: int,
    test: int,
    purge: int,
    window: Literal["rolling", "expanding"] = "rolling",
) -> list[tuple[Positions, Positions]]:
    """Return (train, test) positions into `dates` per fold, oldest first.

    A label of position p is made of prices up to p + horizon. With `purge` equal to the
    horizon, the last training position is `test[0] - purge - 1`, so its label ends on the
    last session before the test window.

    Parameters
    ----------
    dates : ndarray of shape (n_sessions,), strictly increasing
    train, test, purge : int
        Sessions per window, and sessions left out between the two. Test windows follow one
        another without gap or overlap; sessions at the end that fill no window are unused, and
        counted by `tradewind.research.evaluation.dataset.Dataset.untested_sessions`.
    window : {"rolling", "expanding"}
        Whether each fold is trained on the latest `train` sessions before the purge, or on all
        of them from the first on. The test windows are the same.

    Returns
    -------
    list of (train, test) pairs of int arrays, shapes (train,), or more if expanding, and (test,)

    Raises
    ------
    SplitError
        If dates do not increase, a length is invalid, or no fold fits.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, ch. 7.
    """
    _refuse_disorder(dates)
    if train < 1 or test < 1 or purge < 0:
        raise SplitError(f"invalid lengths: {train=}, {test=}, {purge=}")
    starts = range(train + purge, dates.size - test + 1, test)
    if not starts:
        raise SplitError(
            f"{dates.size} sessions cannot hold one fold of {train} + {purge} + {test} sessions"
        )
    folds = []
    for start in starts:
        end = start - purge
        first = end - train if window == "rolling" else 0
        folds.append((np.arange(first, end), np.arange(start, start + test)))
    return folds


def combinatorial_purged(
    dates: NDArray[np.datetime64], *, folds: int, test_folds: int, purge: int, embargo: int
) -> list[CombinatorialFold]:
    """Return every choice of test folds, each with the sessions it may be trained on.

    The sessions are cut into `folds` of equal length; the last fold takes the remainder. Each fold
    is tested as often as there are choices that hold it; its first test belongs to history 0, the
    second to history 1 and so on, so that each history covers all sessions once.

    A label of position p is made of prices after p and up to p + horizon. With `purge` equal to
    the horizon, the last position trained on before a test fold has its label end on the session
    before the fold, and the first one after it comes after the last test label has ended; so
    training and test labels share no price in either direction.

    Parameters
    ----------
    dates : ndarray of shape (n_sessions,), strictly increasing
    folds, test_folds : int
        Folds in all, 3 or more, and folds in each choice, from 2 to one less.
    purge : int
        Sessions left out of training on both sides of each test fold.
    embargo : int
        Further sessions left out after each test fold, because features look back into it.

    Returns
    -------
    list of CombinatorialFold
        As many as there are choices, in lexicographic order of their test folds.

    Raises
    ------
    SplitError
        If dates do not increase, a number is invalid, or the folds are too short for purge and
        embargo.

    Warnings
    --------
    Most models are trained on sessions after their test: the histories show how much a result
    depends on the sample, not what trading would have earned.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, ch. 12.
    """
    # Brings scikit-learn, pandas and plotly: seconds.
    from skfolio.model_selection import CombinatorialPurgedCV

    _refuse_disorder(dates)
    if purge < 0 or embargo < 0 or not 2 <= test_folds < folds:  # noqa: PLR2004
        raise SplitError(f"invalid numbers: {folds=}, {test_folds=}, {purge=}, {embargo=}")
    length, left_out = dates.size // folds, purge + embargo
    if length < left_out + 2:
        raise SplitError(
            f"{dates.size} sessions in {folds} folds are {length} each, too short to leave out "
            f"{left_out} (purge {purge}, embargo {embargo}); take fewer folds, or more sessions"
        )
    cutter = CombinatorialPurgedCV(
        n_folds=folds, n_test_folds=test_folds, purged_size=purge, embargo_size=embargo
    )
    sessions = np.empty((dates.size, 1))  # only their number is used
    return [
        CombinatorialFold(train, tuple(zip(map(int, paths), tests, strict=True)))
        for (train, tests), paths in zip(cutter.split(sessions), cutter.get_path_ids(), strict=True)
    ]


def _refuse_disorder(dates: NDArray[np.datetime64]) -> None:
    if dates.ndim != 1 or not np.all(dates[1:] > dates[:-1]):  # NaT also fails here
        raise SplitError("dates must be one-dimensional and strictly increasing")

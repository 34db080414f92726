"""Walk-forward folds whose training labels end before the test window."""

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import SplitError

__all__ = ["purged_walk_forward"]


def purged_walk_forward(
    dates: NDArray[np.datetime64], *, train: int, test: int, purge: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return (train, test) positions into `dates` per fold, oldest first.

    A label of position p is made of prices up to p + horizon. With `purge` equal to the
    horizon, the last training position is `test[0] - purge - 1`, so its label ends on the
    last session before the test window.

    Parameters
    ----------
    dates : ndarray of shape (n_sessions,), strictly increasing
    train, test, purge : int
        Sessions per window, and sessions left out between the two. Test windows follow one
        another without gap or overlap; sessions at the end that fill no window are unused.

    Returns
    -------
    list of (train, test) pairs of int arrays, shapes (train,) and (test,)

    Raises
    ------
    SplitError
        If dates do not increase, a length is invalid, or no fold fits.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, ch. 7.
    """
    if dates.ndim != 1 or not np.all(dates[1:] > dates[:-1]):  # NaT also fails here
        raise SplitError("dates must be one-dimensional and strictly increasing")
    if train < 1 or test < 1 or purge < 0:
        raise SplitError(f"invalid lengths: {train=}, {test=}, {purge=}")
    starts = range(train + purge, dates.size - test + 1, test)
    if not starts:
        raise SplitError(
            f"{dates.size} sessions cannot hold one fold of {train} + {purge} + {test} sessions"
        )
    cut = [(start - purge, start) for start in starts]
    return [(np.arange(c - train, c), np.arange(s, s + test)) for c, s in cut]

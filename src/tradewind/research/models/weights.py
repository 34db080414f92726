"""How much each row counts in a fit.

References
----------
López de Prado (2018), Advances in Financial Machine Learning, ch. 4: sample weights.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.strategy.fitting import Weights

__all__ = ["average_uniqueness", "row_weights"]

Numbers = NDArray[np.float64]


def row_weights(rows: pl.DataFrame, asked: Weights | None) -> Numbers | None:
    """Return the weights of a fit's rows.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        symbol, session, label, and label_end (the last session whose price is part of the label);
        in any order, nothing null.
    asked : Weights, optional

    Returns
    -------
    ndarray of shape (n_rows,), or None
        Positive, 1.0 on average, so that what a model subtracts for large values means the same
        with and without them. None if all rows count alike.
    """
    if asked is None:
        return None
    weights = np.ones(rows.height)
    if asked.uniqueness:
        weights *= average_uniqueness(rows)
    if asked.half_life is not None:
        sessions, _ = _places(rows)
        weights *= 0.5 ** ((sessions.max() - sessions) / asked.half_life)
    if asked.class_weight == "balanced":
        weights *= _balancing(rows.get_column("label").to_numpy() > 0.0)
    weights /= weights.mean()
    return weights


def average_uniqueness(rows: pl.DataFrame) -> Numbers:
    """Return of each label the mean, over the sessions it is made of, of one over how many share.

    The label of session t is made of the sessions after t up to its end. Of these, the labels of
    the same symbol that are made of them, too, are counted; those of other symbols are not.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        As for `row_weights`.

    Returns
    -------
    ndarray of shape (n_rows,)
        Between 0 and 1: 1.0 where no other label shares a session.
    """
    start, stop = (place + 1 for place in _places(rows))
    found = np.empty(rows.height)
    # A stable order, so that the sums of a symbol are added up in one order.
    order = rows.select(pl.arg_sort_by("symbol", "session")).to_series().to_numpy()
    lengths = rows.get_column("symbol").gather(order).rle().struct.field("len").to_numpy()
    for own in np.split(order, np.cumsum(lengths)[:-1]):
        first, after = start[own], stop[own]
        change = np.zeros(after.max() + 1)
        np.add.at(change, first, 1.0)
        np.add.at(change, after, -1.0)
        concurrent = np.cumsum(change)
        share = np.divide(1.0, concurrent, out=np.zeros_like(concurrent), where=concurrent > 0.0)
        before = np.concatenate([[0.0], np.cumsum(share)])
        found[own] = (before[after] - before[first]) / (after - first)
    return found


def _places(rows: pl.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of each row's session and of its label's end among all that there are."""
    sessions, ends = (rows.get_column(name).to_numpy() for name in ("session", "label_end"))
    known = np.unique(np.concatenate([sessions, ends]))
    return np.searchsorted(known, sessions), np.searchsorted(known, ends)


def _balancing(up: NDArray[np.bool_]) -> Numbers:
    """Return weights with which both classes count alike in all; ones if there is one class."""
    share = float(up.mean())
    if share in {0.0, 1.0}:
        return np.ones(up.size)
    return np.where(up, 0.5 / share, 0.5 / (1.0 - share))

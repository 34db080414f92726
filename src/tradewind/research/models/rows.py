"""Rows of features as models take them."""

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.market.bars import KEY
from tradewind.research.strategy.models import HISTORY
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "GRADES", "by_session", "example", "frame", "grade", "matrix", "session_sizes",
]  # fmt: skip

GRADES: Final = 5
"""Grades of relevance that a ranker tells apart within a session: fifths of its labels."""


def matrix(rows: pl.DataFrame, strategy: Strategy) -> NDArray[np.float64]:
    """Return the model's input, shape (n_rows, n_features), row by row in memory."""
    return np.ascontiguousarray(rows.select(strategy.feature_names).to_numpy())


def frame(rows: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Return what a model of the desk's own is given, as a frame that it may change.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        symbol, session, the feature columns and, where the model looks back, history.
    """
    columns = [*KEY, *strategy.feature_names]
    return rows.select(*columns, *([HISTORY] if strategy.model.sessions_seen > 1 else []))


def example(rows: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Return rows as whoever fetches the model from a registry has to give them."""
    if strategy.model.own_code is None and not strategy.model.external:
        return rows.select(strategy.feature_names)
    return frame(rows, strategy)


def by_session(
    predict: Callable[[pl.DataFrame], NDArray[np.float64]], rows: pl.DataFrame
) -> NDArray[np.float64]:
    """Return the predictions of each session's rows by themselves, in the order of the rows.

    Each call is given the rows of one session, sorted by symbol, in a frame of its own.
    """
    order = rows.select(pl.arg_sort_by("session", "symbol")).to_series()
    ordered = rows[order]
    found = np.empty(rows.height)
    start = 0
    for length in ordered.get_column("session").rle().struct.field("len"):
        found[start : start + length] = predict(ordered.slice(start, length))
        start += length
    back = np.empty(rows.height)
    back[order.to_numpy()] = found
    return back


def session_sizes(rows: pl.DataFrame) -> NDArray[np.uint32]:
    """Return how many rows each session has, in the order in which sessions first come."""
    sizes = rows.group_by("session", maintain_order=True).len()
    return sizes.get_column("len").to_numpy()


def grade() -> pl.Expr:
    """Return the quintile of each label in its session, from 0; equal labels have the same."""
    below = pl.col("label").rank("min").cast(pl.Int64) - 1
    return (below * GRADES // pl.len()).over("session")

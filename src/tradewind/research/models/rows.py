"""Rows of features as the libraries of models take them."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.strategy.strategy import Strategy

__all__ = ["GRADES", "grade", "matrix", "session_sizes"]

GRADES: Final = 5
"""Grades of relevance that a ranker tells apart within a session: fifths of its labels."""


def matrix(rows: pl.DataFrame, strategy: Strategy) -> NDArray[np.float64]:
    """Return the model's input, shape (n_rows, n_features), row by row in memory."""
    return np.ascontiguousarray(rows.select(strategy.feature_names).to_numpy())


def session_sizes(rows: pl.DataFrame) -> NDArray[np.uint32]:
    """Return how many rows each session has, in the order in which sessions first come."""
    sizes = rows.group_by("session", maintain_order=True).len()
    return sizes.get_column("len").to_numpy()


def grade() -> pl.Expr:
    """Return the quintile of each label in its session, from 0; equal labels have the same."""
    below = pl.col("label").rank("min").cast(pl.Int64) - 1
    return (below * GRADES // pl.len()).over("session")

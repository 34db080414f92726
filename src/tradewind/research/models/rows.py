"""Rows of features as the libraries of models take them."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.strategy.strategy import Strategy

__all__ = ["matrix"]


def matrix(rows: pl.DataFrame, strategy: Strategy) -> NDArray[np.float64]:
    """Return the model's input, shape (n_rows, n_features), row by row in memory."""
    return np.ascontiguousarray(rows.select(strategy.feature_names).to_numpy())

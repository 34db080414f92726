"""What a model that looks back sees of the sessions before a row's own."""

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from tradewind.market.bars import KEY
from tradewind.research.strategy.models import HISTORY

__all__ = ["with_history"]


def with_history(rows: pl.DataFrame, sessions: int) -> pl.DataFrame:
    """Add to each row the latest rows of its symbol, so that it can be predicted by itself.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, 2 + n_features)
        symbol, session, features; sorted by symbol and session.
    sessions : int
        How many rows of its symbol each row sees; with one, nothing is added.

    Returns
    -------
    DataFrame of shape (n_left, 3 + n_features)
        With the column history, arrays of shape (sessions, n_features), oldest first; its last line
        is the row itself. The first rows of a symbol see fewer, and are left out.
    """
    if sessions == 1:
        return rows
    features = rows.drop(KEY).to_numpy()
    lengths = rows.get_column("symbol").rle().struct.field("len").to_numpy().astype(np.intp)
    ends = np.cumsum(lengths)
    seen, kept = [], []
    for start, end in zip(ends - lengths, ends, strict=True):
        if end - start >= sessions:
            windows = sliding_window_view(features[start:end], sessions, axis=0)
            seen.append(windows.transpose(0, 2, 1))
            kept.append(np.arange(start + sessions - 1, end))
    if not seen:
        history = np.empty((0, sessions, features.shape[1]))
        return rows.clear().with_columns(pl.Series(HISTORY, history))
    return rows[np.concatenate(kept)].with_columns(pl.Series(HISTORY, np.concatenate(seen)))

"""Factors from a vendor's adjusted close.

The quotient of adjusted and raw close steps on the first session after a split or a dividend. A
step that equals the ratio of a split is a split, every other step a dividend (`split_ratios` says
how they are told apart). Price moves do not count, so a crash is never taken for a split.
"""

import itertools

import numpy as np
import polars as pl

from tradewind.market.split_ratios import splits_shown

__all__ = ["adjustment_factor_from", "split_factor_from"]


def adjustment_factor_from(adjusted_close: str) -> pl.Expr:
    """Return `adjustment_factor` of bars sorted by symbol and session, 1.0 at each last session.

    Parameters
    ----------
    adjusted_close : str
        Name of the column with the vendor's adjusted close, beside ``close`` and ``symbol``.
    """
    factor = pl.col(adjusted_close) / pl.col("close")
    return (factor / factor.drop_nulls().last()).over("symbol").alias("adjustment_factor")


def split_factor_from(adjusted_close: str) -> pl.Expr:
    """Return `split_factor` of bars sorted by symbol and session, 1.0 at each last session.

    Parameters
    ----------
    adjusted_close : str
        Name of the column with the vendor's adjusted close, beside ``close`` and ``symbol``.

    See Also
    --------
    tradewind.market.split_ratios.splits_shown : which steps are splits.
    """
    bars = pl.struct("symbol", "close", adjusted_close)
    # For the whole frame at once: a call of Python for each symbol would take ten times as long.
    factors = bars.map_batches(
        lambda rows: _split_factors(rows.struct.unnest()), return_dtype=pl.Float64()
    )
    return factors.alias("split_factor")


def _split_factors(bars: pl.DataFrame) -> pl.Series:
    symbol, close, adjusted = bars.get_columns()
    first = (symbol != symbol.shift(1)).fill_null(value=True).to_numpy()
    splits = splits_shown(close.to_numpy(), adjusted.to_numpy(), first)
    starts = np.flatnonzero(first)
    for begin, end in itertools.pairwise([*starts, splits.size]):
        since_start = np.cumprod(splits[begin:end])  # a raw price is divided by every later split
        splits[begin:end] = since_start / since_start[-1]
    return pl.Series(splits)

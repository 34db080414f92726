"""Factors from a vendor's adjusted close.

The quotient of adjusted and raw close steps up on the first session after a split or a dividend.
A step that equals a simple ratio (2:1, 3:2, ...) is a split, every other step a dividend. Price
moves play no part in this, so a crash is never taken for a split.
"""

from typing import Final

import polars as pl

__all__ = ["adjustment_factor_from", "split_factor_from"]

_SPLIT_RATIOS: Final = tuple(
    sorted({p / q for p in range(1, 21) for q in (1, 2, 3, 4)} - {1.0}, reverse=True)
)
_SPLIT_TOLERANCE: Final = 1e-4  # relative; vendors that do not round are exact to 1e-12


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
        Name of the column with the vendor's adjusted close, beside ``close`` and ``symbol``. If
        the vendor rounds it so coarsely that a split's step misses its ratio by more than 1e-4,
        the split is not found here, and validation reports the prices as not adjusted for it.
    """
    factor = pl.col(adjusted_close) / pl.col("close")
    step = (factor / factor.shift(1)).fill_null(1.0)
    split = pl.lit(1.0)
    for ratio in _SPLIT_RATIOS:
        split = pl.when((step / ratio - 1.0).abs() < _SPLIT_TOLERANCE).then(ratio).otherwise(split)
    since_start = split.cum_prod()  # a raw price is divided by every split after its session
    return (since_start / since_start.last()).over("symbol").alias("split_factor")

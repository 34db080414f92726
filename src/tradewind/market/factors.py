"""Factors from a vendor's adjusted close.

The quotient of adjusted and raw close steps on the first session after a split or a dividend. A
step that equals the ratio of a split is one, every other step a dividend (`split_ratios` says
how they are told apart). Price moves play no part in this, so a crash is never taken for a split.
"""

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
    split = pl.struct("symbol", "close", adjusted_close).map_batches(
        lambda bars: _splits(bars.struct.unnest()), return_dtype=pl.Float64()
    )
    since_start = split.cum_prod()  # a raw price is divided by every split after its session
    return (since_start / since_start.last()).over("symbol").alias("split_factor")


def _splits(bars: pl.DataFrame) -> pl.Series:
    symbol, close, adjusted = bars.get_columns()
    first = (symbol != symbol.shift(1)).fill_null(value=True)
    return pl.Series(splits_shown(close.to_numpy(), adjusted.to_numpy(), first.to_numpy()))

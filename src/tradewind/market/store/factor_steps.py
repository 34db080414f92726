"""Adjustment factors as they are stored: the step of each session.

A source's factors are cumulative and 1.0 on the last session, so each new dividend changes every
factor of the symbol. So the store keeps the step instead,
``factor / factor of the session before``: 1.0 on a usual session, and fixed once it is known.

Sources compute factors in floating point. So the step of one session differs by some 1e-15 from
frame to frame; some vendors' noise is 1e-13. A step is rounded to 11 significant digits. Then it is
the same number in each frame, and exactly 1.0 where nothing happened. The exception is a step
within some 1e-15 of the middle between two such numbers, about one corporate action in 10^5. Then
two stores that were filled in different increments can differ by 1e-10 of a factor, and so in the
name of a snapshot. One store never contradicts itself, since stored steps stay.
"""

from typing import Final

import polars as pl

from tradewind.errors import StoreError
from tradewind.market.bars import KEY, SCHEMA

__all__ = ["FACTORS", "STEPS", "to_factors", "to_steps"]

FACTORS: Final = ("split_factor", "adjustment_factor")
STEPS: Final = ("split_step", "adjustment_step")
_DIGITS: Final = 11  # the grid, at most 1e-10 of a step, is much finer than any revision


def to_steps(bars: pl.DataFrame) -> pl.DataFrame:
    """Replace the factors of bars, sorted by symbol and session, by their steps.

    Returns
    -------
    DataFrame of shape (n_bars, 9)
        The steps are null on each symbol's first session, where they are unknown.
    """
    return bars.with_columns(
        (pl.col(factor) / pl.col(factor).shift(1))
        .over("symbol")
        .round_sig_figs(_DIGITS)
        .alias(step)
        for factor, step in zip(FACTORS, STEPS, strict=True)
    ).drop(FACTORS)


def to_factors(rows: pl.DataFrame) -> pl.DataFrame:
    """Return bars with cumulative factors, 1.0 on the last session of each symbol.

    The product runs backwards from the last session, one multiplication a session, so the
    same steps give the same factors, bit for bit.

    Parameters
    ----------
    rows : DataFrame
        Sorted by symbol and session; a step counts from the second session on.

    Returns
    -------
    DataFrame of shape (n_rows, 9)
        With the columns of `tradewind.market.bars.SCHEMA`.

    Raises
    ------
    StoreError
        If a step within a symbol's history is missing.
    """
    unknown = rows.filter(
        pl.any_horizontal(pl.col(*STEPS).is_null()), pl.col("symbol") == pl.col("symbol").shift(1)
    )
    if not unknown.is_empty():
        symbol, session = unknown.select(KEY).row(0)
        raise StoreError(
            f"{symbol} {session}: the store does not know whether a split or dividend fell on that "
            "session; remove the source's table and ingest its whole history again"
        )
    later = [pl.col(step).shift(-1).fill_null(1.0) for step in STEPS]
    return rows.with_columns(
        (1.0 / step.cum_prod(reverse=True)).over("symbol").alias(factor)
        for factor, step in zip(FACTORS, later, strict=True)
    ).select(SCHEMA.names())

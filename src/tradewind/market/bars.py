"""What bars look like: one long frame of raw daily prices and their adjustment factors.

Prices and volume are kept as they were traded. What a corporate action changes is kept
beside them as factors, so that a later split or dividend adds a record instead of
rewriting history:

======================  ==========  ==============================================
column                  type        meaning
======================  ==========  ==============================================
``symbol``              String      the instrument
``session``             Date        the exchange's trading day
``open`` .. ``close``   Float64     raw traded prices, in the listing's currency
``volume``              Int64       raw shares traded
``split_factor``        Float64     times a raw price: adjusted for later splits
``adjustment_factor``   Float64     times a raw price: for later splits and dividends
======================  ==========  ==============================================

Rows are sorted by symbol, then session. A source hands out both factors as 1.0 on each
symbol's last session; only their ratios carry meaning, so a frame cut at an earlier date
stays valid.
"""

from typing import Final

import polars as pl

__all__ = ["KEY", "PRICES", "SCHEMA", "adjusted"]

KEY: Final = ("symbol", "session")
PRICES: Final = ("open", "high", "low", "close")
SCHEMA: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Int64(),
        "split_factor": pl.Float64(),
        "adjustment_factor": pl.Float64(),
    }
)


def adjusted(bars: pl.DataFrame) -> pl.DataFrame:
    """Return prices adjusted for splits and dividends, and volume adjusted for splits.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Bars with the columns of `SCHEMA`.

    Returns
    -------
    DataFrame of shape (n_bars, 7)
        symbol, session, open, high, low, close, volume; in the order of `bars`. Volume is
        Float64: shares of the last session's size.

    Warnings
    --------
    The level of an adjusted price depends on corporate actions after its session; ratios
    of adjusted prices do not. Anything that predicts must use ratios.
    """
    return bars.select(
        *KEY,
        *(pl.col(price) * pl.col("adjustment_factor") for price in PRICES),
        pl.col("volume") / pl.col("split_factor"),
    )

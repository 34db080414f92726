"""What a model learns to predict: the return a decision at the close of t would have earned.

The position is bought at the open of session t + 1, the first price that can still be
traded, and sold at the close of session t + horizon. So the last price in the label is that
of session t + horizon, and a purge of `horizon` sessions is exactly enough.
"""

import polars as pl

from tradewind.market.bars import KEY, adjusted
from tradewind.research.strategy import Strategy
from tradewind.research.universe import select_bars

__all__ = ["compute_labels"]


def compute_labels(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Compute the forward return of each symbol and session.

    Sessions are counted on the union of all the symbols' sessions: a symbol that lacks a bar
    gets no label there, rather than one that looks further ahead.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy

    Returns
    -------
    DataFrame of shape (n_labels, 4)
        symbol, session, label (Float64, fraction: 0.01 is one per cent; splits and dividends
        included), label_end (the last session whose price is part of the label). Sorted by
        symbol and session. The last `horizon` sessions have no label yet.

    Raises
    ------
    StrategyError
        If a symbol has no bars.
    """
    prices = adjusted(select_bars(bars, strategy))
    sessions = prices.select(pl.col("session").unique().sort()).with_row_index("at")
    placed = prices.join(sessions, on="session").select(
        *KEY, pl.col("at").cast(pl.Int64), "open", "close"
    )
    entry = placed.select("symbol", pl.col("at") - 1, pl.col("open").alias("entry"))
    exit_ = placed.select(
        "symbol",
        pl.col("at") - strategy.horizon,
        pl.col("close").alias("exit"),
        pl.col("session").alias("label_end"),
    )
    return (
        placed.join(entry, on=["symbol", "at"])
        .join(exit_, on=["symbol", "at"])
        .select(*KEY, (pl.col("exit") / pl.col("entry") - 1.0).alias("label"), "label_end")
        .sort(KEY)
    )

"""What a model learns to predict: the return a decision at the close of t would have earned.

The position is bought at the open of session t + 1, the first price that can still be traded at,
and sold at the close of session t + horizon. So the last price in the label is that of session t +
horizon, and a purge of `horizon` sessions is exactly enough.

If the symbol's bars end before that, it is sold as in the backtest, at its last close times one
plus `delisting_return`: without these labels a model would learn from surviving symbols alone. The
label still ends with session t + horizon, before which a delisting cannot be told from a gap.

``after_costs`` brings the return nearer to zero by what a round trip costs, twice commission and
slippage, and never past it: a move too small to pay for its trades teaches the model to stay
out. (It is the soft threshold of Donoho and Johnstone, 1994.)

``direction`` keeps only the sign of the return: 1, 0 or -1.
"""

from typing import Final, assert_never

import polars as pl

from tradewind.market.bars import KEY, adjusted
from tradewind.research.features.universe import select_bars
from tradewind.research.strategy.strategy import Strategy

__all__ = ["compute_labels"]

_BPS: Final = 1e-4


def compute_labels(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Compute what the model is to predict, for each symbol and session.

    Sessions are counted on the union of all the symbols' sessions: a symbol that lacks a bar
    and has later ones gets no label there, rather than one that looks further ahead.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy

    Returns
    -------
    DataFrame of shape (n_labels, 4)
        symbol, session, label (Float64, a forward return as a fraction: 0.01 is one per cent;
        splits and dividends included; or its sign), label_end (the last session whose price is
        part of the label). Sorted by symbol and session. The last `horizon` sessions have no
        label yet.

    Raises
    ------
    StrategyError
        If a symbol has no bars.
    """
    prices = adjusted(select_bars(bars, strategy))
    sessions = prices.select(pl.col("session").unique().sort()).with_row_index("at")
    sessions = sessions.select("session", pl.col("at").cast(pl.Int64))
    placed = prices.join(sessions, on="session").select(*KEY, "at", "open", "close")
    horizon = strategy.horizon
    entry = placed.select("symbol", pl.col("at") - 1, pl.col("open").alias("entry"))
    exit_ = placed.select("symbol", pl.col("at") - horizon, pl.col("close").alias("exit"))
    end = sessions.select(pl.col("at") - horizon, pl.col("session").alias("label_end"))
    last = pl.col("close").sort_by("at").last() * (1.0 + strategy.backtest.delisting_return)
    delisted = placed.group_by("symbol").agg(pl.max("at").alias("ended"), last.alias("paid"))
    gone = pl.col("at") + horizon > pl.col("ended")
    return (
        placed.join(entry, on=["symbol", "at"])
        .join(end, on="at")
        .join(delisted, on="symbol")
        .join(exit_, on=["symbol", "at"], how="left")
        .with_columns(pl.coalesce("exit", pl.when(gone).then("paid")))
        .drop_nulls("exit")
        .select(*KEY, _label(strategy).alias("label"), "label_end")
        .sort(KEY)
    )


def _label(strategy: Strategy) -> pl.Expr:
    earned = pl.col("exit") / pl.col("entry") - 1.0
    if strategy.label.after_costs:
        rules = strategy.backtest
        round_trip = 2.0 * (rules.commission_bps + rules.slippage_bps) * _BPS
        left = (earned.abs() - round_trip).clip(lower_bound=0.0)
        earned = left * earned.sign()
    match strategy.label.kind:
        case "forward_return":
            return earned
        case "direction":
            return earned.sign()
        case _:
            assert_never(strategy.label.kind)

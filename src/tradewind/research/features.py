"""Features of a strategy, each made of prices up to its own session only.

Every feature is a ratio of adjusted prices or volumes of one symbol, or a rank of such
ratios within a session. Windows count the symbol's own bars. A feature of session t uses
the close of t, so it is known when that session ends and can be traded at the next open.
"""

from typing import assert_never

import polars as pl

from tradewind.market.bars import KEY, adjusted
from tradewind.research.feature_specs import (
    Custom,
    FeatureSpec,
    MaDistance,
    MaRatio,
    Momentum,
    Rank,
    Return,
    Rsi,
    Volatility,
    VolumeRatio,
)
from tradewind.research.strategy import Strategy
from tradewind.research.universe import select_bars

__all__ = ["compute_features"]


def compute_features(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Compute the features of a strategy.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy

    Returns
    -------
    DataFrame of shape (n_rows, 2 + n_features)
        symbol, session, then Float64 columns named by `strategy.feature_names`; sorted by
        symbol and session. Rows of a symbol's warm-up, where a window reaches back before
        its first bar, are left out, and so are rows with an undefined ratio.

    Raises
    ------
    StrategyError
        If a symbol has no bars.

    References
    ----------
    Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers (momentum with
    a skip). Wilder (1978), New Concepts in Technical Trading Systems (RSI; here with plain
    means, as by Cutler, so that it forgets what lies before its window).
    """
    prices = adjusted(select_bars(bars, strategy))
    plain = [spec.of if isinstance(spec, Rank) else spec for spec in strategy.inputs]
    distinct = {spec.column: spec for spec in plain}
    frame = prices.select(*KEY, *(_expression(spec) for spec in distinct.values()))
    ranks = [_rank(spec) for spec in strategy.inputs if isinstance(spec, Rank)]
    return (
        frame.with_columns(ranks)
        .select(*KEY, *strategy.feature_names)
        .fill_nan(None)
        .drop_nulls()
        .sort(KEY)
    )


def _expression(spec: FeatureSpec) -> pl.Expr:
    close, volume = pl.col("close"), pl.col("volume")
    match spec:
        case Return(window=window):
            value = close / close.shift(window) - 1.0
        case Momentum(window=window, skip=skip):
            value = close.shift(skip) / close.shift(window) - 1.0
        case Volatility(window=window):
            value = (close / close.shift(1) - 1.0).rolling_std(window)
        case Rsi(window=window):
            gain = close.diff().clip(lower_bound=0.0).rolling_mean(window)
            move = close.diff().abs().rolling_mean(window)
            value = pl.when(move > 0.0).then(gain / move).otherwise(move + 0.5)
        case MaDistance(window=window):
            value = close / close.rolling_mean(window) - 1.0
        case MaRatio(fast=fast, slow=slow):
            value = close.rolling_mean(fast) / close.rolling_mean(slow) - 1.0
        case Custom():
            raise TypeError("computed by the function that the file names")
        case VolumeRatio(window=window):
            value = volume / volume.rolling_mean(window) - 1.0
        case Rank():
            raise TypeError("a rank is computed within sessions, not within symbols")
        case _:
            assert_never(spec)
    return value.over("symbol", order_by="session").alias(spec.column)


def _rank(spec: Rank) -> pl.Expr:
    """Return the rank among the symbols that have a value, 0.0 for a symbol on its own."""
    ranked = pl.col(spec.of.column)
    others = (ranked.count() - 1).cast(pl.Float64)
    value = pl.when(others > 0.0).then((ranked.rank() - 1.0) / others - 0.5).otherwise(0.0)
    return (
        pl.when(ranked.is_not_null()).then(value.over("session")).otherwise(None).alias(spec.column)
    )

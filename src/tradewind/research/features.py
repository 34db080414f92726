"""Features of a strategy, each made of prices up to its own session only.

Every feature is a ratio of adjusted prices or volumes of one symbol, or a rank of such
ratios within a session. Windows count the symbol's own bars. A feature of session t uses
the close of t, so it is known when that session ends and can be traded at the next open.

Features of the user's own may be any expression; `tradewind.research.leaks` holds them to the
same promise.
"""

from dataclasses import dataclass
from typing import assert_never

import polars as pl

from tradewind.market.bars import KEY, adjusted
from tradewind.research.feature_code import CustomFeature, custom_features, told
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
from tradewind.research.undefined import Undefined, find_undefined
from tradewind.research.universe import select_bars

__all__ = ["FeatureTable", "Features", "compute_features", "find_features"]


@dataclass(frozen=True)
class Features:
    """What is known of a strategy's features.

    Attributes
    ----------
    rows : DataFrame of shape (n_rows, 2 + n_features)
        As `compute_features` returns them.
    undefined : Undefined
        What is missing from the rows though its warm-up is over.
    """

    rows: pl.DataFrame
    undefined: Undefined


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
        its first bar, are left out, and so are rows with an undefined value; `find_features`
        tells the two apart.

    Raises
    ------
    StrategyError
        If a symbol has no bars, or a feature of the user's own cannot be computed.
    SettingsError
        If there is such a feature and the settings cannot be read.

    References
    ----------
    Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers (momentum with
    a skip). Wilder (1978), New Concepts in Technical Trading Systems (RSI; here with plain
    means, as by Cutler, so that it forgets what lies before its window).
    """
    return _rows(FeatureTable(strategy).of(select_bars(bars, strategy)), strategy)


def find_features(bars: pl.DataFrame, strategy: Strategy) -> Features:
    """Compute the features of a strategy, and find what is undefined after its warm-up.

    Parameters and errors are those of `compute_features`.
    """
    table = FeatureTable(strategy).of(select_bars(bars, strategy))
    return Features(_rows(table, strategy), find_undefined(table, strategy.inputs))


def _rows(table: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    return table.select(*KEY, *strategy.feature_names).drop_nulls()


class FeatureTable:
    """Computes all the features of a strategy, any number of times, with the same code.

    Parameters
    ----------
    strategy : Strategy
        Functions of the user's own are loaded here, once.

    Raises
    ------
    StrategyError
        If one of them cannot be loaded or returns no expression.
    SettingsError
        If there is one and the settings cannot be read.
    """

    def __init__(self, strategy: Strategy) -> None:
        plain = [spec.of if isinstance(spec, Rank) else spec for spec in strategy.inputs]
        distinct = {spec.column: spec for spec in plain}
        self._built_in = [
            _expression(spec) for spec in distinct.values() if not isinstance(spec, Custom)
        ]
        self._custom = [(feature, _own(feature)) for feature in custom_features(strategy)]
        self._ranks = [_rank(spec) for spec in strategy.inputs if isinstance(spec, Rank)]

    def of(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Compute every feature of every bar, and what its ranks are made of.

        Parameters
        ----------
        bars : DataFrame of shape (n_bars, 9)
            Bars of the strategy's symbols, or of some of them.

        Returns
        -------
        DataFrame of shape (n_bars, 2 + n_columns)
            symbol, session, then Float64 columns, finite or null where undefined; sorted by
            symbol and session.

        Raises
        ------
        StrategyError
            If a feature of the user's own cannot be computed, or is no number a bar.
        """
        prices = adjusted(bars.sort(KEY))
        own = [_computed(prices, feature, expression) for feature, expression in self._custom]
        frame = prices.select(*KEY, *self._built_in, *own)
        # Before ranking: what is undefined has no rank.
        return frame.with_columns(_finite(pl.exclude(KEY))).with_columns(self._ranks)


def _own(feature: CustomFeature) -> pl.Expr:
    function = feature.function()
    try:
        expression = function(**feature.spec.parameters)
    except Exception as error:
        raise feature.refusal(f"raised {told(error)}") from error
    if not isinstance(expression, pl.Expr):
        raise feature.refusal(f"must return a polars expression, not a {type(expression).__name__}")
    return expression


def _computed(prices: pl.DataFrame, feature: CustomFeature, expression: pl.Expr) -> pl.Series:
    """Evaluate one feature of the user's own by itself, so that an error can name it."""
    name = feature.spec.column
    try:
        values = prices.select(_by_symbol(expression).alias(name)).to_series()
    # A function that the expression calls may raise anything; a panic of polars is no Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise feature.refusal(f"cannot be computed: {told(error)}") from error
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        raise feature.refusal(f"must give a number a bar, not a {values.dtype}")
    return values.cast(pl.Float64)


def _finite(column: pl.Expr) -> pl.Expr:
    return pl.when(column.is_finite()).then(column)


def _by_symbol(value: pl.Expr) -> pl.Expr:
    return value.over("symbol", order_by="session")


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
            raise TypeError("computed by the function that the file names, not here")
        case VolumeRatio(window=window):
            value = volume / volume.rolling_mean(window) - 1.0
        case Rank():
            raise TypeError("a rank is computed within sessions, not within symbols")
        case _:
            assert_never(spec)
    return _by_symbol(value).alias(spec.column)


def _rank(spec: Rank) -> pl.Expr:
    """Return the rank among the symbols that have a value, 0.0 for a symbol on its own."""
    ranked = pl.col(spec.of.column)
    others = (ranked.count() - 1).cast(pl.Float64)
    value = pl.when(others > 0.0).then((ranked.rank() - 1.0) / others - 0.5).otherwise(0.0)
    return (
        pl.when(ranked.is_not_null()).then(value.over("session")).otherwise(None).alias(spec.column)
    )

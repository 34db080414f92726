"""Features of a strategy, each made of prices up to its own session only.

Every feature is a ratio of adjusted prices or volumes of one symbol, or compares such ratios
within a session. Windows count the symbol's own bars. A feature of session t uses
the close of t, so it is known when that session ends and can be traded at the next open.

Features of the user's own may be any expression; `tradewind.research.features.leaks` checks that
they look back only.
"""

import pickle
from dataclasses import dataclass
from typing import Final, assert_never

import polars as pl

from tradewind.market.bars import KEY, adjusted
from tradewind.research.code.own import SECONDS, told
from tradewind.research.code.time_limit import time_limit
from tradewind.research.features.checks import (
    refuse_what_says_nothing,
    refuse_windows_over_sessions,
)
from tradewind.research.features.comparisons import compared, over_sessions, with_inputs
from tradewind.research.features.history import with_history
from tradewind.research.features.own_code import CustomFeature, custom_features
from tradewind.research.features.undefined import Undefined, find_undefined
from tradewind.research.features.universe import select_bars
from tradewind.research.strategy.features import (
    Across,
    Compared,
    Custom,
    MaDistance,
    MaRatio,
    Momentum,
    PerSymbol,
    Return,
    Rsi,
    Volatility,
    VolumeRatio,
)
from tradewind.research.strategy.strategy import Strategy

_PICKLES: Final = (b"PLPY", *(pickle.PROTO + bytes([version]) for version in (4, 5)))

__all__ = [
    "CODE_VERSION",
    "FeatureTable",
    "Features",
    "compute_features",
    "feature_rows",
    "find_features",
]

CODE_VERSION: Final = 1
"""Counted up whenever a feature of ours comes out as another number from the same bars.

What signals were made of by another version is no evidence against a feature
(`tradewind.research.monitoring.hindsight`)."""


@dataclass(frozen=True)
class Features:
    """What is known of a strategy's features.

    Attributes
    ----------
    rows : DataFrame of shape (n_rows, 2 + n_features)
        As `compute_features` returns them.
    seen : DataFrame of shape (n_seen, 2 + n_features)
        These rows, and those after the warm-up in which some feature is undefined, as null.
    undefined : Undefined
        Values that are undefined after the warm-up of their feature.
    """

    rows: pl.DataFrame
    seen: pl.DataFrame
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
        tells the two apart. Where the model looks back, one more column ``history``: see
        `tradewind.research.features.history`.

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
    return feature_rows(FeatureTable(strategy).of(select_bars(bars, strategy)), strategy)


def find_features(bars: pl.DataFrame, strategy: Strategy, *, strict: bool = False) -> Features:
    """Compute the features of a strategy, and find what is undefined after its warm-up.

    Parameters
    ----------
    bars, strategy
        As for `compute_features`.
    strict : bool
        Whether to refuse features that are no use to a model; see
        `tradewind.research.features.checks`. True for a training, False for a model that is trained
        already.

    Raises
    ------
    StrategyError, SettingsError
        As `compute_features` does; also if a feature is no use.
    SplitError
        If a feature is no use because the bars are fewer than it looks back.
    """
    computes = FeatureTable(strategy)
    if strict:
        computes.refuse_windows_over_sessions()
    table = computes.of(select_bars(bars, strategy))
    if strict:
        refuse_what_says_nothing(table, strategy)
    rows, undefined = feature_rows(table, strategy), find_undefined(table, strategy.inputs)
    seen = rows if undefined.values.is_empty() else _seen(table, undefined, strategy)
    return Features(rows, seen, undefined)


def feature_rows(table: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Return the rows of a table of features that a model can be given.

    Parameters
    ----------
    table : DataFrame of shape (n_bars, 2 + n_features)
        As returned by `FeatureTable.of`; null where a feature is undefined.
    strategy : Strategy

    Returns
    -------
    DataFrame
        As returned by `compute_features`.
    """
    rows = table.select(*KEY, *strategy.feature_names).drop_nulls()
    return with_history(rows, strategy.model.sessions_seen)


class FeatureTable:
    """Computes all the features of a strategy, any number of times, with the same code.

    Parameters
    ----------
    strategy : Strategy
        Functions of the user's own are loaded here, once.
    here : bool
        Whether to compute all expressions in this process. Else those that call Python are computed
        in another one, which can be ended when it takes too long; a call in this process cannot.

    Raises
    ------
    StrategyError
        If one of them cannot be loaded or returns no expression.
    SettingsError
        If there is one and the settings cannot be read.
    """

    def __init__(self, strategy: Strategy, *, here: bool = False) -> None:
        self._strategy = strategy
        distinct = {part.column: part for spec in strategy.inputs for part in spec.parts}
        self._built_in = [
            _expression(spec) for spec in distinct.values() if not isinstance(spec, Custom)
        ]
        own = [(feature, _own(feature)) for feature in custom_features(strategy)]
        self._custom = [each for each in own if not each[0].spec.across_symbols]
        self._across = [
            (feature.spec, feature, expression)
            for feature, expression in own
            if isinstance(feature.spec, Across)
        ]
        self._here = here or not any(_calls_python(expression) for _, expression in own)
        self._compared = [spec for spec in strategy.inputs if isinstance(spec, Compared)]

    def refuse_windows_over_sessions(self) -> None:
        """Refuse functions that should compare symbols, but get one at a time.

        Raises
        ------
        StrategyError
            Which names the function, and what to write instead.
        """
        refuse_windows_over_sessions(self._custom)

    def of(self, bars: pl.DataFrame, parts: pl.Series | None = None) -> pl.DataFrame:
        """Compute every feature of every bar, and the inputs of comparisons.

        Parameters
        ----------
        bars : DataFrame of shape (n_bars, 9)
            Bars of the strategy's symbols, or of some of them.
        parts : Series of shape (n_bars,), optional
            Computes many frames at once: bars with the same number are a frame by themselves, which
            does not see the others. Sorted by number, then by symbol and session.

        Returns
        -------
        DataFrame of shape (n_bars, 2 + n_columns)
            symbol, session, then Float64 columns, finite or null where undefined; sorted by
            symbol and session, in the order of `bars` where there are parts.

        Raises
        ------
        StrategyError
            If a feature of the user's own cannot be computed, takes too long, or is no number a
            bar.
        """
        if not self._here and parts is None:
            from tradewind.research.features._apart import (
                computed_apart,
            )

            return computed_apart(bars.sort(KEY), self._strategy)
        prices = _prices(bars.sort(KEY) if parts is None else bars)
        symbol, session = pl.col("symbol"), pl.col("session")
        if parts is not None:  # as literals: a function of the user's own sees no further column
            symbol, session = _within_parts(prices, parts)
        built_in = [_by_symbol(value, symbol) for value in self._built_in]
        own = [
            _computed(prices, feature, _by_symbol(expression, symbol))
            for feature, expression in self._custom
        ]
        # Before comparing: an undefined value has no rank, and does not count in a mean.
        frame = prices.select(*KEY, *built_in, *own).with_columns(_finite(pl.exclude(KEY)))
        comparisons = [compared(spec, session) for spec in self._compared]
        across = [
            _computed(with_inputs(prices, frame, spec), feature, over_sessions(expression, session))
            for spec, feature, expression in self._across
        ]
        return frame.with_columns(*comparisons, *across).with_columns(_finite(pl.exclude(KEY)))


def _prices(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that features are made of, in the order of `bars`."""
    traded = pl.col("close").alias("raw_close")
    dollars = (pl.col("close") * pl.col("volume")).alias("dollar_volume")
    return adjusted(bars).hstack(bars.select(traded, dollars))


def _within_parts(prices: pl.DataFrame, parts: pl.Series) -> tuple[pl.Expr, pl.Expr]:
    """Return a number for each symbol of each part, and one for each session of each part."""
    codes = prices.select(
        pl.col("symbol").rle_id().alias("symbol"), pl.col("session").to_physical().cast(pl.Int64)
    )
    part = parts.cast(pl.Int64) * 2**32
    return pl.lit(part + codes["symbol"]), pl.lit(part + codes["session"])


def _seen(table: pl.DataFrame, undefined: Undefined, strategy: Strategy) -> pl.DataFrame:
    names = strategy.feature_names
    missing = pl.sum_horizontal(pl.col(name).is_null().cast(pl.UInt32) for name in names)
    holes = undefined.values.group_by(KEY).agg(pl.len().alias("_holes"))
    found = table.select(*KEY, *names, missing.alias("_missing"))
    found = found.join(holes, on=KEY, how="left", maintain_order="left")
    # Where more values are missing than are undefined, another feature is still in its warm-up.
    return found.filter(pl.col("_missing") == pl.col("_holes").fill_null(0)).drop(
        "_missing", "_holes"
    )


def _own(feature: CustomFeature) -> pl.Expr:
    function = feature.function()
    try:
        with time_limit(SECONDS):
            expression = function(**feature.spec.parameters)
    except (Exception, SystemExit) as error:
        raise feature.refusal(f"raised {told(error)}") from error
    if not isinstance(expression, pl.Expr):
        raise feature.refusal(f"must return a polars expression, not a {type(expression).__name__}")
    return expression


def _calls_python(expression: pl.Expr) -> bool:
    """Whether an expression calls Python functions, which polars serializes as pickles."""
    try:
        written = expression.meta.serialize()
    except Exception:  # noqa: BLE001 - one that cannot be pickled may raise anything
        return True
    return any(mark in written for mark in _PICKLES)


def _computed(prices: pl.DataFrame, feature: CustomFeature, expression: pl.Expr) -> pl.Series:
    """Evaluate one feature of the user's own by itself, so that an error can name it.

    `expression` says itself whether it is over symbols or over sessions.
    """
    name = feature.spec.column
    try:
        values = prices.select(expression.alias(name)).to_series()
    # A function that the expression calls may raise anything; a panic of polars is no Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise feature.refusal(f"cannot be computed: {told(error)}") from error
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        raise feature.refusal(f"must give a number a bar, not a {values.dtype}")
    return values.cast(pl.Float64)


def _finite(column: pl.Expr) -> pl.Expr:
    return pl.when(column.is_finite()).then(column)


def _by_symbol(value: pl.Expr, symbol: pl.Expr) -> pl.Expr:
    return value.over(symbol, order_by="session")


def _expression(spec: PerSymbol) -> pl.Expr:
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
        case _:
            assert_never(spec)
    return value.alias(spec.column)

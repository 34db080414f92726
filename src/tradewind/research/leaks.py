"""Features held to their promise: that of session t is known at the close of session t.

Two things break it. A feature may look at bars after t; then it changes when those bars are
taken away. Or it may use the level of an adjusted price, which every later split and dividend
changes: a backtest would see a stock that is to split as one that is cheap. Then it changes when
the symbol's factors are scaled, as a corporate action after the last bar would scale them.

The first comparison is exact, bit for bit: all windows of polars (rolling, cumulative,
exponentially weighted) run forward in time, so that bars taken away at the end change no rounding
before it, and nothing can hide in a tolerance. The second allows for rounding, since a logarithm
of a scaled price is not rounded like that of the price, and for guards such as the 1e-9 that keep a
range of prices from being zero: a ten-thousandth of the feature's own spread. A level changes by
much more, since prices are scaled by 8 and more.
"""

import random
from datetime import date
from typing import Final

import polars as pl

from tradewind.errors import LeakError, ResearchError, StrategyError
from tradewind.market.bars import KEY
from tradewind.research.features import FeatureTable
from tradewind.research.strategy import Strategy
from tradewind.research.universe import select_bars

__all__ = ["N_DATES", "cut_dates", "refuse_lookahead"]

N_DATES: Final = 12
"""Most dates at which the bars are cut, if not said otherwise."""

_LEAST_DATES: Final = 3
_TOLERANCE: Final = 1e-4
_ROUNDING: Final = 1e-12
# Powers of two, so that scaling itself rounds nothing; far apart, and another one for each symbol,
# so that a level also changes its place among the others.
_PRICE_SCALES: Final = (2.0**9, 2.0**3, 2.0**7, 2.0**11, 2.0**5)
_SHARE_SCALES: Final = (2.0**-5, 2.0**-9, 2.0**-3)


def refuse_lookahead(
    bars: pl.DataFrame, strategy: Strategy, *, n_dates: int = N_DATES, seed: int
) -> None:
    """Compute a strategy's features again without the future, and compare.

    At each of `cut_dates` the features of all sessions up to the cut must be, without the bars
    after it, what they are with all bars. Then they must stay the same when the factors of each
    symbol are scaled.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
    n_dates : int
        Most cuts, at least three; each costs about as much as computing the features.
    seed : int
        Of the choice of dates.

    Raises
    ------
    LeakError
        Which names feature, symbol, session and both values.
    StrategyError
        If a symbol has no bars, or a feature of the user's own cannot be computed, or gives
        other values the second time.
    ResearchError
        If less than three dates are asked for.
    SettingsError
        If there is a feature of the user's own and the settings cannot be read.
    """
    used = select_bars(bars, strategy)
    table = FeatureTable(strategy)
    whole = table.of(used)
    exact = dict.fromkeys(_columns(whole), 0.0)
    if found := _difference(whole, table.of(used), exact):
        raise StrategyError(
            f"strategy {strategy.name}: {found} when it is computed again from the same bars. "
            "Random numbers need a seed that is fixed"
        )
    for cut in cut_dates(used, n_dates=n_dates, seed=seed):
        known = pl.col("session") <= cut
        if found := _difference(whole.filter(known), table.of(used.filter(known)), exact):
            raise LeakError(
                f"strategy {strategy.name}: {found} without the bars after {cut}: it looks ahead. "
                "A feature may use its own session and those before it: shift by positive "
                "numbers, and take rolling or cumulative figures, not those of a whole column"
            )
    if found := _difference(whole, table.of(_with_later_actions(used)), _rounding(whole)):
        raise LeakError(
            f"strategy {strategy.name}: {found} once later splits and dividends have changed the "
            "adjustment of all bars: it uses the level of a price or volume. Use a ratio, such as "
            "close / close.shift(1), which they leave alone"
        )


def cut_dates(bars: pl.DataFrame, *, n_dates: int, seed: int) -> list[date]:
    """Return where to cut: awkward dates first, then others by chance.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
    n_dates : int
        Most dates, at least three.
    seed : int
        Of the choice among splits, if there are many, and among the other sessions.

    Returns
    -------
    list of date
        Sorted: the first session, the last but one (after the last there is nothing to cut), the
        last sessions before a split and the first after it, for half of the dates at most; and
        others.

    Raises
    ------
    ResearchError
        If less than three dates are asked for.
    """
    if n_dates < _LEAST_DATES:
        raise ResearchError(f"a leak check needs {_LEAST_DATES} dates or more, not {n_dates}")
    draw = random.Random(seed)  # noqa: S311 - a sample, no secret
    sessions: list[date] = bars.get_column("session").unique().sort().to_list()[:-1]
    factor = pl.col("split_factor")
    before = pl.col("session").shift(1)
    splits = bars.select(
        pl.when(factor != factor.shift(1)).then(pl.concat_list(before, "session"))
        .over("symbol", order_by="session").alias("around"),
    ).drop_nulls()  # fmt: skip
    around = splits.get_column("around").explode().unique().sort().to_list()
    chosen = {*sessions[:1], *sessions[-1:]}
    chosen |= set(draw.sample(around, min(len(around), n_dates // 2 - 1)))
    others = [session for session in sessions if session not in chosen]
    chosen |= set(draw.sample(others, max(0, min(len(others), n_dates - len(chosen)))))
    return sorted(chosen & set(sessions))


def _with_later_actions(bars: pl.DataFrame) -> pl.DataFrame:
    """Scale each symbol's factors as corporate actions after the last bar would have."""
    place = pl.col("symbol").rank("dense").cast(pl.Int64) - 1
    return bars.with_columns(
        pl.col(factor) * pl.lit(pl.Series(scales)).gather(place % len(scales))
        for factor, scales in (
            ("adjustment_factor", _PRICE_SCALES),
            ("split_factor", _SHARE_SCALES),
        )
    )


def _columns(table: pl.DataFrame) -> list[str]:
    return [column for column in table.columns if column not in KEY]


def _rounding(table: pl.DataFrame) -> dict[str, float]:
    """Return what each column may change by if only its rounding changes."""
    return {
        column: _TOLERANCE * _figure(table[column].std()) + _ROUNDING * _figure(largest)
        for column in _columns(table)
        for largest in [table[column].abs().max()]
    }


def _figure(value: object) -> float:
    return value if isinstance(value, float) else 0.0


def _difference(
    whole: pl.DataFrame, again: pl.DataFrame, tolerance: dict[str, float]
) -> str | None:
    """Return the first difference in words: of which feature, symbol and session; None if none."""
    for column, allowed in tolerance.items():
        now, then = whole[column], again[column]
        same = ((now - then).abs() <= allowed).fill_null(value=False) | (
            now.is_null() & then.is_null()
        )
        if same.all():
            continue
        at = (~same).arg_max()
        symbol, session = whole.select(KEY).row(at or 0)
        values = [
            "undefined" if value is None else repr(value) for value in (now[at or 0], then[at or 0])
        ]
        return f"feature {column} of {symbol} on {session} is {values[0]}, but {values[1]}"
    return None

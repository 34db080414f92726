"""The part of a frame of bars that a strategy uses."""

import polars as pl

from tradewind.errors import StrategyError
from tradewind.market.bars import KEY
from tradewind.research.strategy.strategy import Strategy

__all__ = ["select_bars", "within"]


def select_bars(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Return the bars of a strategy's symbols between its start and end.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars; they may have more symbols and days than the strategy.
    strategy : Strategy

    Returns
    -------
    DataFrame of shape (n_selected, 9)
        Sorted by symbol and session.

    Raises
    ------
    StrategyError
        If a symbol has no bar in that span.
    """
    universe = strategy.universe
    selected = within(bars.filter(pl.col("symbol").is_in(list(universe.symbols))), strategy)
    missing = sorted(set(universe.symbols) - set(selected.get_column("symbol").unique()))
    if missing:
        raise StrategyError(
            f"strategy {strategy.name}: universe.symbols: no bars of {', '.join(missing)} between "
            f"{universe.start or 'the first'} and {universe.end or 'the last'} session"
        )
    return selected.sort(KEY)


def within(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Return the bars of all symbols between a strategy's start and end, in their order."""
    universe = strategy.universe
    if universe.start is not None:
        bars = bars.filter(pl.col("session") >= universe.start)
    if universe.end is not None:
        bars = bars.filter(pl.col("session") <= universe.end)
    return bars

"""Runs a strategy's own features once, in a process that nobody else needs."""

from datetime import date
from pathlib import Path
from typing import Final

from tradewind.research.code.tried import answer, tried_in_a_process
from tradewind.research.features.own_code import functions_and_files
from tradewind.research.strategy.strategy import Strategy

__all__ = ["try_features"]

_SECONDS: Final = 30.0
_SESSIONS: Final = 600


def try_features(strategy: Strategy, directory: Path, *, seconds: float = _SECONDS) -> str:
    """Return what is wrong with the own features of a strategy; nothing if they can be used.

    Parameters
    ----------
    strategy : Strategy
    directory : Path
        Of the strategy files.
    seconds : float
        Seconds that they may take, imports included.
    """
    if not strategy.own_functions:
        return ""
    return tried_in_a_process(
        __name__, strategy, directory, seconds=seconds,
        what=f"strategy {strategy.name}: {functions_and_files(strategy)}",
        doubt=" on made-up bars; does its module, or what its expression calls, run without an "
        "end?",
    )  # fmt: skip


def _check(strategy: Strategy) -> None:
    import numpy as np
    import polars as pl

    from tradewind.market.bars import SCHEMA
    from tradewind.research.features.compute import FeatureTable

    table = FeatureTable(strategy, here=True)  # this process is ended in time
    draws = np.random.default_rng(0)
    closes = 100.0 * np.exp(np.cumsum(draws.normal(0.0, 0.01, _SESSIONS)))
    days = pl.date_range(date(2000, 1, 1), date(2002, 12, 31), eager=True)[:_SESSIONS]
    one = pl.DataFrame({"session": days, "close": closes}).with_columns(
        *(pl.col("close").alias(name) for name in ("open", "high", "low")),
        pl.lit(1000).alias("volume"),
        *(pl.lit(1.0).alias(name) for name in ("split_factor", "adjustment_factor")),
    )
    symbols = strategy.universe.symbols[:3]
    bars = pl.concat(one.with_columns(symbol=pl.lit(symbol)) for symbol in symbols)
    table.of(bars.select(SCHEMA.names()).cast(dict(SCHEMA.items())))


if __name__ == "__main__":
    answer(_check)

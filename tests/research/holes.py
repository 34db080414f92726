"""Bars on which a feature is undefined where a test wants it to be."""

import datetime as dt
from collections.abc import Iterable

import numpy as np
import polars as pl

from tradewind.market.bars import SCHEMA

# Where in its range the close stands: undefined where high and low are one.
PLACE = "(pl.col('close') - pl.col('low')) / (pl.col('high') - pl.col('low'))"


def walk(symbols: str, sessions: int, *, seed: int = 7) -> pl.DataFrame:
    """Bars of random walks, one a letter, over all weekdays from 2019-01-01 on."""
    random = np.random.default_rng(seed)
    days = np.busday_offset("2019-01-01", np.arange(sessions), roll="forward").astype("M8[D]")
    frames = []
    for symbol in symbols:
        close = 50.0 * np.exp(np.cumsum(random.normal(0.0002, 0.015, sessions)))
        open_ = close * (1.0 + random.normal(0.0, 0.003, sessions))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": symbol,
                    "session": days,
                    "open": open_,
                    "high": np.maximum(open_, close) * 1.01,
                    "low": np.minimum(open_, close) * 0.98,
                    "close": close,
                    "volume": random.integers(10_000, 1_000_000, sessions),
                    "split_factor": 1.0,
                    "adjustment_factor": 1.0,
                }
            ).cast(dict(SCHEMA.items()))
        )
    return pl.concat(frames)


def punched(bars: pl.DataFrame, symbol: str, days: Iterable[dt.date]) -> pl.DataFrame:
    """The same bars, with one price all day in some sessions of a symbol."""
    hole = (pl.col("symbol") == symbol) & pl.col("session").is_in(list(days))
    return bars.with_columns(
        pl.when(hole).then("close").otherwise(name).alias(name) for name in ("open", "high", "low")
    )

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tradewind.market.sources import sample
from tradewind.market.store.bar_store import BarStore


@pytest.fixture(scope="session")
def bars() -> pl.DataFrame:
    """Every real bar that ships with the project."""
    return sample.load(sample.SYMBOLS)


@pytest.fixture(scope="session")
def handed_out(bars: pl.DataFrame) -> Callable[..., pl.DataFrame]:
    """What the source would have handed out on some day: both factors 1.0 on the last session."""

    def cut(*symbols: str, start: date = date.min, end: date = date.max) -> pl.DataFrame:
        return bars.filter(
            pl.col("symbol").is_in(symbols), pl.col("session").is_between(start, end)
        ).with_columns(
            (pl.col(factor) / pl.col(factor).last()).over("symbol")
            for factor in ("split_factor", "adjustment_factor")
        )

    return cut


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "market")

from pathlib import Path

import polars as pl
import pytest

from tradewind.market import sample
from tradewind.research.strategy import Strategy
from tradewind.research.strategy_files import load_strategy
from tradewind.research.training import TrainingResult, train

STRATEGIES = Path(__file__).parents[2] / "strategies"


@pytest.fixture(scope="session")
def bars() -> pl.DataFrame:
    """Every real bar that ships with the project."""
    return sample.load(sample.SYMBOLS)


@pytest.fixture(scope="session")
def strategy() -> Strategy:
    """The shipped strategy."""
    return load_strategy(STRATEGIES / "momentum.yaml")


@pytest.fixture(scope="session")
def trained(bars: pl.DataFrame, strategy: Strategy) -> TrainingResult:
    """One training of the shipped strategy; read, never changed."""
    return train(bars, strategy)

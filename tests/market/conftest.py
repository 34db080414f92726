import polars as pl
import pytest

from tradewind.market import sample


@pytest.fixture(scope="session")
def bars() -> pl.DataFrame:
    """Every real bar that ships with the project."""
    return sample.load(sample.SYMBOLS)

import polars as pl
import pytest

from tradewind.errors import SourceError
from tradewind.market.sources import load_bars


def test_the_sample_is_found_by_name(bars: pl.DataFrame) -> None:
    ibm = bars.filter(pl.col("symbol") == "IBM")
    assert load_bars("sample", ["IBM"]).equals(ibm)


def test_an_unknown_source_is_refused_with_those_there_are() -> None:
    with pytest.raises(SourceError, match="no source named 'yahoo'; available are sample"):
        load_bars("yahoo", ["IBM"])

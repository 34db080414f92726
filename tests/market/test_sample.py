import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from tradewind.errors import SourceError
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.sources import sample


def test_the_bars_are_those_of_the_vendor(bars: pl.DataFrame) -> None:
    assert bars.schema == SCHEMA
    counted = bars.group_by("symbol").agg(
        pl.len(), pl.min("session").alias("first"), pl.max("session").alias("last")
    )
    last = dt.date(2013, 3, 1)
    assert counted.sort("symbol").rows() == [
        ("AAPL", 3270, dt.date(2000, 3, 1), last),
        ("FB", 196, dt.date(2012, 5, 18), last),
        ("GOOG", 2148, dt.date(2004, 8, 19), last),
        ("IBM", 3270, dt.date(2000, 3, 1), last),
        ("MSFT", 3270, dt.date(2000, 3, 1), last),
    ]
    first = bars.row(0)
    assert first[:-1] == (
        *("AAPL", dt.date(2000, 3, 1), 118.56, 132.06, 118.5, 130.31, 9_616_100, 0.25),
    )


def test_exactly_three_splits_are_found(bars: pl.DataFrame) -> None:
    step = (pl.col("split_factor") / pl.col("split_factor").shift(1)).over("symbol")
    splits = bars.select(*KEY, step.alias("step")).filter(pl.col("step") != 1.0)
    assert splits.rows() == [
        ("AAPL", dt.date(2000, 6, 21), 2.0),
        ("AAPL", dt.date(2005, 2, 28), 2.0),
        ("MSFT", dt.date(2003, 2, 18), 2.0),
    ]


def test_the_special_dividend_of_2004_is_no_split(bars: pl.DataFrame) -> None:
    around = bars.filter(
        pl.col("symbol") == "MSFT",
        pl.col("session").is_between(dt.date(2004, 11, 12), dt.date(2004, 11, 15)),
    )
    before, after = around.get_column("adjustment_factor")
    assert after / before == pytest.approx(1 + 3.08 / 27.39, abs=1e-4)
    assert around.get_column("split_factor").to_list() == [1.0, 1.0]


def test_both_factors_are_one_on_each_last_session(bars: pl.DataFrame) -> None:
    last = bars.group_by("symbol").last()
    assert last.height == 5
    assert set(last.get_column("split_factor")) == {1.0}
    assert set(last.get_column("adjustment_factor")) == {1.0}


def test_order_and_repetition_of_symbols_do_not_matter() -> None:
    assert sample.load(["MSFT", "FB", "MSFT"]).equals(sample.load(["FB", "MSFT"]))


@pytest.mark.parametrize("symbols", [["AAPL", "TSLA"], []])
def test_unknown_symbols_are_refused_with_those_there_are(symbols: list[str]) -> None:
    with pytest.raises(SourceError, match="available are AAPL, FB, GOOG, IBM, MSFT") as caught:
        sample.load(symbols)
    assert "AAPL', " not in str(caught.value)
    assert ("TSLA" in str(caught.value)) == bool(symbols)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> Path:
        raise ModuleNotFoundError("No module named 'bokeh_sampledata'")

    monkeypatch.setattr(sample, "files", nothing)
    with pytest.raises(SourceError, match=r"bokeh_sampledata.* cannot be read.*pip install"):
        sample.load(["AAPL"])


def test_another_file_in_its_place_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "_data"
    data.mkdir()
    (data / "stocks.csv.gz").write_bytes(b"Ticker,Date\n")
    monkeypatch.setattr(sample, "files", lambda _: tmp_path)
    with pytest.raises(SourceError, match=f"expected {sample.METADATA.sha256}"):
        sample.load(["AAPL"])


def test_origin_and_licence_are_recorded() -> None:
    assert "Quandl WIKI" in sample.METADATA.origin
    assert "Public domain" in sample.METADATA.licence

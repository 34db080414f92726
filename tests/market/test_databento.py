"""What is the kind `databento`'s own; `test_vendor_kinds` has what holds of all."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.vendors.databento_server import DatabentoServer, lines_of
from tests.vendors.server import Answer
from tradewind.errors import PartialSourceError, SourceError
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.databento import Databento
from tradewind.market.sources.source import SourceSpec, open_source

START = date(2012, 6, 1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabentoServer]:
    monkeypatch.setenv("TRADEWIND_DATABENTO_KEY", DatabentoServer.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    since = sample.load(["AAPL", "IBM", "MSFT"]).filter(pl.col("session") >= START)
    with DatabentoServer(since).running() as running:
        yield running


def opened(server: DatabentoServer, **options: Any) -> Databento:
    given = {
        "symbols": ["AAPL", "IBM", "MSFT"], "base_url": server.url, "start": START, **options
    }  # fmt: skip
    source = open_source(SourceSpec(name="live", kind="databento", complete_after=7, options=given))
    assert isinstance(source, Databento)
    return source


def test_many_symbols_are_one_question(server: DatabentoServer) -> None:
    assert opened(server).load(["AAPL", "IBM", "MSFT"]).height == 3 * 187
    asked = [path.rpartition("/")[2] for path, _ in server.requests]
    assert asked == [
        "metadata.get_dataset_range", "metadata.get_cost", "metadata.get_record_count",
        "timeseries.get_range", "adjustment_factors.get_range",
    ]  # fmt: skip
    assert server.requests[3][1]["end"] == "2013-03-02"
    assert server.key not in str(server.requests)


def test_prices_are_exact(server: DatabentoServer) -> None:
    found = opened(server).load(["IBM"])
    true = server.bars.filter(symbol="IBM").sort("session")
    raw = ["session", "open", "high", "low", "close", "volume"]
    assert found.select(raw).equals(true.select(raw))


def test_a_question_that_costs_too_much_is_not_asked(server: DatabentoServer) -> None:
    server.dollars = 12.5
    with pytest.raises(SourceError, match=r"cost 12\.50 dollars, and the file allows 10 a"):
        opened(server).load(["IBM"])
    assert not any("get_range" in path for path, _ in server.requests[1:])
    assert opened(server, most_dollars=20).load(["IBM"]).height == 187


def test_a_symbol_that_the_vendor_does_not_know_stops_no_other(server: DatabentoServer) -> None:
    server.unknown = {"IBM"}
    with pytest.raises(PartialSourceError) as caught:
        opened(server).load(["AAPL", "IBM", "MSFT"])
    assert list(caught.value.failed) == ["IBM"]
    assert "422 Unprocessable" in caught.value.failed["IBM"]
    assert caught.value.bars is not None
    assert caught.value.bars["symbol"].unique().sort().to_list() == ["AAPL", "MSFT"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"close": str(2**63 - 1)}, "the bar of 2013-03-01 has a price that is undefined"),
        ({"close": "202.5"}, "IBM: a bar is not what the vendor's documents promise"),
        ({"close": 202}, "IBM: a bar is not what"),
        ({"open": "0"}, "IBM: a bar is not what"),
        ({"volume": "-1"}, "IBM: a bar is not what"),
        ({"hd": {}}, "IBM: a bar is not what"),
        ({"hd": {"ts_event": "1361836800000000000"}}, "out of order or repeats itself"),
        ({"hd": {"ts_event": "1000000000000000000"}}, "out of order or repeats itself"),
    ],
)
def test_a_broken_bar_fails_its_symbol_and_no_other(
    server: DatabentoServer, changed: dict[str, Any], reason: str
) -> None:
    server.changed["IBM"] = changed
    with pytest.raises(PartialSourceError, match=reason) as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def test_an_answer_that_ends_at_a_line_s_end_is_cut_short(server: DatabentoServer) -> None:
    whole = server.answer("/v0/timeseries.get_range", {
        "symbols": "IBM", "start": "2012-06-01", "end": "2013-03-02"
    }).content  # fmt: skip
    lines = whole.splitlines(keepends=True)
    for body in (b"".join(lines[:-1]), whole[:-1], whole[:-40]):
        server.always["bars"] = Answer(body)
        with pytest.raises(PartialSourceError, match="was cut short"):
            opened(server).load(["IBM"])
    server.always["bars"] = lines_of([{**json.loads(line), "symbol": "X"} for line in lines])
    with pytest.raises(PartialSourceError, match="bars of X came"):
        opened(server).load(["IBM"])


def test_a_part_of_an_answer_is_none(
    server: DatabentoServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always["bars"] = Answer(b"", 206, headers={"X-Warning": '["BentoWarning: degraded"]'})
    with pytest.raises(PartialSourceError, match=r"206 .*it is a part of the answer"):
        opened(server).load(["IBM"])
    server.always.clear()
    server.faults["cost"] = [Answer(0.1, headers={"X-Warning": '["BentoWarning: degraded"]'})]
    assert opened(server).load(["IBM"]).height == 187
    assert "BentoWarning: degraded" in caplog.text


def factor(**changed: Any) -> dict[str, Any]:
    return {
        "symbol": "IBM", "event_id": "E-1", "event": "FSPLT", "status": "A", "option": 1,
        "ex_date": "2012-11-01", "factor": 0.5, "gross_dividend": None,
        "ts_created": "2012-10-01T00:00:00.000000000Z", **changed,
    }  # fmt: skip


NEWER = "2012-12-01T00:00:00.000000000Z"


@pytest.mark.parametrize(
    ("records", "first"),
    [
        ([factor()], 0.5),
        ([factor(), factor(status="R", ts_created=NEWER)], 1.0),
        ([factor(), factor(factor=0.25, ts_created=NEWER)], 0.25),
        ([factor(), factor(factor=0.9, option=2)], 0.5),
        ([factor(), factor(exchange="USNYSE")], 0.5),
        ([factor(event="SOFF")], 1.0),
        ([factor(status="P", ex_date="2013-06-03")], 1.0),
    ],
)
def test_the_newest_word_on_an_event_holds(
    server: DatabentoServer, records: list[dict[str, Any]], first: float
) -> None:
    server.factors = records
    assert opened(server).load(["IBM"])["split_factor"][0] == pytest.approx(first)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([factor(), factor(factor=0.25)], "event E-1 has factors 0.5 on 2012-11-01 and 0.25 on"),
        ([factor(status="P")], "the factor of FSPLT on 2012-11-01 is pending"),
        ([factor(factor=0)], "IBM: an adjustment factor is not what the vendor's documents"),
        ([factor(status="X")], "IBM: an adjustment factor is not what"),
        ([factor(ex_date="soon")], "IBM: an adjustment factor is not what"),
        (
            [factor(), factor(ts_created="2012-12-01T00:00:00")],  # of which time zone?
            "IBM: an adjustment factor is not what",
        ),
    ],
)
def test_factors_that_cannot_be_used_fail_their_symbol_and_no_other(
    server: DatabentoServer, records: list[dict[str, Any]], reason: str
) -> None:
    server.factors = records
    with pytest.raises(PartialSourceError, match=reason) as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def test_factors_that_the_plan_lacks_are_named_or_not_asked_for(server: DatabentoServer) -> None:
    server.always["factors"] = Answer({"detail": {"case": "license", "message": "none"}}, 403)
    with pytest.raises(PartialSourceError, match=r"403 .*plan may not include it"):
        opened(server).load(["IBM"])
    bars = opened(server, factors="none").load(["IBM"])
    assert bars["adjustment_factor"].unique().to_list() == [1.0]


def test_it_asks_for_nothing_before_the_dataset_begins(server: DatabentoServer) -> None:
    found = opened(server, start=date(2001, 1, 2)).load(["IBM"])
    assert found["session"].min() == START
    assert "EQUS.SUMMARY from 2012-06-01 up to 2013-03-02" in opened(server).status()

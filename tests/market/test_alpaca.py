"""What is the kind `alpaca`'s own; `test_vendor_kinds` has what holds of all."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.vendors.alpaca_server import AlpacaServer
from tests.vendors.server import HTML, Answer
from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.ingest import ingest
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.alpaca import Alpaca
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore

SYMBOLS = sample.SYMBOLS
WEDNESDAY, THURSDAY = date(2013, 2, 27), date(2013, 2, 28)
EVENING, NEXT = datetime(2013, 2, 28, 4, tzinfo=UTC), datetime(2013, 3, 1, 4, tzinfo=UTC)
KEY = "TRADEWIND_ALPACA_KEY"


@pytest.fixture
def server(bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
    monkeypatch.setenv(KEY, AlpacaServer.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    with AlpacaServer(bars).running() as running:
        yield running


def Spec(server: AlpacaServer, **options: Any) -> SourceSpec:  # noqa: N802 - as if it were one
    given = {"symbols": list(SYMBOLS), "base_url": server.url, "start": date(2000, 1, 1), **options}
    return SourceSpec(name="live", kind="alpaca", complete_after=7, options=given)


def Opened(server: AlpacaServer, **options: Any) -> Alpaca:  # noqa: N802
    source = open_source(Spec(server, **options))
    assert isinstance(source, Alpaca)
    return source


def test_the_snapshot_is_that_of_the_same_bars_in_files(
    server: AlpacaServer, store: BarStore, bars: pl.DataFrame, tmp_path: Path
) -> None:
    server.today = WEDNESDAY
    first = ingest(Opened(server), Spec(server), store, known_at=EVENING)
    assert (first.new, first.failed) == (12_154 - 2 * 5, {})
    assert len(server.requests) == 1 + 13  # actions, and pages
    server.today = THURSDAY
    server.requests.clear()
    daily = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert (daily.new, daily.revised) == (5, 0)
    assert len(server.requests) == 2
    files = BarStore(tmp_path / "files")
    of_files = bars.filter(pl.col("session") <= THURSDAY)
    files.append("live", of_files, known_at=NEXT, calendar="XNYS")
    names = [each.snapshot("live", SYMBOLS, calendar="XNYS") for each in (store, files)]
    assert names[0] == names[1]


def test_of_a_page_that_cannot_be_had_the_symbols_before_it_are_whole(
    server: AlpacaServer, store: BarStore
) -> None:
    server.always["bars:5000"] = HTML
    done = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert sorted(done.failed) == ["GOOG", "IBM", "MSFT"]  # AAPL and FB have 3,466 bars
    assert store.bars("live")["symbol"].unique().sort().to_list() == ["AAPL", "FB"]
    del server.always["bars:5000"]
    server.requests.clear()
    again = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert again.failed == {}
    assert {params["symbols"] for _, params in server.requests} == {"GOOG,IBM,MSFT"}
    assert store.bars("live")["symbol"].n_unique() == 5


BROKEN = {
    "a page that comes again": (
        "bars:1000",
        Answer({"bars": {}, "next_page_token": "1000"}),
        "page 1000 comes a second time",
    ),
    "another symbol": ("bars:", Answer({"bars": {"X": []}, "next_page_token": None}), "bars of X"),
    "no symbol": ("bars:", Answer({"bars": {}, "next_page_token": None}), "gives no bars"),
    "null for bars": ("bars:", Answer({"bars": None, "next_page_token": None}), "gives no bars"),
    "no token": ("bars:", Answer({"bars": {}}), "next_page_token: Field required"),
    "a number as text": (
        "bars:",
        Answer(
            {"bars": {"IBM": [{"t": "2013-02-27T05:00:00Z", "o": "1"}]}, "next_page_token": None}
        ),
        "IBM: a bar is not what the vendor's documents promise .*'o': '1'",
    ),
    "an hour's bar": (
        "bars:",
        Answer({"bars": {"IBM": [
            {"t": "2013-02-27T15:00:00Z", "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 1}
        ]}, "next_page_token": None}),
        "none of a whole day",
    ),
    "no actions": ("actions:", Answer({"message": "x"}), "corporate_actions: Field required"),
    "a split of nothing": (
        "actions:",
        Answer({"corporate_actions": {"forward_splits": [
            {"symbol": "IBM", "new_rate": 0, "old_rate": 1, "ex_date": "2013-02-01"}
        ]}, "next_page_token": None}),
        "IBM: one of its forward_splits is not what .*'new_rate': 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_gives_no_bars(server: AlpacaServer, what: str) -> None:
    where, answer, reason = BROKEN[what]
    server.always[where] = answer
    with pytest.raises(PartialSourceError, match=reason) as caught:
        Opened(server).load(["IBM"])
    assert list(caught.value.failed) == ["IBM"]
    assert caught.value.bars is not None
    assert caught.value.bars.is_empty()


def test_a_broken_record_is_an_error_of_its_symbol_alone(
    server: AlpacaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = server.answer

    def answer(path: str, params: Mapping[str, str]) -> Answer:
        body: Any = true(path, params).body
        if "corporate_actions" in body:
            body["corporate_actions"]["cash_dividends"].append(
                {"symbol": "FB", "rate": None, "ex_date": "2013-02-01"}
            )
        elif "AAPL" in body["bars"]:
            body["bars"]["AAPL"][0]["c"] = None
        return Answer(body)

    monkeypatch.setattr(server, "answer", answer)
    with pytest.raises(PartialSourceError) as caught:
        Opened(server, start=date(2012, 6, 1)).load(SYMBOLS)
    assert sorted(caught.value.failed) == ["AAPL", "FB"]
    assert "AAPL: a bar is not what" in caught.value.failed["AAPL"]
    assert "FB: one of its cash_dividends is not what" in caught.value.failed["FB"]
    assert caught.value.bars is not None
    assert caught.value.bars["symbol"].unique().sort().to_list() == ["GOOG", "IBM", "MSFT"]
    with pytest.raises(VendorError, match="FB: one of its cash_dividends"):
        Opened(server).actions(["FB", "IBM"])


def test_a_quota_that_is_used_up_keeps_what_is_whole(server: AlpacaServer, store: BarStore) -> None:
    server.quota = 6
    done = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert sorted(done.failed) == ["GOOG", "IBM", "MSFT"]
    assert done.again_at is not None
    assert store.bars("live")["symbol"].n_unique() == 2


def test_a_spin_off_is_refused_or_ignored(server: AlpacaServer) -> None:
    server.spin_offs = [{"source_symbol": "IBM", "new_symbol": "KD", "ex_date": "2010-11-04"}]
    with pytest.raises(PartialSourceError, match="IBM: a spin-off on 2010-11-04"):
        Opened(server).load(["IBM"])
    assert Opened(server, start=date(2011, 1, 3)).load(["IBM"]).height > 500
    assert Opened(server, other_actions="ignore").load(["IBM"]).height == 3270


def test_actions_are_told(server: AlpacaServer) -> None:
    server.name_changes = [{"old_symbol": "FB", "new_symbol": "META", "process_date": "2012-06-09"}]
    found = Opened(server).actions(["AAPL", "FB"], date(2005, 1, 3))
    assert found.filter(kind="split").select("symbol", "ex_date", "value").rows() == [
        ("AAPL", date(2005, 2, 28), 2.0)
    ]
    assert found.filter(kind="rename").select("symbol", "other").rows() == [("FB", "META")]


def test_a_key_has_two_parts_and_neither_is_told(
    server: AlpacaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Opened(server).status().startswith("what is left of the quota is unknown")
    monkeypatch.setenv(KEY, "wr0ng1d:wr0ng-s3cr3t")
    with pytest.raises(VendorError, match=r"401 .*unauthorized \*\*\*") as caught:
        Opened(server).load(["IBM"])
    assert "wr0ng" not in str(caught.value)
    monkeypatch.setenv(KEY, "0nly-0ne-part")
    with pytest.raises(SourceError, match="has two parts") as told:
        Opened(server).load(["IBM"])
    assert "0nly" not in str(told.value)

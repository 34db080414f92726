"""What is the kind `massive`'s own; `test_vendor_kinds` has what holds of all."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from tests.vendors.massive_server import MassiveServer
from tests.vendors.server import Answer
from tradewind.errors import PartialSourceError, SourceError
from tradewind.market.ingest import ingest
from tradewind.market.sources import massive, sample, vendor_tries
from tradewind.market.sources.massive import Massive
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore

START, WEDNESDAY, THURSDAY = date(2012, 6, 1), date(2013, 2, 27), date(2013, 2, 28)
EVENING, NEXT = datetime(2013, 2, 28, 4, tzinfo=UTC), datetime(2013, 3, 1, 4, tzinfo=UTC)
FORTY = [f"S{number:02}" for number in range(40)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MassiveServer]:
    monkeypatch.setenv("TRADEWIND_MASSIVE_KEY", MassiveServer.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    with MassiveServer(sample.load(["AAPL", "IBM"])).running() as running:
        yield running


def spec_of(server: MassiveServer, **options: Any) -> SourceSpec:
    given = {"symbols": ["AAPL", "IBM"], "base_url": server.url, "start": START, **options}
    return SourceSpec(name="live", kind="massive", complete_after=7, options=given)


def opened(server: MassiveServer, **options: Any) -> Massive:
    source = open_source(spec_of(server, **options))
    assert isinstance(source, Massive)
    return source


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(massive, "_now", lambda: moment)


@pytest.fixture
def many(server: MassiveServer, store: BarStore, monkeypatch: pytest.MonkeyPatch) -> SourceSpec:
    """Forty symbols that are stored up to the day before."""
    since = sample.load(["IBM"]).filter(pl.col("session") >= date(2013, 1, 2))
    server.bars = pl.concat(
        since.with_columns(
            pl.lit(name).alias("symbol"),
            pl.col("open", "high", "low", "close") * (size + 1.0),
            pl.col("volume") * (50 - size),
        )
        for size, name in enumerate(FORTY)
    )
    server.today = WEDNESDAY
    at(monkeypatch, EVENING)
    spec = spec_of(server, symbols=FORTY)
    assert ingest(open_source(spec), spec, store, known_at=EVENING).failed == {}
    server.today = THURSDAY
    at(monkeypatch, NEXT)
    server.requests.clear()
    return spec


def test_many_symbols_are_refreshed_by_the_day(
    many: SourceSpec, server: MassiveServer, store: BarStore
) -> None:
    done = ingest(open_source(many), many, store, known_at=NEXT)
    assert (done.new, done.revised, done.unchanged, done.failed) == (40, 0, 40 * 31, {})
    days = [path for path, _ in server.requests if "/grouped/" in path]
    assert len(days) == 32
    assert days[-1].endswith("/2013-02-28")
    assert len(server.requests) == 32 + 2
    alone = opened(server, symbols=FORTY).load(["S07"])
    kept = store.bars("live").filter(symbol="S07").select(alone.columns)
    assert kept.select("session", "close", "volume").equals(
        alone.select("session", "close", "volume")
    )


def test_a_day_is_asked_for_once_for_all_symbols(many: SourceSpec, server: MassiveServer) -> None:
    source = open_source(many)
    assert isinstance(source, Massive)
    since = dict.fromkeys(FORTY, date(2013, 2, 1))
    first = source.load(FORTY[:30], since)
    asked = len(server.requests)
    second = source.load(FORTY[30:], since)
    assert len(server.requests) == asked + 2  # actions alone
    assert (first["symbol"].n_unique(), second["symbol"].n_unique()) == (30, 10)


def day_with(server: MassiveServer, **changed: Any) -> Answer:
    """Thursday's answer, in which the bar of one symbol is another."""
    answer = server.answer(
        f"/v2/aggs/grouped/locale/us/market/stocks/{THURSDAY}", {"adjusted": "false"}
    )
    assert isinstance(answer.body, dict)
    rows = [{**row, **changed} if row["T"] == "S07" else row for row in answer.body["results"]]
    return Answer({**answer.body, "results": rows})


@pytest.mark.parametrize(
    "changed", [{"o": 0}, {"c": "201.5"}, {"v": -1}, {"h": None}, {"t": 10**18}]
)
def test_a_broken_bar_of_a_day_fails_its_symbol_and_no_other(
    many: SourceSpec, server: MassiveServer, store: BarStore, changed: dict[str, Any]
) -> None:
    server.always[THURSDAY.isoformat()] = day_with(server, **changed)
    done = ingest(open_source(many), many, store, known_at=NEXT)
    assert list(done.failed) == ["S07"]
    assert "the bar of 2013-02-28 is not what the vendor's documents promise" in done.failed["S07"]
    assert done.new == 39


def test_a_bar_of_another_day_fails_its_symbol_and_no_other(
    many: SourceSpec, server: MassiveServer, store: BarStore
) -> None:
    server.always[THURSDAY.isoformat()] = day_with(server, t=1362000000000)
    done = ingest(open_source(many), many, store, known_at=NEXT)
    assert list(done.failed) == ["S07"]
    assert "its bar is one of 2013-02-27" in done.failed["S07"]
    assert done.new == 39


def test_a_symbol_that_a_day_lacks_is_named(
    many: SourceSpec, server: MassiveServer, store: BarStore
) -> None:
    day = date(2013, 2, 20)
    server.bars = server.bars.filter((pl.col("symbol") != "S07") | (pl.col("session") != day))
    done = ingest(open_source(many), many, store, known_at=NEXT)
    assert list(done.failed) == ["S07"]
    assert "missing_session" in done.failed["S07"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": "OK", "resultsCount": 9, "results": []}, "resultsCount is 9, and 0 bars came"),
        ({"status": "OK", "resultsCount": 0, "adjusted": True}, "adjusted: Input should be False"),
        ({"status": "NOT_AUTHORIZED", "message": "upgrade"}, r"status: .* \('NOT_AUTHORIZED'\)"),
        ({"status": "OK", "resultsCount": 0}, "all symbols on 2013-02-28: the vendor has a bar of"),
    ],
)  # fmt: skip
def test_of_a_day_that_cannot_be_had_nothing_is_stored(
    many: SourceSpec, server: MassiveServer, store: BarStore, answer: dict[str, Any], reason: str
) -> None:
    server.always[THURSDAY.isoformat()] = Answer(answer)
    with pytest.raises(PartialSourceError, match=reason):
        ingest(open_source(many), many, store, known_at=NEXT)
    assert store.bars("live")["session"].max() == WEDNESDAY


def test_a_history_comes_in_pages(server: MassiveServer) -> None:
    server.page = 50
    assert opened(server).load(["IBM"]).height == 187
    assert len([path for path, _ in server.requests if "/range/" in path]) == 4


def test_bars_of_a_company_that_had_the_symbol_before_are_left_out(
    server: MassiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.names["IBM"] = [("CTR", "2003-09-10"), ("IBM", "2012-10-01")]
    assert opened(server).load(["IBM"])["session"].min() == date(2012, 10, 1)
    assert "IBM: 84 bars before 2012-10-01 are left out" in caplog.text
    kept = opened(server, earlier_bars="keep").load(["IBM"])
    assert kept["session"].min() == START


def split_of(day: str, ratio: float) -> dict[str, Any]:
    return {"ticker": "IBM", "execution_date": day, "split_from": 1, "split_to": ratio, "id": "E"}


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        (["2012-11-01", "2012-11-02"], "splits of 2 on 2012-11-01 and of 2 on 2012-11-02 are told"),
        (["2012-11-01", ("2012-11-01", 3.0)], "of 2 on 2012-11-01 and of 3 on 2012-11-01"),
        ([("2012-11-01", 0.0)], "IBM: a split is not what the vendor's documents promise"),
        ([("yesterday", 2.0)], "IBM: a split is not what"),
    ],
)
def test_splits_that_contradict_each_other_are_refused(
    server: MassiveServer, splits: list[Any], reason: str
) -> None:
    told = [one if isinstance(one, tuple) else (one, 2.0) for one in splits]
    server.more_splits = [split_of(day, ratio) for day, ratio in told]
    with pytest.raises(PartialSourceError, match=reason) as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def test_a_split_that_is_told_twice_in_the_same_words_is_one(server: MassiveServer) -> None:
    server.more_splits = [split_of("2012-11-01", 2.0), split_of("2012-11-01", 2.0)]
    assert opened(server).load(["IBM"])["split_factor"][0] == pytest.approx(0.5)


def paid(**changed: Any) -> dict[str, Any]:
    return {
        "ticker": "IBM", "ex_dividend_date": "2012-11-07", "cash_amount": 1.0, "currency": "USD",
        "declaration_date": "2012-10-30", "distribution_type": "recurring", **changed,
    }  # fmt: skip


@pytest.mark.parametrize(
    "again", [{"declaration_date": "2012-10-31"}, {"declaration_date": None}], ids=str
)
def test_a_dividend_that_is_told_twice_in_other_words_is_refused(
    server: MassiveServer, again: dict[str, Any]
) -> None:
    told = [paid(), paid(**again)]
    server.always["dividends"] = Answer({"status": "OK", "results": told})
    with pytest.raises(PartialSourceError, match="of 1 on 2012-11-07 is told 2 times") as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def test_a_special_dividend_of_the_same_day_and_amount_is_another(server: MassiveServer) -> None:
    def step(*told: dict[str, Any]) -> float:
        server.always["dividends"] = Answer({"status": "OK", "results": told})
        bars = opened(server).load(["IBM"])
        return 1.0 / float(bars["adjustment_factor"][0])

    one, two = step(paid(), paid()), step(paid(), paid(distribution_type="special"))
    assert two - 1.0 == pytest.approx(2.0 * (one - 1.0))


def test_a_dividend_in_another_currency_is_refused(server: MassiveServer) -> None:
    server.always["dividends"] = Answer({"status": "OK", "results": [
        {"ticker": "IBM", "ex_dividend_date": "2012-11-07", "cash_amount": 1.0, "currency": "CAD"}
    ]})  # fmt: skip
    with pytest.raises(PartialSourceError, match="IBM: the dividend of 2012-11-07 is told in CAD"):
        opened(server).load(["IBM"])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"ticker": "X", "status": "OK", "resultsCount": 0}, "IBM: bars of X came"),
        ({"ticker": "IBM", "status": "OK", "resultsCount": 0}, "gives no bars"),
        ({"ticker": "IBM", "status": "OK", "resultsCount": 1, "results": [
            {"o": 1, "h": 1, "l": 1, "c": 1, "v": 1, "t": 1362000600000}]},
         "none of a whole day in New York"),
        ({"ticker": "IBM", "status": "OK", "resultsCount": 0, "next_url": "https://x/y?cursor=1"},
         "page https://x/y.cursor=1 comes a second time"),
    ],
)  # fmt: skip
def test_a_history_that_is_none_is_refused(
    server: MassiveServer, answer: dict[str, Any], reason: str
) -> None:
    server.always |= {"IBM": Answer(answer), "y": Answer(answer)}
    with pytest.raises(PartialSourceError, match=reason):
        opened(server).load(["IBM"])


def test_a_quota_that_a_sentence_tells_of_is_waited_for(server: MassiveServer) -> None:
    said = "You've exceeded the maximum requests per minute, please wait or upgrade"
    over = Answer({"status": "ERROR", "error": said}, headers={"Retry-After": "0"})
    server.faults["IBM"] = [over, over]
    assert opened(server).load(["IBM"]).height == 187


def test_what_the_plan_does_not_include_is_said(server: MassiveServer) -> None:
    said = {"status": "NOT_AUTHORIZED", "message": "Your plan doesn't include this timeframe"}
    server.always["IBM"] = Answer(said, 403)
    with pytest.raises(PartialSourceError, match=r"403 .*plan may not include it") as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def test_renames_delistings_and_announcements_are_told(server: MassiveServer) -> None:
    server.names["IBM"] = [("AAPL", "2003-09-10"), ("IBM", "2012-10-01")]
    server.delisted["IBM"] = "2013-02-28"
    found = opened(server).actions(["AAPL", "IBM"])
    assert found.filter(kind="rename").row(0) == (
        "AAPL", "rename", date(2012, 10, 1), None, None, "IBM"
    )  # fmt: skip
    assert found.filter(kind="delisting").row(0)[:3] == ("IBM", "delisting", THURSDAY)
    assert found.filter(kind="dividend")["announced"].unique().to_list() == [date(2000, 1, 3)]


def test_the_stocks_of_a_day_are_told(server: MassiveServer) -> None:
    assert opened(server).members(THURSDAY) == ("AAPL", "IBM")
    with pytest.raises(SourceError, match="no stock is told of 2013-03-03"):
        opened(server).members(date(2013, 3, 3))

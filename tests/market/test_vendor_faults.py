"""Faults of vendors from public reports: each is caught by name, and nothing of it is stored.

docs/vendors/faults.md lists them with their references; a test holds the two together.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.vendors.alpaca_server import AlpacaServer
from tests.vendors.crypto_server import BitstampServer, KrakenServer, coins
from tests.vendors.ib_gateway import Fault as Said
from tests.vendors.ib_gateway import HistoryGateway
from tests.vendors.server import HTML, Answer
from tests.vendors.tiingo_server import OVER_QUOTA, TiingoServer, rows_of
from tradewind.errors import SnapshotError, SourceError
from tradewind.market.ingest import ingest
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.crypto import Ccxt
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore

PAGE = Path(__file__).parents[2] / "docs" / "vendors" / "faults.md"
PRICES = ("open", "high", "low", "close")
SINCE, SPLIT = date(2013, 1, 14), date(2005, 2, 28)
TODAY = datetime.now(UTC).date()
Row = dict[str, Any]


@dataclass(frozen=True)
class Vendor:
    """A vendor with two symbols, one of which it is to get wrong."""

    kind: str
    server: Any
    options: Row
    wrong: str
    other: str
    known_at: datetime
    calendar: str = "XNYS"

    @property
    def spec(self) -> SourceSpec:
        hours = {"tiingo": 7.0, "alpaca": 7.0, "interactive_brokers": 4.0}.get(self.kind)
        return SourceSpec(
            name="live", kind=self.kind, calendar=self.calendar, complete_after=hours,
            options={"symbols": [self.wrong, self.other], **self.options},
        )  # fmt: skip


@contextmanager
def tiingo(since: date = SINCE, wrong: str = "IBM", other: str = "MSFT") -> Iterator[Vendor]:
    with TiingoServer(sample.load(sample.SYMBOLS)).running() as server:
        options = {"base_url": server.url, "start": since}
        yield Vendor("tiingo", server, options, wrong, other, datetime(2013, 3, 5, tzinfo=UTC))


@contextmanager
def alpaca() -> Iterator[Vendor]:
    with AlpacaServer(sample.load(["AAPL", "IBM"])).running() as server:
        options = {"base_url": server.url, "start": date(2006, 1, 3)}
        yield Vendor("alpaca", server, options, "IBM", "AAPL", datetime(2013, 3, 5, tzinfo=UTC))


@contextmanager
def exchange(of: type[Any] = BitstampServer, days: int = 300) -> Iterator[Vendor]:
    with of(coins(TODAY)).running() as server:
        name = "kraken" if of is KrakenServer else "bitstamp"
        options = {
            "exchange": name, "base_url": server.url, "start": TODAY - timedelta(days=days),
            "lots": {"BTC/USD": "0.0001", "ETH/USD": "0.0001"},
        }  # fmt: skip
        now = datetime.now(UTC)
        yield Vendor("ccxt", server, options, "BTC/USD", "ETH/USD", now, "24/7")


@contextmanager
def interactive_brokers() -> Iterator[Vendor]:
    with HistoryGateway(sample.load(["IBM", "MSFT"])).running() as server:
        options = {"port": server.port, "start": SINCE, "timeout": 1.0}
        yield Vendor(
            "interactive_brokers", server, options, "IBM", "MSFT", datetime(2013, 3, 5, tzinfo=UTC)
        )


def rows(vendor: Vendor, change: Callable[[list[Row]], Any]) -> None:
    """Have Tiingo send other rows of the symbol."""
    since = vendor.options["start"]
    of = rows_of(sample.load([vendor.wrong]).filter(pl.col("session") >= since))
    vendor.server.always[vendor.wrong] = Answer(change(of) or of)


def one(vendor: Vendor, place: int = 10, **values: Any) -> None:
    rows(vendor, lambda of: of[place].update(values))


def scaled(vendor: Vendor, factor: float, which: Callable[[Row], bool]) -> None:
    """Have Tiingo send other prices of some sessions, adjusted ones too."""

    def change(of: list[Row]) -> None:
        for row in filter(which, of):
            for name in (*PRICES, *(f"adj{each.capitalize()}" for each in PRICES)):
                row[name] *= factor

    rows(vendor, change)


def without_split(vendor: Vendor) -> None:
    """Have Tiingo forget a split, in its factor and its adjusted prices."""

    def change(of: list[Row]) -> None:
        for row in of:
            row.update({f"adj{each.capitalize()}": row[each] for each in PRICES}, splitFactor=1.0)
            row["divCash"] = 0.0

    rows(vendor, change)


def moved_split(vendor: Vendor) -> None:
    """Have Tiingo tell a split five sessions late, in its adjusted prices, too."""

    def change(of: list[Row]) -> None:
        day = next(n for n, row in enumerate(of) if row["splitFactor"] != 1.0)
        ratio = of[day]["splitFactor"]
        of[day]["splitFactor"], of[day + 5]["splitFactor"] = 1.0, ratio
        for row in of[day : day + 5]:
            row["adjClose"] /= ratio

    rows(vendor, change)


def half_adjusted(vendor: Vendor) -> None:
    """Have Tiingo divide one session's low and close by a split, and not its open and high."""
    row: Row = {**rows_of(sample.load([vendor.wrong]).filter(pl.col("session") >= SINCE))[10]}
    one(vendor, low=row["low"] / 8, open=row["open"] / 8)


def twice_the_split(vendor: Vendor) -> None:
    """Have Alpaca tell another split beside one that there was not."""
    day = "2012-06-05"
    found = [
        {"symbol": vendor.wrong, "new_rate": 3.0, "old_rate": 1.0, "ex_date": day},
        {"symbol": vendor.wrong, "new_rate": 2.0, "old_rate": 3.0, "ex_date": day},
    ]
    told = {"forward_splits": found}
    vendor.server.always["actions:"] = Answer({"corporate_actions": told, "next_page_token": None})


def page_of_another(vendor: Vendor) -> None:
    """Have Alpaca repeat bars of the symbol on a later page."""
    bars = vendor.server._bars(
        vendor.server.bars.filter(pl.col("symbol") == vendor.wrong).tail(40), {"limit": "100"}
    )
    vendor.server.page = 20_000
    begin = date(2013, 1, 14)
    vendor.options["start"] = begin
    mine = vendor.server.bars.filter(pl.col("session") >= begin)
    first = vendor.server._bars(mine.sort("symbol", "session"), {"limit": "10000"}).body
    vendor.server.always["bars:"] = Answer({**first, "next_page_token": "more"})
    vendor.server.always["bars:more"] = Answer({"bars": bars.body["bars"], "next_page_token": None})


def first_page_alone(vendor: Vendor) -> None:
    """Have Alpaca send its first page as if it were all."""
    since = pl.col("session") >= vendor.options["start"]
    mine = vendor.server.bars.filter(since).sort("symbol", "session")
    count = mine.filter(symbol=vendor.other).height
    page = vendor.server._bars(mine.head(count), {"limit": "10000"})
    vendor.server.page = 20_000
    vendor.server.always["bars:"] = Answer({**page.body, "next_page_token": None})


def candles(vendor: Vendor, change: Callable[[list[Row]], Any]) -> None:
    of = [dict(each) for each in vendor.server.candles[vendor.wrong][-60:]]
    vendor.server.always["btcusd"] = Answer({"data": {"ohlc": change(of) or of}})


def says(code: int, text: str, what: str = "TRADES") -> Callable[[Vendor], None]:
    def do(vendor: Vendor) -> None:
        vendor.server.always[vendor.wrong, what] = Said(code, text)

    return do


def answers(answer: Answer) -> Callable[[Vendor], None]:
    return lambda vendor: vendor.server.always.update({vendor.wrong: answer})


HMDS = "Historical Market Data Service error message:"
# By the reports: which vendor, how it is done, and what is said of it.
FAULTS: dict[str, tuple[Callable[[], Any], Callable[[Vendor], Any], str]] = {
    "hydrosquall/tiingo-python#45": (
        tiingo, answers(OVER_QUOTA), "the quota of requests is used up until",
    ),
    "ranaroussi/yfinance#2328": (
        tiingo,
        answers(Answer({"detail": "Too Many Requests"}, 429, headers={"Retry-After": "900"})),
        "the quota of requests is used up until",
    ),
    "ranaroussi/yfinance#2291": (tiingo, answers(HTML), "the answer is text/html, no JSON"),
    "iexg/IEX-API#1329": (tiingo, answers(Answer([])), "the vendor gives no bars"),
    "forecastingresearch/forecastbench#287": (
        tiingo, answers(Answer({"detail": "not found"}, 404)), "404 .*take it out of options",
    ),
    "ranaroussi/yfinance#2964": (
        tiingo, lambda vendor: rows(vendor, lambda of: of[:10] + of[11:]), "missing_session",
    ),
    "ranaroussi/yfinance#2930": (
        tiingo, lambda vendor: one(vendor, open=None, high=None, low=None, close=None),
        "open: Input should be a valid number",
    ),
    "iexg/IEX-API#1101": (
        tiingo, lambda vendor: one(vendor, open=0, high=0, low=0), "open: .* greater than 0",
    ),
    "iexg/IEX-API#561": (
        tiingo, lambda vendor: one(vendor, high=-1, low=-1), "high: .* greater than 0",
    ),
    "iexg/IEX-API#355": (tiingo, lambda vendor: one(vendor, open=300.0), "ohlc_order"),
    "finnhubio/Finnhub-API#123": (
        tiingo,
        lambda vendor: rows(vendor, lambda of: [
            {**row, "close": 165.0, "adjClose": 165.0} for row in of
        ]),
        "ohlc_order|contradict|adjusted closes step",
    ),
    "iexg/IEX-API#1271": (
        tiingo,
        lambda vendor: rows(vendor, lambda of: [*of[:20], {**of[20], "volume": 0}, *of[20:]]),
        "out of order or repeats itself",
    ),
    "iexg/IEX-API#641": (
        tiingo,
        lambda vendor: rows(vendor, lambda of: [
            *of[:-1], {**of[-2], "date": of[-1]["date"], "splitFactor": 1.0, "divCash": 0.0}
        ]),
        "repeated_bar",
    ),
    "ranaroussi/yfinance#984": (
        lambda: tiingo(date(2012, 11, 1)),
        lambda vendor: rows(vendor, lambda of: [{**row, "divCash": 0.0} for row in of]),
        "the adjusted closes step by",
    ),
    "ranaroussi/yfinance#906": (
        lambda: tiingo(date(2005, 1, 3), "AAPL"), without_split, "unadjusted_split",
    ),
    "polygon-io/issues#21": (
        tiingo,
        lambda vendor: scaled(vendor, 4.0, lambda row: str(row["date"]) >= "2013-02-13"),
        "unadjusted_split",
    ),
    "massive-com/client-jvm#287": (
        lambda: tiingo(date(2005, 1, 3), "AAPL"), moved_split,
        "unadjusted_split|the adjusted closes step by",
    ),
    "polygon-io/issues#311": (alpaca, twice_the_split, "unadjusted_split"),
    "ranaroussi/yfinance#280": (
        tiingo,
        lambda vendor: scaled(vendor, 0.01, lambda row: str(row["date"]) >= "2013-02-13"),
        "unit_shift",
    ),
    "massive-com/client-python#925": (tiingo, half_adjusted, "ohlc_order|range"),
    "iexg/IEX-API#937": (
        tiingo,
        lambda vendor: vendor.server.always.update({vendor.wrong: Answer(
            rows_of(sample.load([vendor.other]).filter(pl.col("session") >= SINCE))
        )}),
        "copied_symbol",
    ),
    "alpacahq/alpaca-trade-api-csharp#473": (
        alpaca, page_of_another, "out of order or repeats itself",
    ),
    "alpacahq/alpaca-py#503": (alpaca, first_page_alone, "the vendor gives no bars"),
    "ccxt/ccxt#5614": (
        lambda: exchange(KrakenServer, 2000), lambda _: None, "gives its newest 720 candles",
    ),
    "ccxt/ccxt#15565": (
        exchange,
        lambda vendor: candles(vendor, lambda of: [
            {**each, "timestamp": int(each["timestamp"]) + 16 * 3600} for each in of
        ]),
        "day begins at 16:00 UTC, and not at midnight",
    ),
    "crypto-lake/lake-api#16": (
        exchange,
        lambda vendor: candles(vendor, lambda of: [*of, {**of[-1], "volume": "0.5"}]),
        "came twice, with",
    ),
    "QuantConnect/Lean#607": (
        interactive_brokers,
        says(162, HMDS + "Historical data request pacing violation"),
        "the quota of requests is used up until",
    ),
    "erdewit/ib_insync#686": (
        interactive_brokers,
        says(162, HMDS + "No historical market data for EUR/CASH@FXSUBPIP Last 300"),
        "162 .*No historical market data",
    ),
    "erdewit/ib_insync#687": (
        interactive_brokers,
        lambda vendor: vendor.server.always.update({(vendor.wrong, "TRADES"): Said(silent=True)}),
        "no bars of TRADES came within 1 s, and no error",
    ),
    "erdewit/ib_insync#461": (
        interactive_brokers, says(162, HMDS + "No market data permissions for NYSE STK"),
        "has no subscription to these market data",
    ),
    "erdewit/ib_insync#539": (
        interactive_brokers,
        lambda vendor: vendor.server.listings.update({vendor.wrong: ["LSE", "NYSE"]}),
        "means 2 stocks, of LSE, NYSE",
    ),
}  # fmt: skip
# A bar that is left out until it is whole, while all before it is stored.
HALF_BARS = ("QuantConnect/Lean#4428", "planet-winter/ccxt-ohlcv-fetcher#5")
NOBODY = ("microsoft/qlib#1626",)
# What concerns the other symbol, too: nobody is answered, or it is unknown which of both is right.
SHARED = {
    "hydrosquall/tiingo-python#45", "ranaroussi/yfinance#2328", "ccxt/ccxt#5614",
    "QuantConnect/Lean#607", "iexg/IEX-API#937",
}  # fmt: skip


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_TIINGO_KEY", TiingoServer.key)
    monkeypatch.setenv("TRADEWIND_ALPACA_KEY", AlpacaServer.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)


@pytest.mark.parametrize("report", FAULTS)
def test_a_fault_is_named_and_nothing_of_its_symbol_is_stored(store: BarStore, report: str) -> None:
    of, do, reason = FAULTS[report]
    with of() as vendor:
        do(vendor)
        failed: Mapping[str, str] = {}
        try:
            failed = ingest(
                opened(vendor.spec), vendor.spec, store, known_at=vendor.known_at
            ).failed
        except SourceError as error:  # nothing could be had of any
            failed = getattr(error, "failed", {})
    assert vendor.wrong in failed
    assert re.search(reason, failed[vendor.wrong])
    if report not in SHARED:
        assert list(failed) == [vendor.wrong]
        assert store.bars("live")["symbol"].unique().to_list() == [vendor.other]
    refused_in_a_training(store, vendor)


def opened(spec: SourceSpec) -> Any:
    source = open_source(spec)
    if isinstance(source, Ccxt):
        source._exchange().rateLimit = 0  # an exchange on loopback need not be spared
    return source


def refused_in_a_training(store: BarStore, vendor: Vendor) -> None:
    """A training takes a snapshot, and that cannot be had of the symbol."""
    with pytest.raises(SnapshotError, match=f"{vendor.wrong}|no bars of source"):
        store.snapshot("live", [vendor.wrong], calendar=vendor.calendar)


def test_a_bar_of_a_session_that_goes_on_is_left_out(store: BarStore) -> None:
    with tiingo() as vendor:
        during = datetime(2013, 2, 28, 20, tzinfo=UTC)
        vendor.server.today = date(2013, 2, 28)
        ingest(opened(vendor.spec), vendor.spec, store, known_at=during)
        assert store.bars("live")["session"].max() == date(2013, 2, 27)


def test_a_candle_of_a_day_that_goes_on_is_left_out(store: BarStore) -> None:
    with exchange() as vendor:
        ingest(opened(vendor.spec), vendor.spec, store, known_at=vendor.known_at)
        last = store.bars("live")["session"].max()
        assert isinstance(last, date)
        assert last < TODAY


def test_a_vendor_that_is_out_of_reach_is_not_a_list_of_delisted_stocks(store: BarStore) -> None:
    with tiingo() as vendor:
        pass
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 does not answer"):
        ingest(opened(vendor.spec), vendor.spec, store, known_at=vendor.known_at)
    assert store.version("live") is None


def test_the_page_lists_each_fault_once() -> None:
    listed = re.findall(
        r"^\| \[([^\]]+)\]\(https://github\.com/", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted([*FAULTS, *HALF_BARS, *NOBODY])
    assert len(listed) >= 25

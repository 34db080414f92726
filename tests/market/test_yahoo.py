"""What is the kind `yahoo`'s own; `test_vendor_kinds` has what holds of all."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.vendors.server import Answer
from tests.vendors.yahoo_server import YahooServer, chart_of, opening
from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.ingest import ingest
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.sources.yahoo import Yahoo
from tradewind.market.store.bar_store import BarStore

START, LAST = date(2012, 6, 1), date(2013, 2, 28)
NEXT = datetime(2013, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[YahooServer]:
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    with YahooServer(sample.load(["AAPL", "IBM"]), today=LAST).running() as running:
        yield running


def spec_of(server: YahooServer, **options: Any) -> SourceSpec:
    given = {
        "symbols": ["AAPL", "IBM"], "base_url": server.url, "start": START, "personal_use": True,
        **options,
    }  # fmt: skip
    return SourceSpec(name="live", kind="yahoo", complete_after=7, options=given)


def opened(server: YahooServer, **options: Any) -> Yahoo:
    source = open_source(spec_of(server, **options))
    assert isinstance(source, Yahoo)
    return source


def IBM(server: YahooServer, change: Callable[[dict[str, Any]], None]) -> Answer:  # noqa: N802
    """IBM's answer with something that is another."""
    bars = server.bars.filter(pl.col("symbol") == "IBM", pl.col("session") <= LAST)
    answer = chart_of("IBM", bars, START)
    change(answer["chart"]["result"][0])
    return Answer(answer)


def quotes(chart: dict[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = chart["indicators"]["quote"][0]
    return found


def test_prices_are_those_that_were_traded_to_the_cent(server: YahooServer) -> None:
    found = opened(server, start=date(2000, 3, 1)).load(["AAPL"])  # over two splits of 2:1
    true = server.bars.filter(pl.col("symbol") == "AAPL", pl.col("session") <= LAST)
    prices = ["session", "open", "high", "low", "close"]
    assert found.select(prices).equals(true.sort("session").select(prices))
    apart = (found["volume"] - true.sort("session")["volume"]).abs().max()
    assert isinstance(apart, int)
    assert apart <= 2  # a volume of today's shares is whole
    assert found["split_factor"][0] == pytest.approx(0.25)


@pytest.mark.parametrize("days", [-5, 0, 1])
def test_a_split_that_is_told_before_its_day_is_traded_is_refused(
    server: YahooServer, days: int
) -> None:
    day = datetime.now(UTC).date() + timedelta(days=days)

    def told_early(chart: dict[str, Any]) -> None:
        told = {"date": opening(day), "numerator": 4.0, "denominator": 1.0}
        chart["events"]["splits"] = {"1": told}

    server.always["IBM"] = IBM(server, told_early)
    with pytest.raises(PartialSourceError, match=f"IBM: a split of 4 on {day} is told") as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def test_another_rounding_to_32_bits_is_no_revision(server: YahooServer, store: BarStore) -> None:
    server.today = LAST - timedelta(days=1)
    ingest(opened(server), spec_of(server), store, known_at=NEXT - timedelta(days=1))
    server.today = LAST
    noisy = [pl.col(name) * (1.0 + 6e-8) for name in ("open", "high", "low", "close")]
    server.bars = server.bars.with_columns(noisy)
    done = ingest(opened(server), spec_of(server), store, known_at=NEXT)
    assert (done.new, done.revised, done.failed) == (2, 0, {})


def test_a_dividend_is_that_of_a_share_of_its_day(server: YahooServer) -> None:
    with_split = server.bars.with_columns(
        split_factor=pl.when(pl.col("session") < date(2013, 1, 15)).then(0.5).otherwise(1.0)
    )
    server.bars = with_split.filter(pl.col("symbol") == "IBM")
    found = opened(server).actions(["IBM"])
    assert found.filter(kind="split").row(0)[2:5] == (date(2013, 1, 15), None, 2.0)
    assert found.filter(kind="dividend")["value"].max() == pytest.approx(0.85)


def drop(chart: dict[str, Any], place: int) -> None:
    for column in (*quotes(chart).values(), chart["indicators"]["adjclose"][0]["adjclose"]):
        column[place] = None


def today_again(chart: dict[str, Any]) -> None:
    chart["timestamp"].append(opening(LAST) + 23_401)
    for column in (*quotes(chart).values(), chart["indicators"]["adjclose"][0]["adjclose"]):
        column.append(column[-1])


def of_meta(**changed: str) -> Callable[[dict[str, Any]], None]:
    return lambda chart: chart["meta"].update(changed)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "today's row twice": (today_again, "is out of order or repeats itself"),
    "a price without the others": (
        lambda chart: quotes(chart)["high"].__setitem__(9, None),
        "the bar of 2012-06-14 lacks a price or its volume",
    ),
    "no volume": (
        lambda chart: quotes(chart)["volume"].__setitem__(9, None), "lacks a price or its volume"
    ),
    "a column that is shorter": (
        lambda chart: quotes(chart)["close"].pop(), "186 timestamps and 185 values of close came"
    ),
    "fewer adjusted closes": (
        lambda chart: chart["indicators"]["adjclose"][0]["adjclose"].pop(),
        "the adjusted closes are not as many",
    ),
    "a price of zero": (
        lambda chart: quotes(chart)["low"].__setitem__(9, 0.0), "greater than 0"
    ),
    "a number as text": (
        lambda chart: quotes(chart)["low"].__setitem__(9, "1"), "valid number"
    ),
    "months for days": (of_meta(dataGranularity="3mo"), "dataGranularity: Input should be '1d'"),
    "another symbol": (of_meta(symbol="X"), "IBM: bars of X came"),
    "no time zone": (of_meta(exchangeTimezoneName="Mars/Olympus"), "must be a time zone"),
    "a dividend only in the closes": (
        lambda chart: chart["events"].pop("dividends"), "the adjusted closes step by 1.00"
    ),
    "a dividend only in the events": (
        lambda chart: chart["indicators"]["adjclose"][0].update(adjclose=quotes(chart)["close"]),
        "the adjusted closes step by 1, while dividends of 0.8",
    ),
    "a dividend larger than the price": (
        lambda chart: next(iter(chart["events"]["dividends"].values())).update(amount=999.0),
        "dividends of 999 make inf",
    ),
    "no rows": (
        lambda chart: chart.update(timestamp=[], indicators={"quote": [{}]}), "gives no bars"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_fails_its_symbol_and_no_other(server: YahooServer, what: str) -> None:
    change, reason = BROKEN[what]
    server.always["IBM"] = IBM(server, change)
    with pytest.raises(PartialSourceError, match=reason) as caught:
        opened(server).load(["AAPL", "IBM"])
    assert list(caught.value.failed) == ["IBM"]


def hundredfold(chart: dict[str, Any]) -> None:
    for name in ("open", "high", "low", "close"):
        column = quotes(chart)[name]
        column[-9:] = [100.0 * price for price in column[-9:]]
    column = chart["indicators"]["adjclose"][0]["adjclose"]
    column[-9:] = [100.0 * price for price in column[-9:]]


def split_not_yet_in_prices(chart: dict[str, Any]) -> None:
    moment = opening(date(2013, 2, 20))
    place = chart["timestamp"].index(moment)
    for column in (*quotes(chart).values(), chart["indicators"]["adjclose"][0]["adjclose"]):
        column[:place] = [2 * each for each in column[:place]]
    quotes(chart)["volume"][:place] = [each // 4 for each in quotes(chart)["volume"][:place]]
    chart["indicators"]["adjclose"][0]["adjclose"] = [None] * len(chart["timestamp"])
    split = {"date": moment, "numerator": 2.0, "denominator": 1.0}
    chart["events"]["splits"] = {str(moment): split}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda chart: drop(chart, 50), "missing_session"),
        (hundredfold, "unit_shift"),
        (split_not_yet_in_prices, "unadjusted_split"),
    ],
)
def test_what_a_rule_finds_is_not_stored(
    server: YahooServer, store: BarStore, change: Callable[[dict[str, Any]], None], rule: str
) -> None:
    server.always["IBM"] = IBM(server, change)
    done = ingest(opened(server), spec_of(server), store, known_at=NEXT)
    assert list(done.failed) == ["IBM"]
    assert rule in done.failed["IBM"]
    assert store.bars("live")["symbol"].unique().to_list() == ["AAPL"]


def test_a_refusal_is_never_a_delisting(server: YahooServer) -> None:
    server.always["IBM"] = Answer(b"Too Many Requests\r\n", 200, "text/plain")
    with pytest.raises(PartialSourceError, match="the quota of requests is used up") as caught:
        opened(server).load(["IBM"])
    wait = caught.value.again_at - datetime.now(UTC) if caught.value.again_at else None
    assert wait is not None
    assert abs(wait - timedelta(minutes=5)) < timedelta(minutes=1)


def test_who_is_refused_whatever_he_asks_is_told_so(server: YahooServer) -> None:
    server.always["IBM"] = Answer({"finance": {"error": {"code": "Unauthorized"}}}, 401)
    with pytest.raises(PartialSourceError, match="refuses whoever asks from here"):
        opened(server).load(["IBM"])
    server.always["IBM"] = server.answer("/v8/finance/chart/NONE", {})
    with pytest.raises(PartialSourceError, match=r"404 .*No data found"):
        opened(server).load(["IBM"])


@pytest.mark.parametrize("options", [{"personal_use": False}, {"personal_use": "no"}])
def test_that_the_use_is_personal_must_be_said(
    server: YahooServer, options: dict[str, Any]
) -> None:
    with pytest.raises(SourceError, match="personal_use"):
        opened(server, **options)
    with pytest.raises(VendorError, match="does not answer"):
        opened(server, base_url="http://127.0.0.1:9").load(["IBM"])

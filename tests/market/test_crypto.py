"""The kind `ccxt`, through the real library, against exchanges of our own on loopback."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.vendors.crypto_server import (
    COINS,
    IDS,
    PARTS,
    BitstampServer,
    KrakenServer,
    coins,
)
from tests.vendors.server import HTML, PASSING, Answer
from tradewind.desk.training import _source_check
from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.ingest import examine, ingest
from tradewind.market.sources import vendor_tries
from tradewind.market.sources.crypto import Ccxt
from tradewind.market.sources.source import Source, SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.testing import SourceContract

BTC, ETH = "BTC/USD", "ETH/USD"
LOTS = {BTC: "0.0001", ETH: "0.0001"}
LAST = date(2026, 10, 31)
BEFORE = LAST - timedelta(days=1)
NOON, NEXT = datetime(2026, 10, 31, 12, tzinfo=UTC), datetime(2026, 11, 1, 1, tzinfo=UTC)
START = date(2026, 1, 1)


@pytest.fixture(scope="module")
def traded() -> pl.DataFrame:
    return coins(LAST)


@pytest.fixture
def server(traded: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[BitstampServer]:
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    with BitstampServer(traded).running() as running:
        yield running


def Spec(server: Any, **options: Any) -> SourceSpec:  # noqa: N802 - as if it were one
    kraken = isinstance(server, KrakenServer)
    return SourceSpec(
        name="coins", kind="ccxt", calendar="24/7",
        options={
            "exchange": "kraken" if kraken else "bitstamp", "symbols": list(COINS), "lots": LOTS,
            "start": START, "base_url": server.url, **options,
        },
    )  # fmt: skip


def Opened(server: Any, **options: Any) -> Ccxt:  # noqa: N802
    source = open_source(Spec(server, **options))
    assert isinstance(source, Ccxt)
    source._exchange().rateLimit = 0  # an exchange on loopback need not be spared
    return source


def in_lots(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars as a file would have them: prices of a ten thousandth of a coin."""
    lot = Decimal("0.0001")
    return bars.with_columns(
        pl.Series(name, [float(Decimal(repr(price)) * lot) for price in bars[name]])
        for name in ("open", "high", "low", "close")
    )


class TestContract(SourceContract):
    """What every source promises, and what this one offers besides."""

    symbols = (BTC, ETH)

    @pytest.fixture(scope="class")
    @classmethod
    def vendor(cls) -> Iterator[BitstampServer]:
        with BitstampServer(coins(LAST)).running() as running:
            yield running

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls, vendor: BitstampServer) -> SourceSpec:
        return Spec(vendor)

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, vendor: BitstampServer) -> Source:
        return Opened(vendor)


def test_the_snapshot_is_that_of_the_same_bars_in_files(
    server: BitstampServer, traded: pl.DataFrame, store: BarStore, tmp_path: Path
) -> None:
    start = date(2020, 1, 1)  # several pages, and ETH was not listed before 2018
    server.today = BEFORE
    first = ingest(Opened(server, start=start), Spec(server), store, known_at=NOON)
    assert (first.failed, first.revised) == ({}, 0)
    server.today = LAST
    server.requests.clear()
    daily = ingest(Opened(server, start=start), Spec(server), store, known_at=NEXT)
    assert (daily.new, daily.revised, daily.unchanged) == (2, 0, 2 * 31)
    asked = [params["start"] for path, params in server.requests if "ohlc" in path]
    begin = int(datetime(2026, 9, 30, tzinfo=UTC).timestamp())
    assert {asked[0], asked[1]} == {str(begin), str(begin + 32 * 86_400)}

    files = BarStore(tmp_path / "files")
    of_files = in_lots(traded.filter(pl.col("session") >= start))
    files.append("coins", of_files, known_at=NEXT, calendar="24/7")
    names = [each.snapshot("coins", list(COINS), calendar="24/7") for each in (store, files)]
    assert names[0] == names[1]


def test_days_before_the_listing_are_no_end(server: BitstampServer) -> None:
    first = Opened(server, start=date(2010, 1, 1)).load([ETH])["session"][0]
    listed = LAST - timedelta(days=len(server.candles[ETH]) - 1)
    assert first == listed > date(2010, 1, 1) + timedelta(days=server.page)


@pytest.mark.parametrize("page", [1, 37, 304, 5000])
def test_the_size_of_pages_does_not_matter(
    server: BitstampServer, traded: pl.DataFrame, page: int
) -> None:
    server.page = page
    begin = START if page > 1 else LAST - timedelta(days=9)
    bars = Opened(server, start=begin).load([BTC])
    wanted = traded.filter(pl.col("symbol") == BTC, pl.col("session") >= begin)
    assert bars.equals(in_lots(wanted))


def test_a_page_that_begins_later_than_it_was_asked_to_is_no_listing(
    server: BitstampServer,
) -> None:
    server.page, server.newest_first = 37, True
    with pytest.raises(SourceError, match="left out days before"):
        Opened(server).load([BTC])


def test_a_market_that_has_ended_stays_as_it_is(server: BitstampServer, store: BarStore) -> None:
    del server.candles[ETH][-30:]
    ingest(Opened(server), Spec(server), store, known_at=NOON)
    server.requests.clear()
    again = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert (again.failed, again.revised, again.new) == ({}, 0, 1)
    assert store.bars("coins", [ETH])["session"].max() == LAST - timedelta(days=30)


def test_a_day_that_goes_on_is_not_stored(server: BitstampServer, store: BarStore) -> None:
    ingest(Opened(server), Spec(server), store, known_at=NOON)
    assert store.bars("coins")["session"].max() == BEFORE


def test_the_first_trades_of_a_day_are_no_reason_to_refuse_a_symbol(
    server: BitstampServer, store: BarStore
) -> None:
    server.candles[BTC][-1]["volume"] = "0.00004"  # no lot yet
    source = Opened(server)
    source._exchange().milliseconds = lambda: int(NOON.timestamp() * 1000)
    assert ingest(source, Spec(server), store, known_at=NOON).failed == {}
    assert store.bars("coins", [BTC])["session"].max() == BEFORE


def test_a_correction_is_a_revision(server: BitstampServer, store: BarStore) -> None:
    server.today = BEFORE
    ingest(Opened(server), Spec(server), store, known_at=NOON)
    server.today = LAST
    server.candles[BTC][-9]["volume"] = "999.5"
    done = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    told = [(each.symbol, each.session) for each in done.findings if each.rule == "revision"]
    assert told == [(BTC, LAST - timedelta(days=8))]
    assert store.bars("coins", [BTC])["volume"][-9] == 9_995_000


def edited(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[BitstampServer], None]:
    def do(server: BitstampServer) -> None:
        rows = [dict(each) for each in server.candles[BTC][-60:]]
        server.always[IDS[BTC]] = Answer({"data": {"ohlc": change(rows) or rows}})

    return do


def put(place: int, **values: object) -> Callable[[BitstampServer], None]:
    return edited(lambda rows: rows[place].update(values))


# By what is wrong: how it is done, and what is said of it.
BROKEN: dict[str, tuple[Callable[[BitstampServer], None], str]] = {
    "no number": (put(7, close="NaN"), r"candle 7\.4: .* finite|greater than 0"),
    "a missing price": (put(7, close=None), r"candle 7\.4: .* valid number"),
    "a price of zero": (put(7, low="0"), r"candle 7\.3: .* greater than 0"),
    "a negative volume": (put(7, volume="-5"), r"candle 7\.5: .* greater than or equal to 0"),
    "a day that begins elsewhere": (
        edited(lambda rows: [{**one, "timestamp": int(one["timestamp"]) + 57600} for one in rows]),
        "day begins at 16:00 UTC, and not at midnight",
    ),
    "a candle twice, not the same": (
        edited(lambda rows: rows.append({**rows[-1], "close": "1.5"})), "came twice, with",
    ),
    "microseconds": (
        edited(lambda rows: [{**one, "timestamp": int(one["timestamp"]) * 1000} for one in rows]),
        r"candle 0\.0: .* less than",
    ),
    "more than there is": (put(7, volume="9e99"), "lots were traded"),
    "no candles": (edited(lambda rows: rows.clear()), "gives no bars"),
    "a gone market": (lambda server: server.candles.__delitem__(BTC), "has no such market"),
    "an unknown refusal": (
        lambda server: server.always.update({IDS[BTC]: Answer({"error": "what?"})}), "what?",
    ),
    "another form": (
        lambda server: server.always.update({IDS[BTC]: Answer([1, 2])}), "BTC/USD: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_fails_its_symbol_and_no_other(server: BitstampServer, what: str) -> None:
    do, reason = BROKEN[what]
    do(server)
    with pytest.raises(PartialSourceError) as caught:
        Opened(server).load([BTC, ETH])
    assert list(caught.value.failed) == [BTC]
    assert re.search(reason, caught.value.failed[BTC])
    assert caught.value.bars is not None
    assert caught.value.bars["symbol"].unique().to_list() == [ETH]


def test_a_candle_that_is_repeated_as_it_was_is_one(server: BitstampServer) -> None:
    server.candles[BTC].append(dict(server.candles[BTC][-1]))
    assert Opened(server).load([BTC])["session"][-1] == LAST


@pytest.mark.parametrize("what", [one for one in PASSING if one != "429 for a second"])
def test_what_passes_is_asked_again_at_once(server: BitstampServer, what: str) -> None:
    server.faults[IDS[BTC]] = [PASSING[what]] * 3
    assert Opened(server).load([BTC]).height == 304
    assert len(server.requests) == 1 + 1 + 3 + 1  # markets, twice; failures; the page


@pytest.mark.parametrize("status", [429, 418])
def test_a_rate_limit_is_never_no_data(
    server: BitstampServer, store: BarStore, status: int
) -> None:
    limited = Answer({"reason": "slow down"}, status, headers={"Retry-After": "1800"})
    server.always[IDS[ETH]] = limited
    done = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert list(done.failed) == [ETH]
    assert "the quota of requests is used up until" in done.failed[ETH]
    assert done.again_at is not None
    apart = done.again_at - datetime.now(UTC) - timedelta(minutes=30)
    assert abs(apart) < timedelta(minutes=1)
    del server.always[IDS[ETH]]
    again = ingest(Opened(server), Spec(server), store, known_at=NEXT + timedelta(hours=1))
    assert (again.failed, store.bars("coins")["symbol"].n_unique()) == ({}, 2)


def test_an_exchange_that_answers_nobody_here_is_told_once(server: BitstampServer) -> None:
    refusal = Answer({"msg": "Service unavailable from a restricted location"}, 451)
    server.always["markets"] = refusal
    with pytest.raises(VendorError, match="answers nobody where this machine is") as caught:
        Opened(server).load([BTC, ETH])
    assert not caught.value.passing
    assert len(server.requests) == 1


def test_an_exchange_that_is_not_there_is_an_outage(traded: pl.DataFrame) -> None:
    from tradewind.orchestration.retries import is_outage

    with BitstampServer(traded.head(10)).running() as gone:
        pass
    with pytest.raises(VendorError, match="see whether this machine reaches") as caught:
        Opened(gone).load([BTC])
    assert is_outage(caught.value)


def test_newest_candles_are_not_taken_for_a_history(store: BarStore) -> None:
    today = datetime.now(UTC).date()
    with KrakenServer(coins(today)).running() as server:
        with pytest.raises(SourceError, match="gives its newest 720 candles, from") as caught:
            Opened(server, start=today - timedelta(days=2000)).load([BTC])
        assert "Set options.start to" in str(caught.value)
        source = Opened(server, start=today - timedelta(days=700))
        assert (
            ingest(source, Spec(server), store, known_at=datetime.now(UTC), symbols=[BTC]).failed
            == {}
        )
    assert store.bars("coins")["session"].min() == today - timedelta(days=700)


def test_newest_candles_of_a_thin_market_are_not_taken_for_a_history_either() -> None:
    today = datetime.now(UTC).date()
    with KrakenServer(coins(today)).running() as server:
        of = server.candles[BTC]
        server.candles[BTC] = [each for number, each in enumerate(of) if number % 100 != 50]
        with pytest.raises(SourceError, match=r"gives its newest 71\d candles, from"):
            Opened(server, start=today - timedelta(days=2000)).load([BTC])


def test_a_derivative_is_refused(server: BitstampServer) -> None:
    server.market_type = "PERPETUAL"
    with pytest.raises(SourceError, match="a swap and no spot market"):
        Opened(server, symbols=["BTC/USD:USD"], lots={}).load(["BTC/USD:USD"])


def test_parts_of_coins_that_whole_lots_cannot_hold_are_refused(server: BitstampServer) -> None:
    for each in server.candles[ETH]:
        each["volume"] = repr(float(each["volume"]) / 1000)
    with pytest.raises(SourceError, match="coins were traded, which is") as caught:
        Opened(server, lots={}).load([ETH])
    proposed = re.search(r"options\.lots: \{ETH/USD: ([0-9.]+)\}", str(caught.value))
    assert proposed is not None
    bars = Opened(server, lots={ETH: proposed[1]}).load([ETH])
    coins_traded = bars["volume"] * float(proposed[1])
    real = pl.Series([float(each["volume"]) for each in server.candles[ETH]])[-bars.height :]
    assert ((coins_traded / real) - 1.0).abs().max() < 0.01  # type: ignore[operator]
    assert bars["volume"].min() >= 50  # type: ignore[operator]


def test_more_lots_than_can_be_counted_are_refused(server: BitstampServer) -> None:
    with pytest.raises(SourceError, match="write a larger one under options"):
        Opened(server, lots={BTC: "0.000000000000000001"}).load([BTC])


def test_volumes_in_lots_are_exact(server: BitstampServer, traded: pl.DataFrame) -> None:
    bars = Opened(server).load([BTC])
    assert 1 / float(LOTS[BTC]) == PARTS
    assert bars["volume"].equals(traded.filter(symbol=BTC)["volume"][-bars.height :])


def test_its_status_names_what_is_no_longer_traded(server: BitstampServer) -> None:
    assert Opened(server).status().startswith("2 of 2 symbols are traded; raw prices")
    del server.candles[ETH]
    assert Opened(server).status().startswith("1 of 2 symbols are traded, and not ETH/USD")
    server.faults["markets"] = [HTML]
    with pytest.raises(VendorError, match="markets: "):
        Opened(server).status()


def test_doctor_asks_it(server: BitstampServer) -> None:
    assert _source_check(Spec(server)).note.startswith("2 of 2 symbols are traded")
    server.always["markets"] = HTML
    assert "the answer is no JSON" in _source_check(Spec(server)).problem


def test_validation_leaves_out_what_is_not_complete(server: BitstampServer) -> None:
    found = examine(Opened(server), Spec(server), known_at=NOON)
    assert [str(each) for each in found if each.severity == "error"] == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"exchange": "Kraken"}, r"options\.exchange"),
        ({"exchange": "krakn"}, "knows no exchange 'krakn'. Did you mean kraken"),
        ({"lots": {"SOL/USD": 1}}, "lots has SOL/USD, which symbols does not list"),
        ({"lots": {BTC: 0}}, r"options\.lots"),
        ({"base_url": "http://api.example.com"}, "must begin with https://.*changed on their way"),
    ],
)
def test_wrong_options_are_refused(
    server: BitstampServer, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        Opened(server, **options)

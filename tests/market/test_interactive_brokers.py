"""The kind `interactive_brokers`, through ib_async, against a gateway of our own on loopback."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.vendors.ib_gateway import Fault, HistoryGateway
from tradewind.desk.training import _source_check
from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.ingest import ingest
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.interactive_brokers import InteractiveBrokersHistory
from tradewind.market.sources.source import Source, SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.testing import SourceContract

SYMBOLS = sample.SYMBOLS
WEDNESDAY, THURSDAY = date(2013, 2, 27), date(2013, 2, 28)
EVENING, NEXT = datetime(2013, 2, 28, 4, tzinfo=UTC), datetime(2013, 3, 1, 4, tzinfo=UTC)
TRADES, ADJUSTED = "TRADES", "ADJUSTED_LAST"


@pytest.fixture
def gateway(bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[HistoryGateway]:
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    with HistoryGateway(bars).running() as running:
        yield running


def Spec(gateway: HistoryGateway, **options: Any) -> SourceSpec:  # noqa: N802 - as if it were one
    return SourceSpec(
        name="ib", kind="interactive_brokers", complete_after=4,
        options={
            "symbols": list(SYMBOLS), "port": gateway.port, "start": date(2000, 1, 1), **options,
        },
    )  # fmt: skip


def Opened(gateway: HistoryGateway, **options: Any) -> InteractiveBrokersHistory:  # noqa: N802
    source = open_source(Spec(gateway, **options))
    assert isinstance(source, InteractiveBrokersHistory)
    return source


def adjusted_for_splits(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars as a file would have them whose prices are adjusted for splits already."""
    split = pl.col("split_factor") / pl.col("split_factor").last().over("symbol")
    both = pl.col("adjustment_factor") / pl.col("adjustment_factor").last().over("symbol")
    return bars.with_columns(
        *(pl.col(name) * split for name in ("open", "high", "low", "close")),
        (pl.col("volume") / split).round().cast(pl.Int64).alias("volume"),
        (both / split).alias("adjustment_factor"),
        split_factor=pl.lit(1.0),
    )


class TestContract(SourceContract):
    """What every source promises, and what this one offers besides."""

    symbols = ("FB", "GOOG")

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls) -> Iterator[SourceSpec]:
        with HistoryGateway(sample.load(SYMBOLS)).running() as gateway:
            yield Spec(gateway)

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, spec: SourceSpec) -> Source:
        return open_source(spec)


def test_the_snapshot_is_that_of_the_same_bars_in_files(
    gateway: HistoryGateway, store: BarStore, bars: pl.DataFrame, tmp_path: Path
) -> None:
    gateway.today = WEDNESDAY
    first = ingest(Opened(gateway), Spec(gateway), store, known_at=EVENING)
    assert (first.new, first.failed) == (12_154 - 2 * 5, {})
    gateway.today = THURSDAY
    gateway.requests.clear()
    daily = ingest(Opened(gateway), Spec(gateway), store, known_at=NEXT)
    assert (daily.new, daily.revised) == (5, 0)
    assert [each[:2] for each in gateway.requests[:3]] == [
        ("AAPL", "contract"), ("AAPL", TRADES), ("AAPL", ADJUSTED),
    ]  # fmt: skip

    files = BarStore(tmp_path / "files")
    of_files = adjusted_for_splits(bars.filter(pl.col("session") <= THURSDAY))
    files.append("ib", of_files, known_at=NEXT, calendar="XNYS")
    held = [each.bars("ib") for each in (store, files)]
    assert held[0].equals(held[1])
    names = [each.snapshot("ib", SYMBOLS, calendar="XNYS") for each in (store, files)]
    assert names[0] == names[1]


def test_a_split_changes_all_before_it_and_is_told_so(
    gateway: HistoryGateway, store: BarStore, bars: pl.DataFrame
) -> None:
    since = date(2013, 1, 14)
    gateway.bars = bars.filter(pl.col("session") >= since)
    gateway.today = WEDNESDAY
    options = {"symbols": ["IBM"], "start": since}
    ingest(Opened(gateway, **options), Spec(gateway, **options), store, known_at=EVENING)
    before = pl.col("session") < THURSDAY
    gateway.bars = gateway.bars.with_columns(
        pl.when(before).then(pl.col(one) / 2).otherwise(one).alias(one)
        for one in ("split_factor", "adjustment_factor")
    ).with_columns(
        pl.when(before).then(pl.col(one)).otherwise(pl.col(one) / 2).alias(one)
        for one in ("open", "high", "low", "close")
    )
    gateway.today = THURSDAY
    done = ingest(Opened(gateway, **options), Spec(gateway, **options), store, known_at=NEXT)
    assert (done.new, done.revised, done.failed) == (1, 31, {})
    close = store.bars("ib")["close"]
    assert abs(close[-1] / close[-2] - 1.0) < 0.03


def test_a_correction_is_a_revision_however_long_ago(
    gateway: HistoryGateway, store: BarStore
) -> None:
    gateway.today = WEDNESDAY
    ingest(Opened(gateway), Spec(gateway), store, known_at=EVENING)
    gateway.today = THURSDAY
    gateway.edits["IBM", TRADES] = lambda rows: [
        [*row[:5], row[5] + 100] if row[0] == "20010315" else row for row in rows
    ]
    done = ingest(Opened(gateway), Spec(gateway), store, known_at=NEXT)
    told = [(each.symbol, each.session) for each in done.findings if each.rule == "revision"]
    assert (done.revised, told) == (1, [("IBM", date(2001, 3, 15))])


def test_a_dividend_is_a_step(gateway: HistoryGateway) -> None:
    found = (
        Opened(gateway)
        .load(["MSFT"])
        .with_columns(step=pl.col("adjustment_factor") / pl.col("adjustment_factor").shift(1))
    )
    special = found.filter(session=date(2004, 11, 15))["step"][0]
    assert special == pytest.approx(1.0 + 3.08 / 27.39, abs=2e-3)


def test_a_session_that_goes_on_is_not_stored(gateway: HistoryGateway, store: BarStore) -> None:
    during = datetime(2013, 2, 28, 20, tzinfo=UTC)
    ingest(Opened(gateway), Spec(gateway), store, known_at=during, symbols=["IBM"])
    assert store.bars("ib")["session"].max() == WEDNESDAY


HISTORICAL = "Historical Market Data Service error message:"
# What the gateway says of IBM, by whose question, what is said of it, and how often it is asked.
ERRORS: dict[str, tuple[str, Fault, str, int]] = {
    "no data": (
        TRADES, Fault(162, HISTORICAL + "HMDS query returned no data: IBM@SMART Trades"),
        "162 .*was it renamed or delisted", 1,
    ),
    "no permission": (
        TRADES, Fault(162, HISTORICAL + "No market data permissions for NYSE STK"),
        "no subscription to these market data", 1,
    ),
    "not subscribed": (
        TRADES, Fault(354, "Requested market data is not subscribed."), "354 .*no subscription", 1,
    ),
    "not subscribed by the API": (
        TRADES, Fault(10089, "Requested market data requires additional subscription for API."),
        "10089 .*no subscription", 1,
    ),
    "an error that nobody knows": (
        ADJUSTED, Fault(366, "No historical data query found for ticker id"),
        "see what Interactive Brokers' documents say of 366", 4,
    ),
    "no such stock": (
        "contract", Fault(200, "No security definition has been found for the request"),
        "200 .*primary_exchanges, or take it out", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_fails_its_symbol_and_no_other(gateway: HistoryGateway, name: str) -> None:
    what, fault, reason, times = ERRORS[name]
    gateway.always["IBM", what] = fault
    with pytest.raises(PartialSourceError) as caught:
        Opened(gateway).load(["FB", "IBM"])
    assert list(caught.value.failed) == ["IBM"]
    assert re.search(reason, caught.value.failed["IBM"])
    assert len([one for one in gateway.requests if one[:2] == ("IBM", what)]) == times
    assert caught.value.bars is not None
    assert caught.value.bars.height == 196


@pytest.mark.parametrize(
    "fault",
    [
        Fault(162, HISTORICAL + "Historical data request pacing violation"),
        Fault(420, "Invalid Real-time Query. pacing violation"),
        Fault(100, "Max rate of messages per second has been exceeded"),
    ],
    ids=str,
)
def test_pacing_is_a_quota_and_never_no_data(
    gateway: HistoryGateway, store: BarStore, fault: Fault
) -> None:
    gateway.always["GOOG", TRADES] = fault
    done = ingest(
        Opened(gateway), Spec(gateway), store, known_at=EVENING, symbols=["FB", "GOOG", "IBM"]
    )
    assert sorted(done.failed) == ["GOOG", "IBM"]
    assert all("the quota of requests is used up until" in why for why in done.failed.values())
    assert done.again_at is not None
    apart = done.again_at - datetime.now(UTC) - timedelta(minutes=10)
    assert abs(apart) < timedelta(minutes=1)
    assert [one for one in gateway.requests if one[0] == "IBM"] == []
    gateway.always.clear()
    again = ingest(Opened(gateway), Spec(gateway), store, known_at=EVENING + timedelta(hours=1))
    assert (again.failed, store.bars("ib")["symbol"].n_unique()) == ({}, 5)


EDITS: dict[str, tuple[str, Callable[[list[list[Any]]], list[list[Any]]], str]] = {
    "one answer is cut short": (
        ADJUSTED, lambda rows: rows[:-30], "TRADES has .* one answer is cut short",
    ),
    "one answer begins later": (
        TRADES, lambda rows: rows[30:], "ADJUSTED_LAST .* one answer is cut short",
    ),
    "a volume of more than there is": (
        TRADES, lambda rows: [*rows[:-1], [*rows[-1][:5], 1e30]], r"a volume of 1e\+30, which",
    ),
    "a volume of -1": (
        TRADES, lambda rows: [*rows[:-1], [*rows[-1][:5], -1]], "a volume of -1, which stands",
    ),
    "a price of 0": (
        ADJUSTED, lambda rows: [*rows[:-1], [*rows[-1][:4], 0.0, 1]], "a price of 0, which stands",
    ),
    "a bar of an hour": (
        TRADES,
        lambda rows: [*rows[:-1], ["20130301  10:00:00", *rows[-1][1:]]],
        "which is no day",
    ),
    "bars twice": (TRADES, lambda rows: rows + rows[-5:], "out of order or repeats itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_bars_that_are_none_fail_their_symbol(gateway: HistoryGateway, name: str) -> None:
    what, edit, reason = EDITS[name]
    gateway.edits["IBM", what] = edit
    with pytest.raises(PartialSourceError) as caught:
        Opened(gateway).load(["FB", "IBM"])
    assert list(caught.value.failed) == ["IBM"]
    assert re.search(reason, caught.value.failed["IBM"])


@pytest.mark.parametrize("fault", [Fault(close=True), Fault(silent=True)], ids=str)
def test_a_gateway_that_restarts_is_asked_again(gateway: HistoryGateway, fault: Fault) -> None:
    gateway.faults["IBM", TRADES] = [fault]
    assert Opened(gateway, timeout=1.0).load(["IBM"]).height == 3270


def test_no_answer_is_not_no_bars(gateway: HistoryGateway) -> None:
    gateway.always["IBM", TRADES] = Fault(2105, "HMDS data farm connection is broken:ushmds")
    with pytest.raises(SourceError, match=r"no bars of TRADES came within 1 s.*2105: HMDS"):
        Opened(gateway, timeout=1.0).load(["IBM"])


def test_a_name_of_several_stocks_is_said_which(gateway: HistoryGateway) -> None:
    gateway.listings["IBM"] = ["NYSE", "LSE"]
    with pytest.raises(SourceError, match=r"'IBM' means 2 stocks, of LSE, NYSE.*primary_exchanges"):
        Opened(gateway).load(["IBM"])
    chosen = Opened(gateway, primary_exchanges={"IBM": "NYSE"})
    assert chosen.load(["IBM"]).height == 3270


def test_a_share_class_is_asked_for_as_the_gateway_writes_it(
    gateway: HistoryGateway, bars: pl.DataFrame
) -> None:
    fb = bars.filter(symbol="FB").with_columns(symbol=pl.lit("BRK.B"))
    gateway.bars = fb
    assert Opened(gateway, symbols=["BRK.B"]).load(["BRK.B"])["symbol"].unique()[0] == "BRK.B"


def test_a_login_elsewhere_and_a_lost_connection_are_of_all(gateway: HistoryGateway) -> None:
    for code, text, reason in (
        (10197, "No market data during competing live session", "logged in elsewhere"),
        (1100, "Connectivity between IB and Trader Workstation has been lost.", "lost its servers"),
    ):
        gateway.always["AAPL", TRADES] = Fault(code, text)
        with pytest.raises(VendorError, match=reason):
            Opened(gateway).load(["AAPL", "FB", "IBM"])


def test_a_client_id_that_is_taken_is_told(gateway: HistoryGateway) -> None:
    gateway.taken.add(117)
    with pytest.raises(VendorError, match=r"326: .*options\.client_id"):
        Opened(gateway, timeout=1.0).load(["FB"])
    assert Opened(gateway, client_id=118).load(["FB"]).height == 196


def test_a_gateway_that_is_not_there_is_an_outage(bars: pl.DataFrame) -> None:
    from tradewind.orchestration.retries import is_outage

    with HistoryGateway(bars).running() as gone:
        pass
    with pytest.raises(VendorError, match=r"127\.0\.0\.1:\d+ is out of reach") as caught:
        Opened(gone).load(["FB", "IBM"])
    assert is_outage(caught.value)


def test_doctor_asks_it(gateway: HistoryGateway) -> None:
    assert _source_check(Spec(gateway)).note.startswith("the gateway answers")
    gateway.taken.add(117)
    assert "options.client_id" in _source_check(Spec(gateway, timeout=1.0)).problem


def test_its_status_says_that_the_gateway_answers(gateway: HistoryGateway) -> None:
    assert Opened(gateway).status().startswith("the gateway answers, its time is 2013-03-01")
    gateway.always["AAPL", "contract"] = Fault(200, "No security definition")
    with pytest.raises(VendorError, match="renamed or delisted"):
        Opened(gateway).status()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"port": 0}, r"options\.port"),
        ({"currency": "dollars"}, r"options\.currency"),
        ({"timeout": 0.1}, r"options\.timeout"),
        ({"primary_exchanges": {"IBM": "new york"}}, r"options\.primary_exchanges"),
        ({"clientid": 1}, r"options\.clientid: unknown field"),
    ],
)
def test_wrong_options_are_refused(
    gateway: HistoryGateway, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        Opened(gateway, **options)

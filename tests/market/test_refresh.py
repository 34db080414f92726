"""A source that gives what is new alone: what it is asked for, what is stored, what is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tradewind.errors import PartialSourceError, SourceError
from tradewind.market import refresh as refresh_module
from tradewind.market.ingest import examine, ingest
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.testing import SourceContract

CLOSE = datetime(2013, 2, 27, 21, tzinfo=UTC)
EVENING, NEXT = datetime(2013, 2, 28, 4, tzinfo=UTC), datetime(2013, 3, 1, 4, tzinfo=UTC)
WEDNESDAY, THURSDAY = date(2013, 2, 27), date(2013, 2, 28)
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
EVENINGS = Promise(complete_after=timedelta(hours=4))
FACTORS = ("split_factor", "adjustment_factor")


def Spec(**fields: Any) -> SourceSpec:  # noqa: N802 - as if it were one
    return SourceSpec(name="real", kind="made_up", **fields)


@dataclass
class Vendor:
    """The real bars as a vendor hands them out, who remembers what was asked."""

    bars: pl.DataFrame
    promise: Promise = EVENINGS
    refused: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[tuple[str, ...], dict[str, date]]] = field(default_factory=list)
    again_at: datetime | None = None

    def symbols(self) -> tuple[str, ...]:
        return tuple(self.bars["symbol"].unique().sort())

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        begin = dict(since or {})
        self.asked.append((tuple(symbols), begin))
        first = [{"symbol": one, "begin": begin.get(one, date.min)} for one in symbols]
        bars = (
            self.bars.join(pl.DataFrame(first), on="symbol")
            .filter(pl.col("session") >= pl.col("begin"), ~pl.col("symbol").is_in(self.refused))
            .drop("begin")
            .sort("symbol", "session")
            .with_columns((pl.col(one) / pl.col(one).last()).over("symbol") for one in FACTORS)
        )
        failed = {one: self.refused[one] for one in symbols if one in self.refused}
        if failed:
            raise PartialSourceError("real", failed, bars=bars, again_at=self.again_at)
        return bars


def put(bars: pl.DataFrame, symbol: str, day: date, **values: Any) -> pl.DataFrame:
    where = (pl.col("symbol") == symbol) & (pl.col("session") == day)
    return bars.with_columns(
        pl.when(where).then(value).otherwise(name).cast(bars.schema[name]).alias(name)
        for name, value in values.items()
    )


def test_only_what_is_new_is_asked_for_and_the_snapshot_is_that_of_the_whole(
    store: BarStore, bars: pl.DataFrame, tmp_path: Any
) -> None:
    vendor = Vendor(bars)
    first = ingest(vendor, Spec(), store, known_at=EVENING)
    assert (first.symbols, first.failed) == (SYMBOLS, {})
    assert vendor.asked == [(SYMBOLS, {})]
    daily = ingest(vendor, Spec(), store, known_at=NEXT)
    assert (daily.new, daily.revised, daily.unchanged) == (5, 0, 5 * 31)
    # Thirty sessions before the last one that was stored.
    assert vendor.asked[1:] == [(SYMBOLS, dict.fromkeys(SYMBOLS, date(2013, 1, 14)))]

    at_once = BarStore(tmp_path / "at once")
    whole = bars.filter(pl.col("session") <= THURSDAY)
    at_once.append("real", whole, known_at=NEXT, calendar="XNYS")
    assert store.snapshot("real", SYMBOLS, calendar="XNYS") == at_once.snapshot(
        "real", SYMBOLS, calendar="XNYS"
    )


def test_who_is_up_to_date_is_not_asked_again(store: BarStore, bars: pl.DataFrame) -> None:
    vendor = Vendor(bars)
    ingest(vendor, Spec(), store, known_at=EVENING)
    told: list[tuple[int, int]] = []
    again = ingest(
        vendor, Spec(), store, known_at=EVENING, on_progress=lambda *now: told.append(now)
    )
    assert (again.new, again.unchanged, len(vendor.asked), told) == (0, 0, 1, [(5, 5)])


@pytest.mark.parametrize(
    ("after", "of_file", "last"),
    [
        (4, None, date(2013, 2, 26)),  # three hours after the close
        (3, None, WEDNESDAY),
        (0, None, WEDNESDAY),
        (0, 3.5, date(2013, 2, 26)),
        (4, 2.0, date(2013, 2, 26)),
    ],
)
def test_a_session_that_is_not_complete_is_not_stored(
    store: BarStore, bars: pl.DataFrame, after: float, of_file: float | None, last: date
) -> None:
    vendor = Vendor(
        bars.filter(pl.col("session") <= WEDNESDAY), Promise(complete_after=timedelta(hours=after))
    )
    ingest(vendor, Spec(complete_after=of_file), store, known_at=CLOSE + timedelta(hours=3))
    assert store.bars("real")["session"].max() == last
    found = examine(vendor, Spec(complete_after=of_file), known_at=CLOSE + timedelta(minutes=1))
    assert "future_session" not in {each.rule for each in found}


def test_during_the_session_its_bar_is_not_taken(store: BarStore, bars: pl.DataFrame) -> None:
    running = put(bars.filter(pl.col("session") <= WEDNESDAY), "IBM", WEDNESDAY, close=201.0)
    ingest(Vendor(running), Spec(), store, known_at=CLOSE - timedelta(hours=2))
    done = ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    assert (done.revised, done.new) == (0, 5)


def test_a_bar_of_a_day_to_come_is_no_session_that_goes_on(
    store: BarStore, bars: pl.DataFrame
) -> None:
    done = ingest(Vendor(bars), Spec(), store, known_at=EVENING, symbols=["IBM", "FB"])
    assert done.failed == {}
    early = put(
        bars.filter(pl.col("session") <= THURSDAY), "IBM", THURSDAY, session=date(2013, 3, 4)
    )
    done = ingest(Vendor(early), Spec(), store, known_at=NEXT, symbols=["IBM", "FB"])
    assert list(done.failed) == ["IBM"]
    assert "future_session" in done.failed["IBM"]


def test_a_revision_in_the_overlap_is_found(store: BarStore, bars: pl.DataFrame) -> None:
    ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    corrected = put(bars, "IBM", date(2013, 2, 1), close=204.5)
    done = ingest(Vendor(corrected), Spec(), store, known_at=NEXT)
    told = [str(each) for each in done.findings if each.rule == "revision"]
    assert len(told) == done.revised == 1
    assert told[0].startswith("IBM 2013-02-01: revision (205.18 -> 204.5)")


def test_a_correction_that_may_reach_further_back_has_the_whole_history_asked_for(
    store: BarStore, bars: pl.DataFrame
) -> None:
    ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    since_2012 = pl.col("session").is_between(date(2012, 5, 1), date(2013, 1, 20))
    restated = bars.with_columns(
        volume=pl.when((pl.col("symbol") == "IBM") & since_2012)
        .then(pl.col("volume") + 100)
        .otherwise("volume")
    )
    days = restated.filter(pl.col("symbol") == "IBM").filter(since_2012).height
    vendor = Vendor(put(restated, "MSFT", date(2013, 2, 20), volume=50_000_000))
    done = ingest(vendor, Spec(), store, known_at=NEXT)
    assert [asked for asked, _ in vendor.asked] == [SYMBOLS, ("IBM",)]
    assert vendor.asked[1][1] == {}
    assert done.revised == days + 1
    assert (
        store.bars("real", ["IBM"])
        .select("session", "volume")
        .equals(
            restated.filter(pl.col("symbol") == "IBM", pl.col("session") <= THURSDAY).select(
                "session", "volume"
            )
        )
    )


def test_of_a_restated_symbol_nothing_is_stored_before_its_whole_history_is_there(
    store: BarStore, bars: pl.DataFrame
) -> None:
    ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    restated = put(bars, "IBM", date(2013, 1, 15), volume=5_000_000)

    class OverQuota(Vendor):
        def load(
            self, symbols: Sequence[str], since: Mapping[str, date] | None = None
        ) -> pl.DataFrame:
            if not since:
                raise PartialSourceError("real", {"IBM": "quota"})
            return super().load(symbols, since)

    done = ingest(OverQuota(restated), Spec(), store, known_at=NEXT)
    assert (done.failed, done.new, done.revised) == ({"IBM": "quota"}, 4, 0)
    again = ingest(Vendor(restated), Spec(), store, known_at=NEXT + timedelta(hours=1))
    assert (again.failed, again.new, again.revised) == ({}, 1, 1)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (pl.col("session") < date(2013, 2, 20), "the bars end on 2013-02-19"),
        (pl.col("session") > date(2013, 2, 4), "the bars begin on 2013-02-05"),
    ],
    ids=["its end", "its beginning"],
)
def test_a_whole_history_that_is_cut_short_is_not_taken(
    store: BarStore, bars: pl.DataFrame, kept: pl.Expr, said: str
) -> None:
    ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    restated = put(bars, "IBM", date(2013, 1, 15), volume=5_000_000)

    class CutShort(Vendor):
        def load(
            self, symbols: Sequence[str], since: Mapping[str, date] | None = None
        ) -> pl.DataFrame:
            found = super().load(symbols, since)
            return found if since else found.filter(kept)

    done = ingest(CutShort(restated), Spec(), store, known_at=NEXT)
    assert list(done.failed) == ["IBM"]
    assert said in done.failed["IBM"]
    assert (done.new, done.revised) == (4, 0)


def test_a_split_after_what_is_stored_is_found(store: BarStore, bars: pl.DataFrame) -> None:
    prices = ("open", "high", "low", "close")
    on_the_day = (pl.col("symbol") == "AAPL") & (pl.col("session") >= THURSDAY)
    before = (pl.col("symbol") == "AAPL") & (pl.col("session") < THURSDAY)
    split = bars.filter(pl.col("session") <= THURSDAY).with_columns(
        *(pl.when(on_the_day).then(pl.col(one) / 2).otherwise(one).alias(one) for one in prices),
        *(pl.when(before).then(pl.col(one) / 2).otherwise(one).alias(one) for one in FACTORS),
    )
    ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    done = ingest(Vendor(split), Spec(), store, known_at=NEXT)
    assert (done.new, done.revised) == (5, 0)
    held = store.bars("real", ["AAPL"])["split_factor"]
    assert held[-2:].to_list() == [0.5, 1.0]


def test_a_symbol_that_fails_is_named_and_taken_up_by_the_next_try(
    store: BarStore, bars: pl.DataFrame
) -> None:
    until = NEXT + timedelta(hours=1)
    vendor = Vendor(bars, refused={"GOOG": "no answer"}, again_at=until)
    done = ingest(vendor, Spec(), store, known_at=EVENING)
    assert (done.failed, done.again_at) == ({"GOOG": "no answer"}, until)
    assert store.bars("real")["symbol"].unique().sort().to_list() == ["AAPL", "FB", "IBM", "MSFT"]
    with pytest.raises(PartialSourceError, match="GOOG: no answer"):
        done.refuse_failed("real")

    vendor.refused = {}
    again = ingest(vendor, Spec(), store, known_at=EVENING + timedelta(minutes=1))
    assert vendor.asked[-1] == (("GOOG",), {})
    assert again.failed == {}
    again.refuse_failed("real")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"high": 1.0}, "IBM 2013-02-27: ohlc_order"),
        ({"close": float("nan")}, "IBM 2013-02-27: finite"),
        ({"volume": -1}, "IBM 2013-02-27: non_negative"),
        ({"open": None}, "IBM 2013-02-27: null"),
    ],
)
def test_a_symbol_whose_bars_break_a_rule_stops_no_other(
    store: BarStore, bars: pl.DataFrame, values: dict[str, Any], reason: str
) -> None:
    bad = put(bars, "IBM", WEDNESDAY, **values)
    done = ingest(Vendor(bad), Spec(), store, known_at=EVENING)
    assert list(done.failed) == ["IBM"]
    assert done.failed["IBM"].startswith(reason)
    assert "IBM" not in store.bars("real")["symbol"].to_list()
    assert not [each for each in done.findings if each.severity == "error"]


def test_a_symbol_with_thousands_of_errors_stops_no_other(
    store: BarStore, bars: pl.DataFrame
) -> None:
    bad = bars.with_columns(high=pl.when(pl.col("symbol") == "IBM").then(0.5).otherwise("high"))
    done = ingest(Vendor(bad), Spec(), store, known_at=EVENING)
    assert list(done.failed) == ["IBM"]
    assert done.new == 12_154 - 3270 - 4 * 2


def test_a_vendor_that_takes_back_a_session_or_gives_nothing_is_told_by_symbol(
    store: BarStore, bars: pl.DataFrame
) -> None:
    ingest(Vendor(bars), Spec(), store, known_at=EVENING)
    symbol, session = pl.col("symbol"), pl.col("session")
    less = bars.filter(~((symbol == "IBM") & (session <= date(2013, 2, 1))), ~(symbol == "FB"))
    done = ingest(Vendor(less), Spec(), store, known_at=NEXT, symbols=SYMBOLS)
    assert done.failed["IBM"].startswith("the bars begin on 2013-02-04, and not on 2013-01-14")
    assert "gave no bars" in done.failed["FB"]
    assert done.new == 3


def test_nothing_at_all_is_an_error(store: BarStore, bars: pl.DataFrame) -> None:
    vendor = Vendor(bars, refused=dict.fromkeys(SYMBOLS, "key refused"))
    alike = r"could not give 5 symbols.*\n  AAPL, FB, GOOG, IBM, MSFT: key refused"
    with pytest.raises(SourceError, match=alike):
        ingest(vendor, Spec(), store, known_at=EVENING)
    assert store.version("real") is None


def test_what_was_stored_before_a_kill_is_not_asked_for_again(
    store: BarStore, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_module, "_AT_ONCE", 2)

    class Killed(Vendor):
        def load(
            self, symbols: Sequence[str], since: Mapping[str, date] | None = None
        ) -> pl.DataFrame:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().load(symbols, since)

    with pytest.raises(KeyboardInterrupt):
        ingest(Killed(bars), Spec(), store, known_at=EVENING)
    vendor = Vendor(bars)
    ingest(vendor, Spec(), store, known_at=EVENING + timedelta(minutes=1))
    assert vendor.asked == [(("MSFT",), {})]
    assert store.bars("real")["symbol"].n_unique() == 5


def test_the_whole_history_of_adjusted_prices_is_asked_for(
    store: BarStore, bars: pl.DataFrame
) -> None:
    vendor = Vendor(bars, Promise(prices="adjusted", complete_after=timedelta(hours=4)))
    ingest(vendor, Spec(), store, known_at=EVENING)
    ingest(vendor, Spec(), store, known_at=NEXT)
    assert vendor.asked == [(SYMBOLS, {}), (SYMBOLS, {})]


def test_a_symbol_that_ended_long_ago_goes_on_where_it_ended(
    store: BarStore, bars: pl.DataFrame
) -> None:
    ended = bars.filter(~((pl.col("symbol") == "MSFT") & (pl.col("session") > date(2005, 5, 2))))
    vendor = Vendor(ended)
    ingest(vendor, Spec(), store, known_at=EVENING)
    ingest(vendor, Spec(), store, known_at=NEXT)
    assert vendor.asked[1][1]["MSFT"] == date(2005, 5, 2)
    assert vendor.asked[1][1]["IBM"] == date(2013, 1, 14)


def test_a_schedule_before_the_vendor_is_done_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = Vendor(pl.DataFrame())
    monkeypatch.setattr(
        "tradewind.market.sources.source.offered", lambda *_, **__: lambda *_: vendor
    )
    with pytest.raises(SourceError, match=r"4 hours after its close.*write complete_after: 4"):
        open_source(Spec())
    for right in (Spec(complete_after=4), Spec(schedule=None)):
        assert open_source(right) is vendor


@pytest.mark.parametrize("wrong", ["", "close", "adjustment_factor"])
def test_the_contract_finds_an_end_that_is_not_the_whole_s(bars: pl.DataFrame, wrong: str) -> None:
    class Careless(Vendor):
        def load(
            self, symbols: Sequence[str], since: Mapping[str, date] | None = None
        ) -> pl.DataFrame:
            found = super().load(symbols, since)
            return found.with_columns(pl.col(wrong) * 1.01) if wrong and since else found

    def tried() -> None:
        whole = bars.filter(pl.col("symbol").is_in(["IBM", "MSFT"]))
        SourceContract().test_since_a_session_it_gives_the_end_of_the_whole(
            Careless(bars), whole, ["IBM", "MSFT"]
        )

    if wrong:
        with pytest.raises(AssertionError):
            tried()
    else:
        tried()
    with pytest.raises(AssertionError):
        SourceContract().test_its_promise_is_one(Careless(bars, promise="raw"))  # type: ignore[arg-type]

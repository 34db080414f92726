"""What holds of every kind that asks a vendor, each against a vendor of our own."""

import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.vendors.kinds import KINDS, VendorKind
from tests.vendors.server import PASSING, Answer, VendorServer
from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.ingest import ingest
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.offers import OffersActions, OffersStatus, takes_since
from tradewind.market.sources.source import Source, SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.testing import SourceContract
from tradewind.vendor_keys import key_variable

SYMBOLS = sample.SYMBOLS
START = date(2004, 10, 1)
# Apple's split is on 2005-02-28, a Monday, and IBM's dividend on 2005-02-08.
BEFORE, AFTER = date(2005, 2, 25), date(2005, 2, 28)
LISTED = ["AAPL", "GOOG", "IBM", "MSFT"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> VendorKind:
    found = KINDS[request.param]
    if found.has_key:
        monkeypatch.setenv(key_variable(found.name), found.server.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    return found


@pytest.fixture
def server(kind: VendorKind, bars: pl.DataFrame) -> Iterator[Any]:
    with kind.server(bars.filter(pl.col("session") >= START)).running() as running:
        yield running


def spec_of(kind: VendorKind, server: VendorServer, **options: Any) -> SourceSpec:
    given = {"symbols": LISTED, "base_url": server.url, "start": START, **kind.options, **options}
    return SourceSpec(name="live", kind=kind.name, complete_after=12, options=given)


def evening(day: date) -> datetime:
    """A moment at which the day's session counts as complete."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)


def loaded(kind: VendorKind, server: VendorServer, *symbols: str) -> pl.DataFrame:
    return open_source(spec_of(kind, server)).load(symbols)


class TestContract(SourceContract):
    symbols = ("AAPL", "IBM")

    @pytest.fixture(scope="class", params=KINDS)
    @classmethod
    def spec(cls, request: pytest.FixtureRequest) -> Iterator[SourceSpec]:
        kind = KINDS[request.param]
        bars = sample.load(LISTED).filter(pl.col("session") >= date(2012, 6, 1))
        with kind.server(bars).running() as running, pytest.MonkeyPatch.context() as patch:
            patch.setenv(key_variable(kind.name), running.key)  # which a kind need not ask for
            yield spec_of(kind, running)

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, spec: SourceSpec) -> Source:
        return open_source(spec)


def test_over_a_split_and_a_dividend_the_snapshot_is_that_of_files(
    kind: VendorKind, server: Any, store: BarStore, bars: pl.DataFrame, tmp_path: Path
) -> None:
    spec = spec_of(kind, server)
    server.today = BEFORE
    first = ingest(open_source(spec), spec, store, known_at=evening(BEFORE))
    assert (first.failed, store.bars("live")["session"].max()) == ({}, BEFORE)
    server.today = AFTER
    server.requests.clear()
    daily = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert (daily.new, daily.revised, daily.failed) == (4, 0, {})
    again = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert (again.new, again.unchanged) == (0, 0)

    files = BarStore(tmp_path / "files")
    of_files = bars.filter(
        pl.col("session").is_between(START, AFTER), pl.col("symbol").is_in(LISTED)
    )
    files.append("live", of_files, known_at=evening(AFTER), calendar="XNYS")
    names = [each.snapshot("live", LISTED, calendar="XNYS") for each in (store, files)]
    assert names[0] == names[1]
    stepped = store.bars("live").filter(symbol="AAPL").sort("session")["split_factor"].tail(2)
    assert stepped[1] / stepped[0] == pytest.approx(2.0)


def test_a_day_is_asked_for_and_not_the_history(
    kind: VendorKind, server: Any, store: BarStore
) -> None:
    spec = spec_of(kind, server)
    server.today = BEFORE
    ingest(open_source(spec), spec, store, known_at=evening(BEFORE))
    server.today = AFTER
    source = open_source(spec)
    begin = {symbol: date(2005, 2, 1) for symbol in LISTED}
    assert takes_since(source)
    assert source.load(LISTED, begin)["session"].min() == date(2005, 2, 1)


def test_a_correction_is_a_revision(kind: VendorKind, server: Any, store: BarStore) -> None:
    spec = spec_of(kind, server, symbols=["IBM"])
    server.today = BEFORE
    ingest(open_source(spec), spec, store, known_at=evening(BEFORE))
    server.today = AFTER
    day = pl.col("session") == date(2005, 2, 22)
    server.bars = server.bars.with_columns(
        volume=pl.when(day).then(pl.col("volume") + 100).otherwise("volume")
    )
    done = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    told = [(each.symbol, each.session) for each in done.findings if each.rule == "revision"]
    assert (done.revised, told) == (1, [("IBM", date(2005, 2, 22))])


def test_a_split_and_a_dividend_are_told(kind: VendorKind, server: Any) -> None:
    source = open_source(spec_of(kind, server))
    assert isinstance(source, OffersActions)
    found = source.actions(["AAPL", "IBM"], date(2005, 2, 1))
    splits = found.filter(kind="split").select("symbol", "ex_date", "value")
    assert splits.rows() == [("AAPL", AFTER, pytest.approx(2.0))]
    paid = found.filter(kind="dividend", symbol="IBM").sort("ex_date")
    assert paid["ex_date"][0] == date(2005, 2, 8)
    assert paid["value"][0] == pytest.approx(0.18, abs=0.005)


def test_a_symbol_that_was_renamed_is_named_and_stays_as_it_is_stored(
    kind: VendorKind, server: Any, store: BarStore
) -> None:
    spec = spec_of(kind, server)
    server.today = BEFORE
    ingest(open_source(spec), spec, store, known_at=evening(BEFORE))
    server.today = AFTER
    renamed = pl.col("symbol").replace({"IBM": "BIG"})
    server.bars = server.bars.with_columns(symbol=renamed)
    done = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert list(done.failed) == ["IBM"]
    assert "IBM" in done.failed["IBM"]
    kept = store.bars("live").filter(symbol="IBM")
    assert (kept["session"].min(), kept["session"].max()) == (START, BEFORE)
    assert done.new == 3


def test_of_a_symbol_that_was_delisted_nothing_is_made_up(
    kind: VendorKind, server: Any, store: BarStore
) -> None:
    spec = spec_of(kind, server)
    server.today = BEFORE
    ingest(open_source(spec), spec, store, known_at=evening(BEFORE))
    server.today = AFTER
    server.bars = server.bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") <= BEFORE))
    done = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert (done.new, done.failed) == (3, {})
    assert store.bars("live").filter(symbol="IBM")["session"].max() == BEFORE


def test_a_quota_that_is_used_up_in_the_middle_is_never_no_data(
    kind: VendorKind, server: Any, store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.few(monkeypatch, server)
    spec = spec_of(kind, server)
    server.today = AFTER
    server.quota = kind.enough
    done = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    had = set(store.bars("live")["symbol"])
    assert 0 < len(had) < len(LISTED)
    assert set(done.failed) == set(LISTED) - had
    assert all("the quota of requests is used up until" in why for why in done.failed.values())
    assert done.again_at is not None
    server.quota = None
    server.requests.clear()
    again = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert again.failed == {}
    assert set(store.bars("live")["symbol"]) == set(LISTED)
    asked = {f"{path} {params}" for path, params in server.requests}
    assert not any(f"/{symbol}/" in each for symbol in had for each in asked)


@pytest.fixture
def said(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Callable[[], list[str]]:
    """All that was logged and written."""
    caplog.set_level(logging.DEBUG)
    return lambda: [caplog.text, *capfd.readouterr()]


def test_a_key_that_is_refused_is_in_nothing_that_is_said(
    kind: VendorKind,
    server: Any,
    store: BarStore,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], list[str]],
) -> None:
    if not kind.has_key:
        return
    name, wrong = key_variable(kind.name), "wr0ngk3y0fausr:an0th3rp4rt0f1t"
    monkeypatch.setenv(name, wrong)
    spec = spec_of(kind, server)
    errors = []
    for ask in (
        lambda: ingest(open_source(spec), spec, store, known_at=evening(AFTER)),
        lambda: open_source(spec).status(),  # type: ignore[attr-defined]
        lambda: open_source(spec).actions(LISTED),  # type: ignore[attr-defined]
    ):
        with pytest.raises(VendorError, match=f"401 .*put a valid one into {name}") as caught:
            ask()
        errors += [repr(caught.value), "".join(traceback.format_exception(caught.value))]
    everything = "\n".join([*errors, *said(), repr(vars(open_source(spec)))])
    assert kind.name in everything
    for part in wrong.split(":"):
        assert part not in everything


def test_its_status_says_what_is_left_and_what_it_promises(kind: VendorKind, server: Any) -> None:
    source = open_source(spec_of(kind, server))
    assert isinstance(source, OffersStatus)
    server.quota = 41
    assert source.status().startswith("40 requests are left in the quota")
    assert len(server.requests) == 1


@pytest.mark.parametrize("what", PASSING)
def test_an_answer_that_is_none_stores_nothing_of_its_symbol(
    kind: VendorKind, server: Any, store: BarStore, what: str
) -> None:
    spec = spec_of(kind, server, symbols=["IBM"])
    server.today = BEFORE
    ingest(open_source(spec), spec, store, known_at=evening(BEFORE))
    server.today = AFTER
    server.always[kind.bars_of.format(symbol="IBM")] = PASSING[what]
    with pytest.raises((PartialSourceError, VendorError)) as caught:
        ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert isinstance(caught.value, SourceError)
    assert store.bars("live")["session"].max() == BEFORE
    server.always.clear()
    assert ingest(open_source(spec), spec, store, known_at=evening(AFTER)).new == 1


@pytest.mark.parametrize("what", PASSING)
def test_what_passes_is_asked_again_at_once(kind: VendorKind, server: Any, what: str) -> None:
    server.faults[kind.bars_of.format(symbol="IBM")] = [PASSING[what]] * 3
    assert loaded(kind, server, "IBM").height > 2000


@pytest.mark.parametrize("body", [{}, [], {"detail": "hello"}, "text", None])
def test_an_answer_of_another_shape_is_an_error_of_its_symbol(
    kind: VendorKind, server: Any, body: object
) -> None:
    server.always[kind.bars_of.format(symbol="IBM")] = Answer(body)
    with pytest.raises(PartialSourceError) as caught:
        loaded(kind, server, "IBM")
    assert list(caught.value.failed) == ["IBM"]

"""What a careless or broken vendor may answer, of any kind: an error by name, and no traceback."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.vendors.kinds import KINDS, VendorKind
from tests.vendors.server import VendorServer
from tradewind.market.ingest import ingest
from tradewind.market.sources import vendor_tries
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.vendor_keys import key_variable

START = date(2004, 10, 1)
BEFORE, AFTER = date(2005, 2, 25), date(2005, 2, 28)  # of Apple's split
LISTED = ["AAPL", "IBM"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> VendorKind:
    found = KINDS[request.param]
    if found.has_key:
        monkeypatch.setenv(key_variable(found.name), found.server.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    return found


@pytest.fixture
def server(kind: VendorKind, bars: pl.DataFrame) -> Iterator[Any]:
    since = bars.filter(pl.col("session") >= START, pl.col("symbol").is_in(LISTED))
    with kind.server(since).running() as running:
        running.today = AFTER
        yield running


def spec_of(kind: VendorKind, server: VendorServer) -> SourceSpec:
    given = {"symbols": LISTED, "base_url": server.url, "start": START, **kind.options}
    return SourceSpec(name="live", kind=kind.name, complete_after=12, options=given)


def evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)


def test_a_split_on_the_day_that_goes_on_breaks_nothing(
    kind: VendorKind, server: Any, store: BarStore
) -> None:
    spec = spec_of(kind, server)
    during = datetime(2005, 2, 28, 15, tzinfo=UTC)
    assert ingest(open_source(spec), spec, store, known_at=during).failed == {}
    assert store.bars("live")["session"].max() == BEFORE
    done = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert (done.failed, done.new, done.revised) == ({}, 2, 0)
    steps = store.bars("live").filter(symbol="AAPL").sort("session")["split_factor"].tail(2)
    assert steps[1] / steps[0] == pytest.approx(2.0)


def test_an_answer_that_ends_before_what_is_stored_is_cut_short(
    kind: VendorKind, server: Any, store: BarStore
) -> None:
    spec = spec_of(kind, server)
    server.today = BEFORE
    assert ingest(open_source(spec), spec, store, known_at=evening(BEFORE)).failed == {}
    server.today = AFTER
    cut = date(2005, 2, 23)
    server.bars = server.bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") < cut))
    done = ingest(open_source(spec), spec, store, known_at=evening(AFTER))
    assert list(done.failed) == ["IBM"]
    assert "2005-02-22" in done.failed["IBM"]
    assert store.bars("live").filter(symbol="IBM")["session"].max() == BEFORE

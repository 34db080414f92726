"""The same cases for each kind, against its real vendor.

A kind is one line of `VENDORS`. Those whose key is not given are left out, and named in the report
of the first test.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tradewind.errors import SourceError
from tradewind.market.ingest import examine, ingest
from tradewind.market.sources.offers import OffersActions, OffersStatus, promise_of, takes_since
from tradewind.market.sources.source import Source, SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.vendor_keys import find_key, key_variable

CHECKOUT = Path(__file__).parents[2]
START = date(2020, 1, 2)
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Live:
    """What a kind is asked for."""

    symbols: tuple[str, ...] = ("AAPL", "IBM")
    options: Mapping[str, Any] = field(default_factory=dict)
    calendar: str = "XNYS"
    key: bool = True
    split: tuple[str, date, float] | None = ("AAPL", date(2020, 8, 31), 4.0)


# A gateway's address stands in the environment, as a key does.
GATEWAY = os.environ.get("TRADEWIND_LIVE_GATEWAY", "")
VENDORS: dict[str, Live] = {
    "tiingo": Live(),
    "alpaca": Live(),
    "ccxt": Live(
        ("BTC/USD", "ETH/USD"),
        {"exchange": "bitstamp", "lots": {"BTC/USD": "0.0001", "ETH/USD": "0.001"}},
        "24/7", key=False, split=None,
    ),
    "interactive_brokers": Live(
        options={"host": GATEWAY.partition(":")[0], "port": int(GATEWAY.partition(":")[2] or 4002)},
        key=False, split=None,
    ),
}  # fmt: skip


def can_be_asked(kind: str) -> bool:
    if kind == "interactive_brokers":
        return bool(GATEWAY)
    return not VENDORS[kind].key or find_key(kind, CHECKOUT) is not None


ASKED = sorted(filter(can_be_asked, VENDORS))


def spec_of(kind: str, *more: str) -> SourceSpec:
    live = VENDORS[kind]
    options = {"symbols": [*live.symbols, *more], "start": START, **live.options}
    return SourceSpec(
        name="live", kind=kind, calendar=live.calendar, schedule=None, options=options
    )


WITH_KEY = [kind for kind in ASKED if VENDORS[kind].key]
WITH_SPLITS = [kind for kind in ASKED if VENDORS[kind].split]


@pytest.fixture(params=ASKED)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(kind: str) -> Source:
    return open_source(spec_of(kind))


def test_somebody_is_asked() -> None:
    assert ASKED, f"give a key, such as {key_variable('tiingo')}, or TRADEWIND_LIVE_GATEWAY"
    print(f"asked: {', '.join(ASKED)}; not asked: {', '.join(sorted(set(VENDORS) - set(ASKED)))}")  # noqa: T201 - for -s


def test_its_status_says_that_it_answers(source: Source) -> None:
    assert isinstance(source, OffersStatus)
    assert source.status()


def test_its_history_passes_every_rule(kind: str, source: Source) -> None:
    found = examine(source, spec_of(kind), known_at=NOW)
    assert [str(each) for each in found if each.severity == "error"] == []


class Until:
    """A source as it was some days ago."""

    def __init__(self, source: Any, moment: datetime) -> None:
        self._source = source
        self._day = moment.date()
        self.promise = promise_of(source)

    def symbols(self) -> tuple[str, ...]:
        return tuple(self._source.symbols())

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        bars = self._source.load(symbols, since).filter(pl.col("session") <= self._day)
        return bars.with_columns(
            (pl.col(one) / pl.col(one).last()).over("symbol")
            for one in ("split_factor", "adjustment_factor")
        )


def test_a_week_later_it_is_asked_for_what_is_new(
    kind: str, source: Source, tmp_path: Path
) -> None:
    store = BarStore(tmp_path / "market")
    spec = spec_of(kind)
    before = NOW - timedelta(days=8)
    first = ingest(Until(source, before), spec, store, known_at=before)
    assert first.failed == {}
    later = ingest(source, spec, store, known_at=NOW)
    assert (later.failed, later.new >= 2 * len(spec.options["symbols"])) == ({}, True)
    assert takes_since(source)
    if promise_of(source).prices == "raw":
        assert later.unchanged <= 100 * len(spec.options["symbols"])
    again = ingest(source, spec, store, known_at=NOW)
    assert (again.new, again.revised) == (0, 0)


@pytest.mark.parametrize("kind", WITH_SPLITS)
def test_a_split_that_everybody_knows_is_told(kind: str) -> None:
    source = open_source(spec_of(kind))
    assert isinstance(source, OffersActions)
    split = VENDORS[kind].split
    assert split is not None
    symbol, day, ratio = split
    found = source.actions([symbol], day).filter(kind="split", ex_date=day)
    assert found["value"].to_list() == [ratio]


def test_a_symbol_that_there_is_not_is_named_and_stops_no_other(kind: str, tmp_path: Path) -> None:
    absent = "NOSUCHCOIN/USD" if VENDORS[kind].calendar == "24/7" else "ZZZZZZZZ"
    spec = spec_of(kind, absent)
    done = ingest(open_source(spec), spec, BarStore(tmp_path / "market"), known_at=NOW)
    assert list(done.failed) == [absent]


@pytest.mark.parametrize("kind", WITH_KEY)
def test_a_wrong_key_is_refused_and_in_nothing_that_is_said(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "wr0ngk3y0fau53r:wr0ngs3cr3t0fau53r"
    monkeypatch.setenv(key_variable(kind), wrong)
    with pytest.raises(SourceError, match=key_variable(kind)) as caught:
        open_source(spec_of(kind)).load(list(VENDORS[kind].symbols))
    for part in (wrong, *wrong.split(":")):
        assert part not in str(caught.value)

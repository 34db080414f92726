"""What a careless or broken vendor may answer, of any kind: an error by name, and no traceback."""

import re
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import polars as pl
import pytest

from tests.vendors.kinds import KINDS, VendorKind
from tests.vendors.massive_server import MassiveServer
from tests.vendors.server import Answer, VendorServer
from tradewind.errors import PartialSourceError
from tradewind.market.ingest import ingest
from tradewind.market.sources import vendor_tries
from tradewind.market.sources.source import Source, SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.market.validation.validate import validate
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


KEY = "aB3/5ecr3t+0f==a-v3nd0r"
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in JSON of PHP": lambda key: key.replace("/", r"\/"),
    "in an address": quote_plus,
    "in a path": quote,
    "in base64 without its end": lambda key: b64encode(f"{key}:".encode()).decode().rstrip("="),
}


def everything_of(error: BaseException) -> str:
    return "".join([repr(error), *traceback.format_exception(error)])


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_a_vendor_repeats_in_any_form_is_not_said(
    kind: VendorKind, server: Any, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kind.has_key or (form.startswith("in base64") and kind.name != "databento"):
        return
    key = f"1d0fth3k3y:{KEY}" if kind.name == "alpaca" else KEY
    monkeypatch.setenv(key_variable(kind.name), key)
    server.key = key
    said = FORMS[form](KEY)
    server.always[kind.bars_of.format(symbol="IBM")] = Answer(
        f"{said} is unknown".encode(), 400, headers={"X-RateLimit-Remaining": said}
    )
    source = open_source(spec_of(kind, server))
    with pytest.raises(PartialSourceError) as caught:
        source.load(["IBM"])
    assert said not in everything_of(caught.value)
    assert said not in source._vendor.quota  # type: ignore[attr-defined]
    assert "*** is unknown" in str(caught.value)


def test_a_key_in_a_record_is_not_said(monkeypatch: pytest.MonkeyPatch, bars: pl.DataFrame) -> None:
    monkeypatch.setenv("TRADEWIND_MASSIVE_KEY", MassiveServer.key)
    with MassiveServer(bars.filter(symbol="IBM")).running() as server:
        server.more_splits = [
            {"ticker": "IBM", "execution_date": "2005-02-30", "for": MassiveServer.key}
        ]
        spec = spec_of(KINDS["massive"], server)
        with pytest.raises(PartialSourceError, match="2005-02-30") as caught:
            open_source(spec).load(["IBM"])
    assert MassiveServer.key not in everything_of(caught.value)


def test_a_key_in_the_address_of_a_page_goes_into_no_address(
    monkeypatch: pytest.MonkeyPatch, bars: pl.DataFrame
) -> None:
    key = MassiveServer.key
    monkeypatch.setenv("TRADEWIND_MASSIVE_KEY", key)

    class Careless(MassiveServer):
        def answer(self, path: str, params: Mapping[str, str]) -> Answer:
            answer = super().answer(path, params)
            assert isinstance(answer.body, dict)
            if "next_url" in answer.body:
                answer.body["next_url"] += f"&apiKey={key}"
            return answer

    with Careless(bars.filter(symbol="IBM"), page=500).running() as server:
        assert open_source(spec_of(KINDS["massive"], server)).load(["IBM"]).height > 2000
        assert len([1 for _, params in server.requests if "cursor" in params]) > 3
        assert key not in str(server.requests)


PRICE = {
    "alpaca": r'"o": [\d.]+', "massive": r'"o": [\d.]+', "tiingo": r'"open": [\d.]+',
    "yahoo": r'"open": \[[\d.]+', "databento": r'"open": "\d+"',
}  # fmt: skip
VOLUME = {
    "alpaca": r'"v": \d+', "massive": r'"v": [\d.]+', "tiingo": r'"volume": \d+',
    "yahoo": r'"volume": \[\d+', "databento": r'"volume": "\d+"',
}  # fmt: skip
MOMENT = {
    "alpaca": r'"t": "[^"]+"', "massive": r'"t": \d+', "tiingo": r'"date": "[^"]+"',
    "yahoo": r'"timestamp": \[\d+', "databento": r'"ts_event": "\d+"',
}  # fmt: skip
NUMBERS = ("0", "-1", "1e300", "1e-300", "NaN", "null", "true", "9" * 400, "9223372036854775808")
MOMENTS = (
    '"0001-01-01T00:00:00Z"', '"2012-06-01T04:00:00"', "0", "-1", "1338523200000000", '"0"', "null",
)  # fmt: skip


def spoiled(server: Any, pattern: str, value: str) -> Callable[[str, Mapping[str, str]], Answer]:
    """Answer truly but for the first value that is so written; what is before it stays."""
    true = type(server).answer

    def answer(path: str, params: Mapping[str, str]) -> Answer:
        told = true(server, path, params)
        text = re.sub(
            pattern, lambda found: re.sub(r'"?[^\s"\[]+"?$', lambda _: value, found[0]),
            told.content.decode(), count=1,
        )  # fmt: skip
        return Answer(text.encode(), told.status, told.content_type, told.headers)

    return answer


@pytest.mark.parametrize(
    ("patterns", "values"),
    [(PRICE, NUMBERS), (VOLUME, NUMBERS[1:]), (MOMENT, MOMENTS)],
    ids=["price", "volume", "moment"],
)
def test_a_value_that_is_none_is_an_error_of_its_symbol(
    kind: VendorKind, server: Any, patterns: Mapping[str, str], values: Sequence[str]
) -> None:
    source = open_source(spec_of(kind, server))
    for value in values:
        server.answer = spoiled(server, patterns[kind.name], value)
        bars, failed = had_of(source)
        if bars is not None:
            assert validate(bars, "XNYS", known_at=evening(AFTER))
        else:
            assert list(failed) == ["IBM"]
            assert f"source 'live' ({kind.name}): IBM" in failed["IBM"]


def had_of(source: Source) -> tuple[pl.DataFrame | None, Mapping[str, str]]:
    try:
        return source.load(["IBM"]), {}
    except PartialSourceError as error:
        return None, error.failed


@pytest.mark.parametrize(
    "token", ["http://[x", "x:https://example.com/v2/more", "", "https://api.massive.com/\x01"]
)
def test_a_page_without_an_address_is_an_error_of_its_symbol(
    token: str, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_MASSIVE_KEY", MassiveServer.key)
    with MassiveServer(bars.filter(symbol="IBM")).running() as server:
        server.always["IBM"] = Answer(
            {"ticker": "IBM", "resultsCount": 0, "status": "OK", "next_url": token}
        )
        with pytest.raises(PartialSourceError, match="the next page has no address") as caught:
            open_source(spec_of(KINDS["massive"], server)).load(["IBM"])
    assert list(caught.value.failed) == ["IBM"]


@pytest.mark.parametrize("header", ["9" * 5000, f"Fri, 01 Jan {'9' * 20} 00:00:00 GMT", "²", ""])
def test_a_wait_that_is_none_is_a_usual_one(header: str) -> None:
    found = vendor_tries.retry_after(header)
    assert found is None or found <= timedelta(days=1)

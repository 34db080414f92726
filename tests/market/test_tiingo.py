"""What is the kind `tiingo`'s own; `test_vendor_kinds` has what holds of all."""

import json
import logging
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.vendors.server import HTML, PASSING, Answer
from tests.vendors.tiingo_server import OVER_QUOTA, TiingoServer, rows_of
from tradewind.desk.training import _source_check
from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.ingest import examine, ingest
from tradewind.market.sources import sample, vendor_tries
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.sources.tiingo import Tiingo
from tradewind.market.store.bar_store import BarStore

SYMBOLS = sample.SYMBOLS
WEDNESDAY, THURSDAY, FRIDAY = (date(2013, 2, 27), date(2013, 2, 28), date(2013, 3, 1))
EVENING, NEXT = datetime(2013, 2, 28, 4, tzinfo=UTC), datetime(2013, 3, 1, 4, tzinfo=UTC)
KEY = "TRADEWIND_TIINGO_KEY"


@pytest.fixture
def server(bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[TiingoServer]:
    monkeypatch.setenv(KEY, TiingoServer.key)
    monkeypatch.setattr(vendor_tries, "_FIRST_WAIT", 0.0)
    with TiingoServer(bars).running() as running:
        yield running


def Spec(server: TiingoServer, **options: Any) -> SourceSpec:  # noqa: N802 - as if it were one
    return SourceSpec(
        name="live", kind="tiingo", complete_after=7,
        options={"symbols": list(SYMBOLS), "base_url": server.url, **options},
    )  # fmt: skip


def Opened(server: TiingoServer, **options: Any) -> Tiingo:  # noqa: N802
    source = open_source(Spec(server, **options))
    assert isinstance(source, Tiingo)
    return source


def test_the_snapshot_is_that_of_the_same_bars_in_files(
    server: TiingoServer, store: BarStore, bars: pl.DataFrame, tmp_path: Path
) -> None:
    server.today = WEDNESDAY
    first = ingest(Opened(server), Spec(server), store, known_at=EVENING)
    assert (first.new, first.failed) == (12_154 - 2 * 5, {})
    server.today = THURSDAY
    server.requests.clear()
    daily = ingest(Opened(server), Spec(server), store, known_at=NEXT)
    assert (daily.new, daily.revised, daily.unchanged) == (5, 0, 5 * 31)
    assert sorted(server.requests) == [
        (f"/tiingo/daily/{symbol}/prices", {"startDate": "2013-01-14"}) for symbol in SYMBOLS
    ]

    files = BarStore(tmp_path / "files")
    of_files = bars.filter(pl.col("session") <= THURSDAY)
    files.append("live", of_files, known_at=NEXT, calendar="XNYS")
    names = [each.snapshot("live", SYMBOLS, calendar="XNYS") for each in (store, files)]
    assert names[0] == names[1]


def test_a_session_that_goes_on_is_not_stored(server: TiingoServer, store: BarStore) -> None:
    during = datetime(2013, 2, 28, 20, tzinfo=UTC)
    ingest(Opened(server), Spec(server), store, known_at=during, symbols=["IBM"])
    assert store.bars("live")["session"].max() == WEDNESDAY


def changed(**values: object) -> Answer:
    """IBM's bars with one row that is another."""
    rows = rows_of(sample.load(["IBM"]).filter(pl.col("session") >= date(2013, 1, 14)))
    rows[10] |= values
    return Answer(rows)


def IBM(first: int = 0, last: int | None = None) -> list[dict[str, object]]:  # noqa: N802
    rows = rows_of(sample.load(["IBM"]).filter(pl.col("session") >= date(2013, 1, 14)))
    return rows[first:last]


# By what is wrong: the answer for IBM, and what is said of it.
BROKEN: dict[str, tuple[Answer, str]] = {
    **{name: (answer, "") for name, answer in PASSING.items()},
    "a number as text": (changed(close="201.5"), r"close: .* valid number \('201.5'"),
    "no number": (Answer(json.dumps(IBM()).replace("201.09", "NaN").encode()), r"finite number"),
    "a price of zero": (changed(low=0.0), r"\.low: Input should be greater than 0"),
    "a negative volume": (changed(volume=-5), r"\.volume: .* greater than or equal to 0"),
    "a fraction of a share": (changed(volume=5.5), "must be a whole number of shares"),
    "a field is missing": (Answer([{"date": "2013-01-14T00:00:00Z"}]), "open: Field required"),
    "a null": (changed(close=None), "close: Input should be a valid number"),
    "a time of day": (changed(date="2013-01-30T16:00:00.000Z"), "must be a day, at midnight"),
    "no date": (changed(date="yesterday"), "date: Input should be a valid datetime"),
    "an object for a list": (Answer({"detail": "hello"}), "the answer: .* a valid array"),
    "no rows": (Answer([]), "gives no bars"),
    "rows twice": (Answer(IBM() + IBM()), "is out of order or repeats itself"),
    "newest first": (Answer(IBM()[::-1]), "is out of order or repeats itself"),
    "too much": (Answer([{**IBM()[0], "date": "1960-01-04T00:00:00Z"}, *IBM()]), "were asked for"),
    "a symbol that is gone": (Answer({"detail": "not found"}, 404), "404 .*take it out of options"),
    "no part of the plan": (Answer({"detail": "upgrade"}, 403), "403 .*plan may not include it"),
    "another address": (Answer(b"", 301, headers={"Location": "http://x"}), "301 .*see base_url"),
    "an unknown refusal": (Answer({"detail": "bad"}, 400), "400 .*see base_url"),
    "a split only in the adjusted": (
        Answer([{**row, "adjClose": 50.0 if n < 15 else row["adjClose"]} for n, row in
                enumerate(IBM())]),
        "the adjusted closes step by",
    ),
    "a split only in the factor": (changed(splitFactor=2.0), "splitFactor 2 and divCash 0 make 2"),
    "a dividend only in the cash": (changed(divCash=2.0), "divCash 2 make 1.00"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_fails_its_symbol_and_no_other(server: TiingoServer, what: str) -> None:
    server.always["IBM"], reason = BROKEN[what]
    with pytest.raises(PartialSourceError) as caught:
        Opened(server, start=date(2013, 1, 14)).load(["AAPL", "IBM", "MSFT"])
    assert list(caught.value.failed) == ["IBM"]
    assert re.search(reason, caught.value.failed["IBM"])
    assert caught.value.bars is not None
    assert caught.value.bars["symbol"].unique().sort().to_list() == ["AAPL", "MSFT"]


# What has the vendor's form, and is refused by a rule; one of those above; by what is said of it.
WRONG = {
    "no JSON": HTML,
    "ohlc_order": changed(high=1.0, adjHigh=1.0),
    "missing_session": Answer(IBM(0, 10) + IBM(11)),
    "extra_session|out of order": changed(date="2013-01-27T00:00:00Z"),
}


@pytest.mark.parametrize("reason", WRONG)
def test_nothing_is_stored_of_a_symbol_whose_answer_is_wrong(
    server: TiingoServer, store: BarStore, reason: str
) -> None:
    server.always["IBM"] = WRONG[reason]
    source = Opened(server, start=date(2013, 1, 14))
    done = ingest(source, Spec(server), store, known_at=NEXT, symbols=["IBM", "MSFT"])
    assert list(done.failed) == ["IBM"]
    assert re.search(reason, done.failed["IBM"])
    assert store.bars("live")["symbol"].unique().to_list() == ["MSFT"]


@pytest.mark.parametrize("over", [OVER_QUOTA, None], ids=["a sentence", "429"])
def test_a_quota_that_is_used_up_is_never_no_data(
    server: TiingoServer, store: BarStore, over: Answer | None
) -> None:
    server.quota, server.over_quota = 2, over or server.over_quota
    source = Opened(server)
    before = datetime.now(UTC)
    done = ingest(source, Spec(server), store, known_at=EVENING)
    assert len(done.failed) == 3
    assert store.bars("live")["symbol"].n_unique() == 2
    assert all("the quota of requests is used up until" in why for why in done.failed.values())
    assert done.again_at is not None
    waits = {True: timedelta(minutes=30), False: timedelta(hours=1)}[over is None]
    assert abs(done.again_at - before - waits) < timedelta(minutes=1)
    # Those under way may have asked; who comes later does not.
    asked = len(server.requests)
    with pytest.raises(PartialSourceError, match=r"quota") as caught:
        source.load(["AAPL"])
    assert caught.value.again_at is not None
    assert abs(caught.value.again_at - done.again_at) < timedelta(minutes=1)
    assert len(server.requests) == asked <= 6

    server.quota = None
    again = ingest(Opened(server), Spec(server), store, known_at=EVENING + timedelta(hours=1))
    assert (again.failed, store.bars("live")["symbol"].n_unique()) == ({}, 5)


def test_a_key_that_is_refused_is_told_once_and_is_in_nothing_that_is_said(
    server: TiingoServer, store: BarStore, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    wrong = "wr0ng-k3y-0f-a-user"
    monkeypatch.setenv(KEY, wrong)
    with pytest.raises(VendorError, match=f"401 .*put a valid one into {KEY}") as caught:
        ingest(Opened(server), Spec(server), store, known_at=EVENING)
    assert "*** " not in str(caught.value)
    assert "Invalid token Token ***" in str(caught.value)
    monkeypatch.setenv(KEY, server.key)
    ingest(Opened(server), Spec(server), store, known_at=EVENING)
    server.always["IBM"] = Answer({"detail": f"{server.key} and {server.key}"}, 404)
    with pytest.raises(SourceError) as missing:
        Opened(server).load(["IBM"])
    said = [caplog.text, *capfd.readouterr(), repr(vars(Opened(server)))]
    for error in (caught.value, missing.value):
        said += [repr(error), "".join(traceback.format_exception(error))]
    everything = "\n".join(said)
    assert "tiingo" in everything
    for key in (wrong, server.key):
        assert key not in everything


def test_a_key_is_asked_for_by_name(
    server: TiingoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(KEY)
    monkeypatch.chdir(tmp_path)  # where a specification made in code starts
    with pytest.raises(SourceError, match=f"needs a key: set {KEY} in the environment or in .env"):
        Opened(server).load(["IBM"])
    (tmp_path / ".env").write_text(f"{KEY}={server.key}\n")
    assert Opened(server).load(["FB"]).height == 196
    monkeypatch.setenv(KEY, f"{server.key}\n")
    with pytest.raises(SourceError, match="some of which no key has") as caught:
        Opened(server).load(["IBM"])
    assert server.key not in str(caught.value)


def test_a_vendor_that_is_not_there_is_an_outage(server: TiingoServer) -> None:
    from tradewind.orchestration.retries import is_outage

    with TiingoServer(server.bars).running() as gone:
        pass
    with pytest.raises(VendorError, match=r"127\.0\.0\.1 does not answer") as caught:
        Opened(gone).load(["IBM", "MSFT"])
    assert is_outage(caught.value)


def test_a_vendor_that_answers_nobody_is_not_asked_for_thousands(server: TiingoServer) -> None:
    listed = [f"S{number}" for number in range(60)]
    server.always = dict.fromkeys(listed, HTML)
    with pytest.raises(VendorError, match="5 questions in a row had no usable answer") as caught:
        Opened(server, symbols=listed).load(listed)
    assert caught.value.passing
    assert len(server.requests) <= 4 * (5 + 4)  # tries; in a row, and those under way


def test_its_status_says_what_is_left_and_what_it_promises(server: TiingoServer) -> None:
    source = Opened(server)
    assert source.status().startswith("what is left of the quota is unknown; raw prices, corrected")
    server.quota = 41
    assert source.status().startswith("40 requests are left in the quota")
    assert [path for path, _ in server.requests] == ["/tiingo/daily/AAPL"] * 2
    server.quota = 0
    with pytest.raises(VendorError, match="quota"):
        source.status()
    server.quota, server.faults["AAPL"] = None, [HTML]
    with pytest.raises(VendorError, match="no JSON"):
        Opened(server).status()


def test_validation_asks_for_the_whole_and_leaves_out_what_is_not_complete(
    server: TiingoServer,
) -> None:
    found = examine(Opened(server), Spec(server), symbols=["IBM", "FB"], known_at=EVENING)
    assert {each.severity for each in found} <= {"warning"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"symbols": []}, r"options\.symbols"),
        ({"symbols": ["IBM", "ibm"]}, "listed more than once: IBM"),
        ({"base_url": "http://api.example.com"}, "must begin with https://.*in the clear"),
        ({"base_url": "https://user:pass@example.com"}, "without a key"),
        ({"base_url": "https://example.com/?token=x"}, "without a key"),
        ({"base_url": "ftp://127.0.0.1"}, "must begin with https"),
        ({"token": "x"}, r"options\.token: unknown field"),
        ({"start": "2013-02-30"}, r"options\.start"),
    ],
)
def test_wrong_options_are_refused(
    server: TiingoServer, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        Opened(server, **options)


def test_a_symbol_that_is_not_listed_costs_no_request(server: TiingoServer) -> None:
    with pytest.raises(SourceError, match="has no symbols TSLA; list them"):
        Opened(server).load(["IBM", "TSLA"])
    assert server.requests == []


def test_doctor_says_whether_the_key_is_taken_and_what_is_left(
    server: TiingoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.quota = 7
    taken = _source_check(Spec(server))
    assert (taken.problem, taken.note.partition(";")[0]) == ("", "6 requests are left in the quota")
    monkeypatch.setenv(KEY, "another")
    refused = _source_check(Spec(server))
    assert "the key is refused" in refused.problem
    assert "another" not in f"{refused}"


CHILD = """
import sys
from datetime import datetime
from tradewind.market import refresh
from tradewind.market.ingest import ingest
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore

refresh._AT_ONCE = 1
spec = SourceSpec.model_validate_json(sys.argv[1])
ingest(open_source(spec), spec, BarStore(sys.argv[2]), known_at=datetime.fromisoformat(sys.argv[3]))
"""


class Held(TiingoServer):
    """Answers some requests, and holds the next until it is let go."""

    answers = 0

    def __init__(self, bars: pl.DataFrame) -> None:
        super().__init__(bars)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        if len(self.requests) > self.answers:
            self.reached.set()
            assert self.go_on.wait(60)
        return super().answer(path, params)


@pytest.mark.parametrize("answers", [1, 3])
def test_a_kill_in_the_middle_loses_nothing_and_doubles_nothing(
    store: BarStore, bars: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    answers: int,
) -> None:  # fmt: skip
    monkeypatch.setenv(KEY, TiingoServer.key)
    until = bars.filter(pl.col("session") <= THURSDAY)
    with Held(until).running() as server:
        server.answers = answers
        spec = Spec(server)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, spec.model_dump_json(), store.root, NEXT.isoformat()]
        )
        assert server.reached.wait(60)
        child.kill()
        child.wait(60)
        server.go_on.set()
        server.answers = 99
        done = ingest(open_source(spec), spec, store, known_at=NEXT + timedelta(minutes=1))
    kept = [path.split("/")[3] for path, _ in server.requests[:answers]]
    asked = [path.split("/")[3] for path, _ in server.requests[answers + 1 :]]
    assert sorted(kept + asked) == list(SYMBOLS)
    assert done.new == until.filter(pl.col("symbol").is_in(asked)).height
    files = BarStore(tmp_path / "files")
    files.append("live", until, known_at=NEXT, calendar="XNYS")
    names = [each.snapshot("live", SYMBOLS, calendar="XNYS") for each in (store, files)]
    assert names[0] == names[1]

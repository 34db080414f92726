"""What a source says that its calendar lacks, honoured wherever its sessions are asked for."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.errors import BarValidationError, MarketDataError, SourceError
from tradewind.market.bars import SCHEMA
from tradewind.market.calendar import (
    close_after,
    closes_between,
    known_until,
    last_closed_session,
    next_session,
    opens_between,
    sessions_between,
    time_zone_of,
)
from tradewind.market.ingest import examine, ingest
from tradewind.market.sessions import Opened, SessionCalendar
from tradewind.market.sources.source import SourceSpec, load_source
from tradewind.market.store.bar_store import BarStore
from tradewind.market.validation.session_rules import exception_findings

READ_AT = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
TYPHOONS = (dt.date(2023, 9, 1), dt.date(2023, 9, 8))  # Saola, and the black rain
MUHURAT = dt.date(2023, 11, 12)  # a Sunday
DRILL = dt.date(2024, 1, 20)  # a Saturday session


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def spec(calendar: str, **sessions: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {"name": "mine", "kind": "made_up", "calendar": calendar, "sessions": sessions}
    )


HONG_KONG = spec("XHKG", closed=[{"days": list(TYPHOONS), "reason": "typhoon and rain"}])
MUMBAI = spec(
    "XBOM",
    open=[
        {"days": MUHURAT, "close": "19:15", "reason": "Muhurat"},
        {"days": [DRILL], "reason": "drill of the other site"},
    ],
)


class Walks:
    """Seeded random walks on the sessions that were held."""

    def __init__(self, calendar: SessionCalendar, symbols: int) -> None:
        self._days = sessions_between(calendar, day("2023-01-02"), day("2024-02-28"))
        self._names = tuple(f"{number:04d}" for number in range(1, symbols + 1))

    def symbols(self) -> tuple[str, ...]:
        return self._names

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        return pl.concat(self._walk(symbol) for symbol in symbols)

    def _walk(self, symbol: str) -> pl.DataFrame:
        draw, count = np.random.default_rng(int(symbol)), self._days.len()
        close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, count)))
        opened = close * np.exp(draw.normal(0.0, 0.003, count))
        return pl.DataFrame(
            {
                "symbol": [symbol] * count,
                "session": self._days,
                "open": opened,
                "high": np.maximum(opened, close) * 1.01,
                "low": np.minimum(opened, close) / 1.01,
                "close": close,
                "volume": draw.integers(10**5, 10**6, count),
                "split_factor": np.ones(count),
                "adjustment_factor": np.ones(count),
            },
            schema=SCHEMA,
        )


def rules(found: Sequence[Any], severity: str = "error") -> set[str]:
    return {one.rule for one in found if one.severity == severity}


@pytest.mark.parametrize(
    ("lacking", "put_right", "rule", "symbols"),
    [
        ("XHKG", HONG_KONG, "missing_session", 4),
        ("XHKG", HONG_KONG, "missing_session", 600),  # more findings than are told one by one
        ("XBOM", MUMBAI, "extra_session", 3),
    ],
)
def test_a_calendar_is_put_right_once_for_all_symbols(
    store: BarStore, lacking: str, put_right: SourceSpec, rule: str, symbols: int
) -> None:
    source = Walks(put_right.session_calendar, symbols)
    bare = spec(lacking)
    assert rules(examine(source, bare, known_at=READ_AT)) == {rule}
    with pytest.raises(BarValidationError, match=f"^{2 * symbols} errors in the bars:"):
        ingest(source, bare, store, known_at=READ_AT)
    found = examine(source, put_right, known_at=READ_AT)
    assert rules(found) == set()
    assert not {"accepted", "sessions"} & rules(found, "warning")
    done = ingest(source, put_right, store, known_at=READ_AT)
    held = store.snapshot("mine", source.symbols(), calendar=put_right.session_calendar)
    assert store.read(held).height == done.new
    [kept] = store.snapshots()
    assert kept.calendar == put_right.session_calendar


def test_special_sessions_are_known_since_they_closed(store: BarStore) -> None:
    source = Walks(MUMBAI.session_calendar, 1)
    ingest(source, MUMBAI, store, known_at=READ_AT, backdate=True)

    def last_known(moment: dt.datetime) -> dt.date:
        last: dt.date = store.bars("mine", as_of=moment)["session"][-1]
        return last

    in_kolkata = dt.timezone(dt.timedelta(hours=5, minutes=30))
    evening = dt.datetime(2023, 11, 12, 19, 15, tzinfo=in_kolkata)
    assert last_known(evening - dt.timedelta(minutes=1)) == day("2023-11-10")
    assert last_known(evening) == MUHURAT
    # Without a time, when sessions usually end.
    usual = dt.datetime(2024, 1, 20, 15, 30, tzinfo=in_kolkata)
    assert last_known(usual - dt.timedelta(minutes=1)) == day("2024-01-19")
    assert last_known(usual) == DRILL


def test_every_question_about_sessions_is_answered_with_the_exceptions() -> None:
    hong_kong, mumbai = HONG_KONG.session_calendar, MUMBAI.session_calendar
    assert next_session(hong_kong, day("2023-08-31")) == day("2023-09-04")
    assert next_session("XHKG", day("2023-08-31")) == TYPHOONS[0]
    assert next_session(mumbai, day("2024-01-19")) == DRILL
    friday_night = dt.datetime(2023, 9, 1, 20, tzinfo=dt.UTC)
    assert last_closed_session(hong_kong, friday_night) == day("2023-08-31")
    sunday_night = dt.datetime(2023, 11, 12, 20, tzinfo=dt.UTC)
    assert last_closed_session(mumbai, sunday_night) == MUHURAT
    assert close_after(mumbai, dt.datetime(2023, 11, 12, tzinfo=dt.UTC)) == dt.datetime(
        2023, 11, 12, 13, 45, tzinfo=dt.UTC
    )
    assert closes_between(hong_kong, TYPHOONS[0], TYPHOONS[0]).is_empty()
    assert time_zone_of(mumbai) == "Asia/Kolkata"
    assert str(hong_kong) == "XHKG"


def test_a_session_that_is_never_closed_can_be_opened_at_any_calendar() -> None:
    weekend = SessionCalendar(name="24/5", opened=(Opened(session=day("2026-02-28")),))
    assert closes_between(weekend, day("2026-02-27"), day("2026-03-01"))[
        "event_time"
    ].to_list() == [
        dt.datetime(2026, 2, 28, tzinfo=dt.UTC),
        dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
    ]


def test_a_special_session_opens_when_its_entry_says_and_before_it_closes() -> None:
    muhurat = {"days": MUHURAT, "open": "18:00", "close": "19:15", "reason": "Muhurat"}
    evening = spec("XBOM", open=[muhurat]).session_calendar
    hours = opens_between(evening, MUHURAT, MUHURAT), closes_between(evening, MUHURAT, MUHURAT)
    assert [frame.row(0)[1] for frame in hours] == [
        dt.datetime(2023, 11, 12, 12, 30, tzinfo=dt.UTC),
        dt.datetime(2023, 11, 12, 13, 45, tzinfo=dt.UTC),
    ]
    night = spec("XBOM", open=[{"days": MUHURAT, "close": "03:00", "reason": "x"}])
    with pytest.raises(MarketDataError, match=r"2023-11-12 would close at 03:00, .* before 09:15"):
        examine(Walks(evening, 1), night, known_at=READ_AT)


def test_exceptions_that_change_nothing_are_named() -> None:
    odd = spec(
        "XHKG",
        closed=[{"days": [*TYPHOONS, day("2023-09-02")], "reason": "typhoon"}],
        open=[{"days": [day("2023-09-05")], "reason": "as usual"}],
    )
    found = examine(Walks(HONG_KONG.session_calendar, 1), odd, known_at=READ_AT)
    told = [(one.severity, str(one.session), one.value) for one in found if one.rule == "sessions"]
    assert told == [("warning", "2023-09-02", "closed"), ("warning", "2023-09-05", "open")]


def test_an_announced_closure_that_the_calendar_cannot_know_stops_nothing(store: BarStore) -> None:
    last = known_until("XSHG")
    assert last is not None
    ahead = last + dt.timedelta(days=36)
    announced = spec("XSHG", closed=[{"days": [ahead], "reason": "announced"}])
    source = Walks(SessionCalendar(name="XSHG"), 1)
    done = ingest(source, announced, store, known_at=READ_AT)
    [told] = [one for one in done.findings if one.rule == "sessions"]
    assert (told.severity, told.session, told.value) == ("warning", ahead, "closed")
    assert f"to {last}" in told.message


def test_a_bar_of_a_closed_day_says_whose_word_it_was() -> None:
    found = examine(Walks(SessionCalendar(name="XHKG"), 1), HONG_KONG, known_at=READ_AT)
    assert [(str(one.session), one.severity) for one in found if one.rule == "extra_session"] == [
        ("2023-09-01", "error"), ("2023-09-08", "error"),
    ]  # fmt: skip
    assert "as sessions.closed in the source's file says" in found[0].message


def test_ranges_and_single_days_are_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nkind: sample\ncalendar: XHKG\nsessions:\n"
        "  closed:\n"
        "    - {from: 2020-01-27, to: 2020-01-29, reason: closed for longer}\n"
        "    - {days: 2023-09-01, reason: typhoon}\n"
        '  open:\n    - {days: [2024-01-20], close: "12:30", reason: drill}\n'
    )
    assert load_source(path).session_calendar == SessionCalendar(
        name="XHKG",
        closed=(day("2020-01-27"), day("2020-01-28"), day("2020-01-29"), TYPHOONS[0]),
        opened=(Opened(session=DRILL, close=dt.time(12, 30)),),
    )


@pytest.mark.parametrize(
    ("sessions", "reason"),
    [
        (
            "{closed: [{days: [2023-09-01]}]}",
            r"sessions\.closed\.0\.reason: is missing; it must be text",
        ),
        ("{closed: [{reason: x}]}", r"say either days: \[2023-09-01\], or from: and to:"),
        ("{closed: [{from: 2023-09-01, reason: x}]}", "a range needs both"),
        ("{closed: [{from: 2023-09-02, to: 2023-09-01, reason: x}]}", "lies before from"),
        ("{closed: [{from: 2003-09-02, to: 2023-09-01, reason: x}]}", "more than 366 days"),
        ("{closed: [{days: [2023-09-31], reason: x}]}", r"sessions\.closed\.0\.days"),
        ("{closed: [{days: 2023-09-01, reason: x}, {days: 2023-09-01, reason: y}]}", "more than"),
        (
            "{closed: [{days: 2023-09-01, reason: x}], open: [{days: 2023-09-01, reason: y}]}",
            "said more than once: 2023-09-01",
        ),
        ("{open: [{days: 2023-09-02, close: 1915, reason: x}]}", "write the time in quotes"),
        (
            '{open: [{days: 2023-09-02, open: "18:15", close: "03:00", reason: x}]}',
            r"close \(03:00\) is not after open \(18:15\)",
        ),
        ("{shut: []}", r"sessions\.shut: unknown field\. Known are: closed, open, hours"),
        ("{hours: [{days: 2023-09-01, reason: x}]}", "say when it closed"),
        (
            '{hours: [{days: 2023-09-01, close: "12:00", reason: x}], '
            "closed: [{days: 2023-09-01, reason: y}]}",
            "more than",
        ),
    ],
)
def test_nonsense_is_refused_by_name(tmp_path: Path, sessions: str, reason: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nkind: sample\nsessions: {sessions}\n")
    with pytest.raises(SourceError, match=reason):
        load_source(path)


def test_who_believes_in_another_calendar_is_told() -> None:
    assert HONG_KONG.sessions_for("XHKG") == HONG_KONG.session_calendar
    with pytest.raises(SourceError, match="has the sessions of XHKG, not of XNYS; write calendar:"):
        HONG_KONG.sessions_for("XNYS")


def test_many_accepted_findings_fit_into_a_file(tmp_path: Path) -> None:
    entries = "".join(
        f"  - {{symbol: '{number:04d}', session: {typhoon}, rule: missing_session, reason: rain}}\n"
        for number in range(1, 501)
        for typhoon in TYPHOONS
    )
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nkind: sample\ncalendar: XHKG\naccept:\n{entries}")
    assert path.stat().st_size > 64 * 1024
    one_by_one = load_source(path)
    assert len(one_by_one.accept) == 1000
    source = Walks(HONG_KONG.session_calendar, 500)
    assert rules(examine(source, one_by_one, known_at=READ_AT)) == set()


def test_an_early_close_of_one_s_own_is_when_the_bar_is_known_and_asked_for() -> None:
    friday, saturday = day("2023-09-15"), day("2023-09-16")
    early = spec(
        "XHKG", hours=[{"days": [friday, saturday], "close": "12:00", "reason": "typhoon"}]
    )
    calendar = early.session_calendar
    [closes] = closes_between(calendar, friday, friday)["event_time"].to_list()
    assert closes == dt.datetime(2023, 9, 15, 4, tzinfo=dt.UTC)
    noon = dt.datetime(2023, 9, 15, 4, 1, tzinfo=dt.UTC)
    assert last_closed_session(calendar, noon) == friday
    assert last_closed_session("XHKG", noon) == day("2023-09-14")
    assert sessions_between(calendar, friday, saturday).to_list() == [friday]
    [useless] = exception_findings(calendar)
    assert (useless.session, useless.value) == (saturday, "hours")
    assert SessionCalendar.model_validate(calendar.model_dump(mode="json")) == calendar
    usual = spec("XHKG", hours=[{"days": friday, "close": "16:00", "reason": "as always"}])
    assert [each.session for each in exception_findings(usual.session_calendar)] == [friday]
    never = spec("XHKG", hours=[{"days": friday, "close": "08:00", "reason": "x"}])
    with pytest.raises(MarketDataError, match=r"would close at 00:00 UTC.*sessions\.hours"):
        sessions_between(never.session_calendar, friday, friday)

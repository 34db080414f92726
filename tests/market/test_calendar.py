import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from exchange_calendars import get_calendar_names

from tradewind.errors import MarketDataError
from tradewind.market.calendar import (
    close_after,
    close_before,
    closes_between,
    known_until,
    last_closed_session,
    latest_possible_session,
    next_session,
    sessions_between,
    sessions_per_year,
    time_zone_of,
)
from tradewind.market.exchange import known


def test_holidays_and_weekends_are_no_sessions() -> None:
    # 2012-10-29 and 30: hurricane Sandy closed New York
    found = sessions_between("XNYS", dt.date(2012, 10, 26), dt.date(2012, 11, 1))
    assert found.to_list() == [dt.date(2012, 10, 26), dt.date(2012, 10, 31), dt.date(2012, 11, 1)]


def test_both_ends_are_included_and_need_not_be_sessions() -> None:
    assert sessions_between("XNYS", dt.date(2000, 3, 1), dt.date(2013, 3, 1)).len() == 3270
    assert sessions_between("XNYS", dt.date(2012, 5, 19), dt.date(2012, 5, 20)).is_empty()


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(MarketDataError, match="no exchange calendar named 'NYSE2'"):
        sessions_between("NYSE2", dt.date(2012, 1, 1), dt.date(2012, 2, 1))


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(MarketDataError, match="lies before start"):
        sessions_between("XNYS", dt.date(2012, 2, 1), dt.date(2012, 1, 1))


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        (dt.datetime(2013, 3, 1, 20, 59, tzinfo=dt.UTC), dt.date(2013, 2, 28)),
        (dt.datetime(2013, 3, 1, 21, 0, tzinfo=dt.UTC), dt.date(2013, 3, 1)),  # 16:00 in New York
        (dt.datetime(2012, 10, 30, 23, 0, tzinfo=dt.UTC), dt.date(2012, 10, 26)),  # hurricane
        (dt.datetime(2002, 12, 24, 18, 0, tzinfo=dt.UTC), dt.date(2002, 12, 24)),  # half a day
        # 17:00 of the day before in New York
        (dt.datetime(2010, 6, 16, 6, 0, tzinfo=ZoneInfo("Asia/Tokyo")), dt.date(2010, 6, 15)),
    ],
)
def test_the_last_closed_session(moment: dt.datetime, session: dt.date) -> None:
    assert last_closed_session("XNYS", moment) == session


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(MarketDataError, match="has no time zone"):
        last_closed_session("XNYS", dt.datetime(2013, 3, 1))  # noqa: DTZ001 - that is the point


def test_time_zones() -> None:
    assert time_zone_of("XNYS") == "America/New_York"
    assert time_zone_of("XTKS") == "Asia/Tokyo"
    with pytest.raises(MarketDataError, match="no exchange calendar named 'NYSE2'"):
        time_zone_of("NYSE2")


def test_a_session_ends_when_the_exchange_closes() -> None:
    closes = closes_between("XNYS", dt.date(2005, 11, 23), dt.date(2005, 11, 28))
    # Thanksgiving is no session, and the day after it ends at 13:00 in New York.
    assert closes.rows() == [
        (dt.date(2005, 11, 23), dt.datetime(2005, 11, 23, 21, tzinfo=dt.UTC)),
        (dt.date(2005, 11, 25), dt.datetime(2005, 11, 25, 18, tzinfo=dt.UTC)),
        (dt.date(2005, 11, 28), dt.datetime(2005, 11, 28, 21, tzinfo=dt.UTC)),
    ]


def test_a_calendar_that_begins_within_a_year_gives_what_it_knows() -> None:
    # Shanghai's calendar begins on 1990-12-03.
    found = sessions_between("XSHG", dt.date(1990, 12, 20), dt.date(1990, 12, 24))
    assert found.to_list() == [dt.date(1990, 12, day) for day in (20, 21, 24)]
    with pytest.raises(MarketDataError, match="knows sessions from 1990-12-03 on, and not of 1990"):
        sessions_between("XSHG", dt.date(1990, 1, 1), dt.date(1990, 12, 31))


def test_the_next_session_jumps_over_weekends_and_closures() -> None:
    assert next_session("XNYS", dt.date(2012, 10, 26)) == dt.date(2012, 10, 31)
    assert next_session("XNYS", dt.date(2013, 2, 28)) == dt.date(2013, 3, 1)


# exchange_calendars 4.13 cannot make these with pandas 3.1; another release may.
BROKEN = {"ASEX", "XBEL", "XBSE", "XCYS", "XTAE"}
NAMES = get_calendar_names(include_aliases=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_calendar_tells_all_it_knows(name: str) -> None:
    try:
        last = known_until(name) or dt.date(2027, 12, 31)
        sessions_between(name, last, last)
        sessions_between(name, dt.date(2025, 1, 1), dt.date(2025, 12, 31))
    except MarketDataError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert name in BROKEN
        assert f"cannot make the calendar {name}" in reason
        return
    # The last weeks that it knows: each session follows the one before.
    weeks = sessions_between(name, last - dt.timedelta(days=60), last).to_list()
    assert [next_session(name, day) for day in weeks[:-1]] == weeks[1:]
    # The first session that it knows, or one of the first.
    start = max(known(name).first, dt.date(2000, 1, 1))
    early = closes_between(name, start, start + dt.timedelta(days=40))
    day, close = early.row(0)
    assert sessions_between(name, day, day).to_list() == [day]
    assert last_closed_session(name, close) == day
    assert close_before(name, close + dt.timedelta(seconds=1)) == close
    assert close_after(name, close) == early["event_time"][1]
    assert time_zone_of(name)


@pytest.mark.parametrize("name", ["XSHG", "XBOM", "XSES", "XKRX", "XHKG"])
def test_a_calendar_that_ends_says_so_in_one_sentence(name: str) -> None:
    end = known_until(name)
    assert end is not None
    [*_, last] = sessions_between(name, end - dt.timedelta(days=30), end)
    sentence = (
        f"calendar {name} knows sessions until {end}, and (none after|not of) .*; upgrade exch"
    )
    close = closes_between(name, last, last)["event_time"][0]
    later = close + dt.timedelta(days=30)
    with pytest.raises(MarketDataError, match=sentence):
        next_session(name, last)
    with pytest.raises(MarketDataError, match=sentence):
        sessions_between(name, last, end + dt.timedelta(days=1))
    with pytest.raises(MarketDataError, match=sentence):
        last_closed_session(name, later)
    assert last_closed_session(name, close) == last
    # What can be said of older bars is said for ever.
    assert latest_possible_session(name, later) == last
    assert (close_after(name, close), close_before(name, later)) == (None, close)
    assert close_after(name, later + dt.timedelta(days=3650)) is None


@pytest.mark.parametrize("day", [dt.date.min, dt.date(1600, 1, 1), dt.date.max])
def test_days_beyond_all_calendars_are_refused(day: dt.date) -> None:
    with pytest.raises(MarketDataError, match="calendar XNYS knows sessions"):
        sessions_between("XNYS", day, day)
    with pytest.raises(MarketDataError, match="calendar XNYS knows sessions"):
        next_session("XNYS", day)
    assert known_until("XNYS") is None


def test_a_day_that_never_ends_is_a_session() -> None:
    moment = dt.datetime(2026, 2, 28, 23, 59, tzinfo=dt.UTC)
    assert last_closed_session("24/7", moment) == dt.date(2026, 2, 27)
    assert next_session("24/7", dt.date(2026, 2, 28)) == dt.date(2026, 3, 1)


@pytest.mark.parametrize(
    ("calendar", "sessions"),
    [
        ("XNYS", 252.0),
        ("24/7", 365.0),
        ("24/5", 261.0),
        ("XTKS", 245.0),
        ("XSHG", 243.0),
        ("XLON", 253.0),
        ("XPAR", 256.0),
        ("CMES", 258.0),
        ("XSAU", 247.0),  # is known since 2021 only
        ("AIXK", 245.0),  # since 2017
    ],
)
def test_a_year_has_the_sessions_of_its_calendar(calendar: str, sessions: float) -> None:
    assert sessions_per_year(calendar) == sessions


def test_a_year_of_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(MarketDataError, match="no exchange calendar named 'MOON'"):
        sessions_per_year("MOON")


def test_names_of_calendars_are_those_that_are_installed() -> None:
    from exchange_calendars import get_calendar_names

    from tradewind.market.calendar_names import NAMES, why_no_calendar

    assert set(get_calendar_names()) == NAMES
    assert why_no_calendar("24/7") == ""
    assert why_no_calendar("xlon").endswith("Did you mean XLON?")

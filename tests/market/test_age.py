"""How old bars are, and which opens are to come, on real calendars."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tradewind.errors import MarketDataError
from tradewind.market.age import coming_opens, said_of_age, sessions_behind
from tradewind.market.calendar import opens_between
from tradewind.market.sessions import Opened, SessionCalendar

FRIDAY = date(2024, 1, 5)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("calendar", "session", "now", "behind"),
    [
        ("XNYS", FRIDAY, "2024-01-05T12:00", 0),  # it has not begun
        ("XNYS", FRIDAY, "2024-01-08T20:59", 0),
        ("XNYS", FRIDAY, "2024-01-08T21:00", 1),
        ("XNYS", date(2024, 7, 2), "2024-07-03T17:00", 1),  # an early close
        ("XNYS", date(2024, 7, 3), "2024-07-05T12:00", 0),  # the Fourth of July
        ("XNYS", date(2013, 3, 1), "2013-03-11T23:00", 6),
        ("XTKS", FRIDAY, "2024-01-09T06:00", 1),  # shut on the 8th; it closes in UTC's morning
        ("XNZE", FRIDAY, "2024-01-08T03:45", 1),
        ("24/7", date(2024, 1, 6), "2024-01-09T00:00", 2),
    ],
)
def test_bars_are_as_old_as_sessions_have_closed_since(
    calendar: str, session: date, now: str, behind: int
) -> None:
    assert sessions_behind(calendar, session, at(now)) == behind


def test_a_source_s_own_sessions_count() -> None:
    closed = SessionCalendar(name="XNYS", closed=(date(2024, 1, 8),))
    assert sessions_behind(closed, FRIDAY, at("2024-01-09T12:00")) == 0
    assert list(coming_opens(closed, FRIDAY, FRIDAY)) == [date(2024, 1, 9)]
    muhurat = SessionCalendar(name="XBOM", opened=(Opened(session=date(2023, 11, 12)),))
    assert list(coming_opens(muhurat, date(2023, 11, 10), date(2023, 11, 10))) == [
        date(2023, 11, 12)
    ]
    [sunday, monday] = opens_between(muhurat, date(2023, 11, 12), date(2023, 11, 13))["opens_at"]
    assert monday - sunday == timedelta(days=1)


@pytest.mark.parametrize(
    ("calendar", "after", "now", "days"),
    [
        ("XNYS", FRIDAY, "2024-01-05T22:00", ["08"]),
        ("XNYS", FRIDAY, "2024-01-08T14:29", ["08"]),
        ("XNYS", FRIDAY, "2024-01-08T14:30", ["08", "09"]),  # that very moment it is over
        ("XNYS", FRIDAY, "2024-01-12T22:00", ["08", "09", "10", "11", "12", "16"]),
        ("XTKS", FRIDAY, "2024-01-08T23:59", ["09"]),
        ("XTKS", FRIDAY, "2024-01-09T00:00", ["09", "10"]),
        ("XNZE", date(2024, 1, 8), "2024-01-08T20:59", ["09"]),
        ("XNZE", date(2024, 1, 8), "2024-01-08T21:00", ["09", "10"]),  # opens the evening before
        ("CMES", date(2024, 1, 8), "2024-01-08T23:30", ["09", "10"]),
        # Around the clock the next open is the close: there is no time to trade at it.
        ("24/7", date(2024, 1, 8), "2024-01-09T01:00", ["09", "10"]),
    ],
)
def test_opens_end_with_the_first_to_come(
    calendar: str, after: date, now: str, days: list[str]
) -> None:
    found = coming_opens(calendar, after, at(now))
    assert [f"{session:%d}" for session in found] == days
    *gone, coming = found.values()
    assert all(moment <= at(now) for moment in gone)
    assert coming > at(now)


def test_on_a_replay_the_next_session_is_the_next_open() -> None:
    assert list(coming_opens("XNYS", FRIDAY, FRIDAY)) == [date(2024, 1, 8)]
    later = coming_opens("XNYS", FRIDAY, date(2024, 1, 9))
    assert list(later) == [date(2024, 1, 8), date(2024, 1, 9), date(2024, 1, 10)]


def test_age_in_words() -> None:
    assert said_of_age(0, FRIDAY, "XNYS") == ""
    assert said_of_age(1, FRIDAY, "XNYS") == "the bars end on 2024-01-05, 1 session of XNYS ago"
    assert "3,456 sessions" in said_of_age(3456, FRIDAY, "XNYS")


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(MarketDataError, match="time zone"):
        sessions_behind("XNYS", FRIDAY, datetime(2024, 1, 8))  # noqa: DTZ001

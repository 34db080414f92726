"""Sessions of an exchange: which days, from when to when, in which time zone.

Each function takes the name of a calendar, or a `tradewind.market.sessions.SessionCalendar`:
the calendar of a source's bars with what that source says of its sessions. Who asks about the
sessions of bars asks with the latter (`tradewind.market.sources.source.SourceSpec.sessions_for`).
"""

import functools
import statistics
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from tradewind.errors import MarketDataError
from tradewind.market.exchange import exchange, known, zone_of
from tradewind.market.sessions import SessionCalendar
from tradewind.market.special_hours import opened, with_hours

__all__ = [
    "close_after",
    "close_before",
    "closes_between",
    "known_until",
    "last_closed_session",
    "latest_possible_session",
    "next_session",
    "opens_between",
    "sessions_between",
    "sessions_per_year",
    "time_zone_of",
]

# No exchange has been closed for longer since the calendars begin.
_LONGEST_PAUSE: Final = timedelta(days=200)
_DAY: Final = timedelta(days=1)
# Long past, so that no later word on a holiday changes what a year is taken to have.
_COUNTED_YEARS: Final = range(2005, 2025)


def sessions_between(calendar: str | SessionCalendar, start: date, end: date) -> pl.Series:
    """Return the sessions of an exchange from `start` to `end`, both included.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars, such as ``"XNYS"`` (New York).
    start, end : date
        First and last day looked at; they need not be sessions.

    Returns
    -------
    Series of pl.Date, shape (n_sessions,), strictly increasing
        Empty if no session lies between the two days.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not know the days, or `end` precedes `start`.
    """
    return closes_between(calendar, start, end).get_column("session")


def closes_between(calendar: str | SessionCalendar, start: date, end: date) -> pl.DataFrame:
    """Return when each session of an exchange ends, from `start` to `end`, both included.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars, such as ``"XNYS"`` (New York).
    start, end : date
        First and last day looked at; they need not be sessions.

    Returns
    -------
    DataFrame of shape (n_sessions, 2)
        ``session`` (Date), and ``event_time`` (Datetime in microseconds, UTC): its close, an
        early one on half days.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not know the days, or `end` precedes `start`.
    """
    _refuse_unknown(calendar, start, end)
    return _closes(calendar, start, end)


def opens_between(calendar: str | SessionCalendar, start: date, end: date) -> pl.DataFrame:
    """Return when each session of an exchange begins, from `start` to `end`, both included.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars, such as ``"XNYS"`` (New York), or a source's calendar. A
        session that only the source knows opens when that says, or the exchange usually does.
    start, end : date
        First and last day looked at; they need not be sessions.

    Returns
    -------
    DataFrame of shape (n_sessions, 2)
        ``session`` (Date), and ``opens_at`` (Datetime in microseconds, UTC).

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not know the days, or `end` precedes `start`.
    """
    _refuse_unknown(calendar, start, end)
    return _hours(calendar, start, end).select("session", "opens_at")


def last_closed_session(calendar: str | SessionCalendar, known_at: datetime) -> date:
    """Return the latest session that had closed by a moment.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars.
    known_at : datetime
        With a time zone.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not know that time, or `known_at` lacks a zone.
    """
    day = _utc(known_at).date()
    if day > known(SessionCalendar.of(calendar).name).last:
        raise _ended(calendar, f"not of {day}")
    return latest_possible_session(calendar, known_at)


def latest_possible_session(calendar: str | SessionCalendar, known_at: datetime) -> date:
    """Return the latest session a calendar knows of those that had closed by a moment.

    What `last_closed_session` returns, but beyond the days that the calendar knows its last
    session: bars of later ones would be refused in any case, and older bars need not be.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it knows no session so early, or `known_at` lacks a zone.
    """
    moment = _utc(known_at)
    closes = _closes(calendar, *_around(calendar, moment.date(), before=_LONGEST_PAUSE))
    closed = closes.filter(pl.col("event_time") <= moment).get_column("session")
    if closed.is_empty():
        first = known(SessionCalendar.of(calendar).name).first
        raise MarketDataError(
            f"calendar {calendar} knows no session that had closed at {moment.isoformat()}; it "
            f"begins on {first}"
        )
    session: date = closed[-1]
    return session


def next_session(calendar: str | SessionCalendar, session: date) -> date:
    """Return the first session after a day.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or it knows no session after that day.
    """
    limits = known(SessionCalendar.of(calendar).name)
    if session >= limits.last:
        raise _ended(calendar, f"none after {session}")
    if session + _DAY < limits.first:
        raise _not_yet(calendar, session)
    start, end = _around(calendar, session + _DAY, after=_LONGEST_PAUSE)
    later = _closes(calendar, start, end).get_column("session").to_list()
    following: date | None = next((day for day in later if day > session), None)
    if following is None:
        raise _ended(calendar, f"none after {session}")
    return following


def close_after(calendar: str | SessionCalendar, moment: datetime) -> datetime | None:
    """Return the first close after a moment, in UTC; None where the calendar knows none.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or `moment` lacks a zone.
    """
    days = _around(calendar, _utc(moment).date(), before=2 * _DAY, after=_LONGEST_PAUSE)
    later = _closes(calendar, *days).filter(pl.col("event_time") > _utc(moment))
    return next(iter(later.get_column("event_time").sort().head(1).to_list()), None)


def close_before(calendar: str | SessionCalendar, moment: datetime) -> datetime | None:
    """Return the last close before a moment, in UTC; None where the calendar knows none.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or `moment` lacks a zone.
    """
    days = _around(calendar, _utc(moment).date(), before=_LONGEST_PAUSE)
    earlier = _closes(calendar, *days).filter(pl.col("event_time") < _utc(moment))
    return next(iter(earlier.get_column("event_time").sort().tail(1).to_list()), None)


def known_until(calendar: str | SessionCalendar) -> date | None:
    """Return the last day whose sessions a calendar knows; None if it goes on for centuries.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    limits = known(SessionCalendar.of(calendar).name)
    return limits.last if limits.ends else None


@functools.lru_cache(maxsize=64)
def sessions_per_year(calendar: str) -> float:
    """Return how many sessions a year of an exchange has: what figures are annualised by.

    It is the median over the years 2005 to 2024, or over those of them that the calendar covers
    without a gap up to the last: a whole number that depends neither on the bars at hand nor on
    the day it is asked. New York has 252, Tokyo 245, Shanghai 243, and what never closes 365.

    Parameters
    ----------
    calendar : str
        Name in exchange_calendars.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or it covers none of these years.
    """
    failure: MarketDataError | None = None
    end = date(_COUNTED_YEARS[-1], 12, 31)
    for year in _COUNTED_YEARS:
        try:
            sessions = sessions_between(calendar, date(year, 1, 1), end)
        except MarketDataError as error:  # it begins later
            failure = failure or error
            continue
        counts = sessions.dt.year().value_counts().get_column("count")
        return float(statistics.median_low(counts.to_list()))
    assert failure is not None  # noqa: S101 - there are years
    raise failure


def time_zone_of(calendar: str | SessionCalendar) -> str:
    """Return the name of an exchange's time zone, such as ``"America/New_York"``.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    return zone_of(
        exchange(SessionCalendar.of(calendar).name, date(2020, 1, 1), date(2020, 12, 31))
    )


def _refuse_unknown(calendar: str | SessionCalendar, start: date, end: date) -> None:
    if end < start:
        raise MarketDataError(f"calendar {calendar}: end {end} lies before start {start}")
    limits = known(SessionCalendar.of(calendar).name)
    if start < limits.first:
        raise _not_yet(calendar, start)
    if end > limits.last:
        raise _ended(calendar, f"not of {end}")


def _closes(calendar: str | SessionCalendar, start: date, end: date) -> pl.DataFrame:
    """Return the closes of those of some days that the calendar knows."""
    return _hours(calendar, start, end).select("session", "event_time")


def _hours(calendar: str | SessionCalendar, start: date, end: date) -> pl.DataFrame:
    """Return opens and closes of those of some days that the calendar knows."""
    asked = SessionCalendar.of(calendar)
    made = exchange(asked.name, start, end)
    hours = pl.DataFrame(
        {
            "session": made.sessions.to_numpy(),
            "opens_at": made.opens.to_numpy(dtype="datetime64[us]"),  # in UTC
            "event_time": made.closes.to_numpy(dtype="datetime64[us]"),
        }
    ).select(
        pl.col("session").cast(pl.Date),
        pl.col("opens_at", "event_time").dt.replace_time_zone("UTC"),
    )
    if asked.closed:
        hours = hours.filter(~pl.col("session").is_in(list(asked.closed)))
    if asked.hours:
        hours = with_hours(hours, asked, made)
    if asked.opened:
        hours = pl.concat([hours, opened(asked, made)]).unique(
            "session", keep="first", maintain_order=True
        )
    return hours.sort("session").filter(pl.col("session").is_between(start, end))


def _around(
    calendar: str | SessionCalendar,
    day: date,
    *,
    before: timedelta = timedelta(0),
    after: timedelta = 2 * _DAY,  # a session may be named after the day it begins on
) -> tuple[date, date]:
    """Return the days around one, as far as the calendar knows them."""
    limits = known(SessionCalendar.of(calendar).name)
    held = min(max(day, limits.first), limits.last)
    first = held - before if held - limits.first > before else limits.first
    last = held + after if limits.last - held > after else limits.last
    return first, last


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise MarketDataError(f"{moment} has no time zone; say datetime.now(UTC) or the like")
    return moment.astimezone(UTC)


def _not_yet(calendar: str | SessionCalendar, asked: date) -> MarketDataError:
    first = known(SessionCalendar.of(calendar).name).first
    return MarketDataError(
        f"calendar {calendar} knows sessions from {first} on, and not of {asked}; leave out what "
        "is older, or correct the dates"
    )


def _ended(calendar: str | SessionCalendar, asked: str) -> MarketDataError:
    last = known(SessionCalendar.of(calendar).name).last
    return MarketDataError(
        f"calendar {calendar} knows sessions until {last}, and {asked}; upgrade "
        "exchange_calendars, whose releases bring the next year's holidays, or correct the dates"
    )

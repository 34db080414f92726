"""Sessions of an exchange: which days, from when to when, in which time zone."""

import functools
import warnings
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from tradewind.errors import MarketDataError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

__all__ = [
    "closes_between",
    "last_closed_session",
    "next_session",
    "sessions_between",
    "time_zone_of",
]

# No exchange has been closed for longer since the calendars begin.
_LONGEST_PAUSE = timedelta(days=60)


def sessions_between(calendar: str, start: date, end: date) -> pl.Series:
    """Return the sessions of an exchange from `start` to `end`, both included.

    Parameters
    ----------
    calendar : str
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
        If there is no such calendar, it does not cover the days, or `end` precedes `start`.
    """
    return closes_between(calendar, start, end).get_column("session")


# Making a calendar takes a third of a second, mostly for its holidays; the same few are asked for
# with every chunk of symbols.
@functools.lru_cache(maxsize=16)
def closes_between(calendar: str, start: date, end: date) -> pl.DataFrame:
    """Return when each session of an exchange ends, from `start` to `end`, both included.

    Parameters
    ----------
    calendar : str
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
        If there is no such calendar, it does not cover the days, or `end` precedes `start`.
    """
    exchange = _exchange(calendar, start, end)
    closes = exchange.closes.to_numpy(dtype="datetime64[us]")  # in UTC
    return (
        pl.DataFrame({"session": exchange.sessions.to_numpy(), "event_time": closes})
        .select(
            pl.col("session").cast(pl.Date),
            pl.col("event_time").dt.replace_time_zone("UTC"),
        )
        .filter(pl.col("session").is_between(start, end))
    )


def last_closed_session(calendar: str, known_at: datetime) -> date:
    """Return the latest session that had closed by a moment.

    Parameters
    ----------
    calendar : str
        Name in exchange_calendars.
    known_at : datetime
        With a time zone.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not cover that time, or `known_at` lacks a zone.
    """
    if known_at.tzinfo is None:
        raise MarketDataError(f"{known_at} has no time zone; say datetime.now(UTC) or the like")
    moment = known_at.astimezone(UTC)
    closes = closes_between(calendar, moment.date() - _LONGEST_PAUSE, moment.date())
    session: date = closes.filter(pl.col("event_time") <= moment).get_column("session")[-1]
    return session


def next_session(calendar: str, session: date) -> date:
    """Return the first session after a day.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or it does not cover that time.
    """
    later = sessions_between(calendar, session + timedelta(days=1), session + _LONGEST_PAUSE)
    following: date = later[0]
    return following


def time_zone_of(calendar: str) -> str:
    """Return the name of an exchange's time zone, such as ``"America/New_York"``.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    return str(_exchange(calendar, date(2020, 1, 1), date(2020, 2, 1)).tz.key)


@functools.lru_cache(maxsize=16)
def _exchange(calendar: str, start: date, end: date) -> "ExchangeCalendar":
    """Return a calendar that covers the days, and some more."""
    if end < start:
        raise MarketDataError(f"calendar {calendar}: end {end} lies before start {start}")
    # exchange_calendars brings pandas: 1.6 s that only who needs it should pay.
    from exchange_calendars import (
        get_calendar,
        get_calendar_names,
    )

    if calendar not in get_calendar_names():
        raise MarketDataError(
            f"no exchange calendar named {calendar!r}; use a name of exchange_calendars, "
            "such as XNYS or XLON"
        )
    try:
        # A calendar without any session cannot be made: ask for more days, then cut.
        margin = timedelta(days=14)
        with warnings.catch_warnings():
            # exchange_calendars 4.13 reads a pandas attribute that pandas 3.1 deprecates.
            warnings.filterwarnings("ignore", message="Series.values returning an ndarray")
            return get_calendar(calendar, start=start - margin, end=end + margin)
    except ValueError as error:
        raise MarketDataError(f"calendar {calendar}, {start} to {end}: {error}") from error

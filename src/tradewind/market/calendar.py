"""Sessions of an exchange."""

import functools
import warnings
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from tradewind.errors import MarketDataError

__all__ = ["last_closed_session", "sessions_between", "time_zone_of"]


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
    if end < start:
        raise MarketDataError(f"calendar {calendar}: end {end} lies before start {start}")
    return _sessions(calendar, start, end).clone()


def time_zone_of(calendar: str) -> str:
    """Return the name of an exchange's time zone, such as ``"America/New_York"``.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    return _zone(calendar)


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
    closes = _closes(calendar, known_at.astimezone(UTC).date())
    return max(session for session, close in closes if close <= known_at)


# Making a calendar takes a third of a second, mostly for its holidays; the same few are asked for
# with every chunk of symbols.
@functools.lru_cache(maxsize=16)
def _sessions(calendar: str, start: date, end: date) -> pl.Series:
    # A calendar without any session cannot be made: ask for more days, then cut.
    made = _calendar(calendar, start - timedelta(days=14), end + timedelta(days=14))
    days = pl.Series("session", made.sessions.to_numpy()).cast(pl.Date)
    return days.filter(days.is_between(start, end))


@functools.lru_cache(maxsize=16)
def _closes(calendar: str, day: date) -> tuple[tuple[date, datetime], ...]:
    """Return sessions around a day with the time they close; no exchange was shut for 60 days."""
    closes = _calendar(calendar, day - timedelta(days=60), day + timedelta(days=14)).closes
    return tuple((session.date(), close.to_pydatetime()) for session, close in closes.items())


@functools.lru_cache(maxsize=16)
def _zone(calendar: str) -> str:
    return str(_calendar(calendar, date(2020, 1, 1), date(2020, 2, 1)).tz.key)


def _calendar(calendar: str, start: date, end: date) -> Any:  # noqa: ANN401 - it ships no types
    # exchange_calendars brings pandas: 1.6 s that only who needs it should pay.
    import exchange_calendars

    if calendar not in exchange_calendars.get_calendar_names():
        raise MarketDataError(
            f"no exchange calendar named {calendar!r}; use a name of exchange_calendars, "
            "such as XNYS or XLON"
        )
    try:
        with warnings.catch_warnings():
            # exchange_calendars 4.13 reads a pandas attribute that pandas 3.1 deprecates.
            warnings.filterwarnings("ignore", message="Series.values returning an ndarray")
            return exchange_calendars.get_calendar(calendar, start=start, end=end)
    except ValueError as error:
        raise MarketDataError(f"calendar {calendar}, {start} to {end}: {error}") from error

"""Sessions of an exchange."""

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
    calendars = _exchange_calendars(calendar)
    try:
        # A calendar without any session cannot be made: ask for more days, then cut.
        margin = timedelta(days=14)
        with warnings.catch_warnings():
            _ignore_deprecation()
            sessions = calendars.get_calendar(
                calendar, start=start - margin, end=end + margin
            ).sessions
    except ValueError as error:
        raise MarketDataError(f"calendar {calendar}, {start} to {end}: {error}") from error
    days = pl.Series("session", sessions.to_numpy()).cast(pl.Date)
    return days.filter(days.is_between(start, end))


def time_zone_of(calendar: str) -> str:
    """Return the name of an exchange's time zone, such as ``"America/New_York"``.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    calendars = _exchange_calendars(calendar)
    with warnings.catch_warnings():
        _ignore_deprecation()
        zone = calendars.get_calendar(calendar, start="2020-01-01", end="2020-02-01").tz
    return str(zone.key)


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
    calendars = _exchange_calendars(calendar)
    moment = known_at.astimezone(UTC)
    try:
        with warnings.catch_warnings():
            _ignore_deprecation()
            # No exchange has been closed for 60 days since the calendars begin.
            start, end = moment.date() - timedelta(days=60), moment.date() + timedelta(days=14)
            closes = calendars.get_calendar(calendar, start=start, end=end).closes
    except ValueError as error:
        raise MarketDataError(f"calendar {calendar}, {known_at:%Y-%m-%d}: {error}") from error
    session: date = closes[closes <= moment].index[-1].date()
    return session


def _exchange_calendars(calendar: str) -> Any:  # noqa: ANN401 - it ships no types
    """Return exchange_calendars, which brings pandas: 1.6 s that only who needs it should pay."""
    import exchange_calendars

    if calendar not in exchange_calendars.get_calendar_names():
        raise MarketDataError(
            f"no exchange calendar named {calendar!r}; use a name of exchange_calendars, "
            "such as XNYS or XLON"
        )
    return exchange_calendars


def _ignore_deprecation() -> None:
    # exchange_calendars 4.13 reads a pandas attribute that pandas 3.1 deprecates.
    warnings.filterwarnings("ignore", message="Series.values returning an ndarray")

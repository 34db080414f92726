"""Sessions of an exchange."""

import functools
import threading
import warnings
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from tradewind.errors import MarketDataError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

__all__ = ["closes_between", "sessions_between"]

_ONE_AT_A_TIME = threading.Lock()  # catch_warnings changes the whole process


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
    sessions = _exchange(calendar, start, end).sessions
    days = pl.Series("session", sessions.to_numpy()).cast(pl.Date)
    return days.filter(days.is_between(start, end))


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


def _exchange(calendar: str, start: date, end: date) -> "ExchangeCalendar":
    """Return a calendar that covers the days, and some more."""
    if end < start:
        raise MarketDataError(f"calendar {calendar}: end {end} lies before start {start}")
    # exchange_calendars brings pandas: 1.6 s that only a validation should pay.
    from exchange_calendars import get_calendar_names

    if calendar not in get_calendar_names():
        raise MarketDataError(
            f"no exchange calendar named {calendar!r}; use a name of exchange_calendars, "
            "such as XNYS or XLON"
        )
    # A calendar without any session cannot be made: ask for more days than are needed.
    margin = timedelta(days=14)
    first, last = start - margin, end + margin
    try:
        # Whole years, so that another day of the same years finds the calendar made.
        return _made(calendar, first.replace(month=1, day=1), last.replace(month=12, day=31))
    except ValueError:  # it knows its holidays up to some day within a year
        try:
            return _made(calendar, first, last)
        except ValueError as error:
            raise MarketDataError(f"calendar {calendar}, {start} to {end}: {error}") from error


@functools.lru_cache(maxsize=16)
def _made(calendar: str, start: date, end: date) -> "ExchangeCalendar":
    """Return a calendar; making one takes a third of a second."""
    from exchange_calendars import get_calendar

    with _ONE_AT_A_TIME, warnings.catch_warnings():
        # exchange_calendars 4.13 reads a pandas attribute that pandas 3.1 deprecates.
        warnings.filterwarnings("ignore", message="Series.values returning an ndarray")
        return get_calendar(calendar, start=start, end=end)

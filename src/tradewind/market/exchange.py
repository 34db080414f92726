"""Calendars of exchange_calendars, made for the days that are asked for, as far as it knows them.

Some calendars know holidays only up to a day, others only from a day on.
"""

import functools
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from tradewind.errors import MarketDataError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

__all__ = ["Known", "exchange", "known", "zone_of"]

# Beyond these days pandas cannot count nanoseconds.
_FIRST: Final = date(1700, 1, 1)
_LAST: Final = date(2250, 12, 31)
# A calendar without any session cannot be made, and no exchange was ever shut for so long.
_LEAST: Final = timedelta(days=180)
_YEARS: Final = 20

_ONE_AT_A_TIME = threading.Lock()  # catch_warnings changes the whole process


@dataclass(frozen=True)
class Known:
    """First and last day for which a calendar knows the sessions."""

    first: date
    last: date

    @property
    def ends(self) -> bool:
        """Whether the holidays that this release of the calendar knows end with the last day."""
        return self.last < _LAST


@functools.cache
def known(name: str) -> Known:
    """Return which days a calendar knows.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or exchange_calendars cannot make it.
    """
    # exchange_calendars imports pandas: 1.6 s, to be paid only where a calendar is needed.
    from exchange_calendars import get_calendar, get_calendar_names

    if name not in get_calendar_names():
        raise MarketDataError(
            f"no exchange calendar named {name!r}; use a name of exchange_calendars, "
            "such as XNYS or XLON"
        )
    with _one_at_a_time(), _explained(name):
        try:
            kind = get_calendar(name)
        except (NotImplementedError, ValueError):  # it may fail for some years only
            kind = get_calendar(name, start=date.today() - _LEAST, end=date.today())  # noqa: DTZ011 - any will do
    first, last = kind.bound_min(), kind.bound_max()
    return Known(
        _FIRST if first is None else max(_FIRST, first.date()),
        _LAST if last is None else min(_LAST, last.date()),
    )


def exchange(name: str, start: date, end: date) -> "ExchangeCalendar":
    """Return a calendar that covers the days, as far as it knows them, and some more.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or exchange_calendars cannot make it.
    """
    limits = known(name)
    # Decades cost no more than a day, and the next day that is asked for finds the calendar made.
    first = max(date(max(start.year // _YEARS * _YEARS, _FIRST.year), 1, 1), limits.first)
    last = min(date(min(end.year // _YEARS * _YEARS + _YEARS - 1, _LAST.year), 12, 31), limits.last)
    if last - first < _LEAST:
        first = max(min(first, last) - _LEAST, limits.first)
        last = min(max(first, last) + _LEAST, limits.last)
    try:
        return _made(name, first, last)
    except MarketDataError:  # it may fail for some years only
        margin = timedelta(days=14)
        return _made(name, max(start - margin, limits.first), min(end + margin, limits.last))


@functools.lru_cache(maxsize=32)
def _made(name: str, first: date, last: date) -> "ExchangeCalendar":
    """Return a calendar; making one takes a third of a second."""
    from exchange_calendars import get_calendar

    with _one_at_a_time(), _explained(name):
        return get_calendar(name, start=first, end=last)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        # exchange_calendars 4.13 reads what pandas 3.1 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Name the calendar where exchange_calendars fails, which it does in many ways."""
    try:
        yield
    except (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        from importlib.metadata import version

        reason = str(error)[:200] or type(error).__name__
        raise MarketDataError(
            f"exchange_calendars {version('exchange_calendars')} cannot make the calendar {name} "
            f"with pandas {version('pandas')}: {reason}; use another release of it"
        ) from error


def zone_of(made: "ExchangeCalendar") -> str:
    """Return the name of an exchange's time zone, such as ``"America/New_York"``."""
    return str(getattr(made.tz, "key", made.tz))

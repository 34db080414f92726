"""An exchange's sessions as a source has them: a calendar's name, and what that calendar lacks.

A calendar cannot know the typhoon of last Friday, and some never learn of special sessions on
a Saturday. A source's file says so once, for all of its symbols::

    calendar: XHKG
    sessions:
      closed:
        - {days: [2023-09-01, 2023-09-08], reason: typhoon Saola and black rain}
        - {from: 2020-01-27, to: 2020-01-28, reason: closed for longer than planned}
      open:
        - {days: 2023-11-12, open: "18:00", close: "19:15", reason: Muhurat}
      hours:
        - {days: 2018-12-05, close: "13:00", reason: early close that the calendar lacks}

`SessionCalendar` is what everybody who asks about those bars' sessions is handed.

Importing this module loads no polars: Airflow reads it with every DAG file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from tradewind.market.spec_types import Day

__all__ = [
    "Closed", "Hours", "Open", "Opened", "Reason", "SessionCalendar", "SessionExceptions", "Span",
]  # fmt: skip

_CLOCK: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}")
_LONGEST: Final = 366  # days; a longer one is a slip of the year more often than a closure

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Opened(BaseModel):
    """A session as the source has it, when it begins and ends; None: as the calendar has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: date
    open: time | None = None
    close: time | None = None


class SessionCalendar(BaseModel):
    """A calendar of exchange_calendars, less some sessions and with some more.

    Every function of `tradewind.market.calendar` takes one in the place of a name. It is a
    value: equal to another of the same sessions, and kept with a snapshot as it is.

    Attributes
    ----------
    name : str
        In exchange_calendars, such as ``"XHKG"``.
    closed : tuple of date
        Days that are no sessions, whatever the calendar says.
    opened : tuple of Opened
        Days that are sessions, whatever the calendar says.
    hours : tuple of Opened
        Sessions of the calendar that began or ended at another time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    closed: tuple[date, ...] = ()
    opened: tuple[Opened, ...] = ()
    hours: tuple[Opened, ...] = ()

    @classmethod
    def of(cls, calendar: "str | SessionCalendar") -> "SessionCalendar":
        """Return a calendar of a name, or the calendar itself."""
        return calendar if isinstance(calendar, SessionCalendar) else cls(name=calendar)

    def __str__(self) -> str:
        return self.name


class Span(BaseModel):
    """Days of one entry: some (`days`), or all from one to another, both included.

    Attributes
    ----------
    days : tuple of date
        One day alone may stand without brackets.
    from_, to : date, optional
        Written ``from`` and ``to``.
    reason : str
        What happened; it stands in every report that speaks of the entry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: tuple[Day, ...] = Field(default=(), max_length=10_000)
    from_: Day | None = Field(default=None, alias="from")
    to: Day | None = None
    reason: Reason

    @field_validator("days", mode="before")
    @classmethod
    def _one_day_alone(cls, days: Any) -> Any:  # noqa: ANN401 - as YAML has it
        return days if isinstance(days, list | tuple) else (days,)

    @model_validator(mode="after")
    def _says_which_days(self) -> Self:
        if bool(self.days) == bool(self.from_ or self.to):
            raise ValueError("say either days: [2023-09-01], or from: and to:")
        if (self.from_ is None) != (self.to is None):
            raise ValueError("a range needs both from: and to:")
        if self.from_ and self.to:
            if self.to < self.from_:
                raise ValueError(f"to ({self.to}) lies before from ({self.from_})")
            if (self.to - self.from_).days >= _LONGEST:
                raise ValueError(
                    f"{self.from_} to {self.to} are more than {_LONGEST} days; "
                    "correct the years, or write several ranges"
                )
        return self

    def dates(self) -> Iterator[date]:
        """Return each day, oldest first of a range."""
        yield from self.days
        if self.from_ and self.to:
            for number in range((self.to - self.from_).days + 1):
                yield self.from_ + timedelta(days=number)


class Closed(Span):
    """Days on which the exchange was closed, though its calendar has them."""


class _Timed(Span):
    """Days whose sessions began and ended at times of their own."""

    open: time | None = None
    close: time | None = None

    @field_validator("open", "close", mode="before")
    @classmethod
    def _in_quotes(cls, at: Any) -> Any:  # noqa: ANN401 - as YAML has it
        # Seconds since midnight to pydantic.
        if isinstance(at, int | float) or (isinstance(at, str) and not _CLOCK.match(at)):
            raise ValueError('write the time in quotes: close: "19:15"')
        return at

    @field_validator("open", "close")
    @classmethod
    def _local(cls, at: time | None) -> time | None:
        if at is not None and at.tzinfo is not None:
            raise ValueError("the time is the exchange's; leave its zone out")
        return at

    @model_validator(mode="after")
    def _closes_after_it_opens(self) -> Self:
        if self.open is not None and self.close is not None and self.close <= self.open:
            raise ValueError(
                f"close ({self.close:%H:%M}) is not after open ({self.open:%H:%M}); correct them"
            )
        return self


class Open(_Timed):
    """Days on which the exchange held a session, though its calendar has none.

    Attributes
    ----------
    open : time, optional
        When the session began, likewise; write it of a session in the evening.
    close : time, optional
        When the session ended, in the exchange's time, such as ``"19:15"``; without it, when the
        exchange's sessions usually do. Bars count as known since then, so write it if it was
        later.
    """


class Hours(_Timed):
    """Sessions of the calendar that began or ended at another time than it says.

    Attributes
    ----------
    open, close : time, optional
        As of `Open`, at least one of them; without it, as the calendar has it.
    """

    @model_validator(mode="after")
    def _says_a_time(self) -> Self:
        if self.open is None and self.close is None:
            raise ValueError('say when it closed: close: "13:00", or when it opened')
        return self


class SessionExceptions(BaseModel):
    """What a source's calendar lacks; see the module for the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    closed: tuple[Closed, ...] = Field(default=(), max_length=1000)
    open: tuple[Open, ...] = Field(default=(), max_length=1000)
    hours: tuple[Hours, ...] = Field(default=(), max_length=1000)

    @model_validator(mode="after")
    def _each_day_once(self) -> Self:
        spans: tuple[Span, ...] = (*self.closed, *self.open, *self.hours)
        days = Counter(day for span in spans for day in span.dates())
        repeated = [str(day) for day, times in sorted(days.items()) if times > 1]
        if repeated:
            raise ValueError(f"said more than once: {', '.join(repeated[:10])}")
        return self

    def applied_to(self, name: str) -> SessionCalendar:
        """Return a calendar with these exceptions."""
        return SessionCalendar(
            name=name,
            closed=tuple(sorted(day for span in self.closed for day in span.dates())),
            opened=_timed(self.open),
            hours=_timed(self.hours),
        )


def _timed(spans: Sequence[Open | Hours]) -> tuple[Opened, ...]:
    days = {day: span for span in spans for day in span.dates()}
    return tuple(
        Opened(session=day, open=span.open, close=span.close) for day, span in sorted(days.items())
    )

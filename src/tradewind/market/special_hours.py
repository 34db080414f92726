"""When sessions begin and end that a source knows better than its calendar."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from tradewind.errors import MarketDataError
from tradewind.market.exchange import zone_of
from tradewind.market.sessions import SessionCalendar

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

__all__ = ["opened", "with_hours"]

_DAY: Final = timedelta(days=1)
_MOMENT: Final = pl.Datetime("us", "UTC")


def opened(asked: SessionCalendar, made: "ExchangeCalendar") -> pl.DataFrame:
    """Return the hours of the sessions that only the source knows."""
    at = _clock_of(made)
    rows = []
    for one in asked.opened:
        day = one.session
        opens = one.open if one.open is not None else _usual(made.open_times, day)
        closes = one.close if one.close is not None else _usual(made.close_times, day)
        begin = at(day, 0 if one.open is not None else made.open_offset, opens)
        end = at(day, 0 if one.close is not None else made.close_offset, closes)
        if end <= begin:
            raise MarketDataError(
                f"calendar {asked}: the session of {day} would close at {closes:%H:%M}, and not "
                f"open before {opens:%H:%M}; write both times of it under sessions.open in the "
                'source\'s file: open: "18:00", close: "19:15"'
            )
        rows.append((day, begin, end))
    return pl.DataFrame(
        rows, {"session": pl.Date, "opens_at": _MOMENT, "event_time": _MOMENT}, orient="row"
    )


def with_hours(
    hours: pl.DataFrame, asked: SessionCalendar, made: "ExchangeCalendar"
) -> pl.DataFrame:
    """Return the calendar's sessions with the hours that the source knows better."""
    at = _clock_of(made)
    held = {day: (begin, end) for day, begin, end in hours.iter_rows()}
    for one in asked.hours:
        if one.session not in held:
            continue
        begin, end = held[one.session]
        begin = begin if one.open is None else at(one.session, 0, one.open)
        end = end if one.close is None else at(one.session, 0, one.close)
        if end <= begin:
            raise MarketDataError(
                f"calendar {asked}: the session of {one.session} would close at {end:%H:%M} UTC, "
                f"and not open before {begin:%H:%M} UTC; correct its times under sessions.hours in "
                "the source's file"
            )
        held[one.session] = begin, end
    rows = [(day, *times) for day, times in held.items()]
    return pl.DataFrame(rows, hours.schema, orient="row")


def _clock_of(made: "ExchangeCalendar") -> Callable[[date, int, time], datetime]:
    zone = ZoneInfo(zone_of(made))

    def at(day: date, offset: int, hour: time) -> datetime:
        return datetime.combine(day + offset * _DAY, hour, zone).astimezone(UTC)

    return at


def _usual(times: Iterable[tuple[Any, time]], day: date) -> time:
    """Return the hour of those that an exchange has had which holds on a day."""
    return [at for since, at in times if since is None or since.date() <= day][-1]

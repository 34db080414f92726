"""A run after each session of an exchange, by its calendar: no holiday, early closes early."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import DateTime, instance

from tradewind.errors import MarketDataError
from tradewind.market.sessions import SessionCalendar

__all__ = ["AfterClose"]

_HOUR = timedelta(hours=1)  # vendors need a while to settle the day's bars
_DAY = timedelta(days=1)
_NO_CALENDAR = frozenset({"calendar", "since", "delay"})  # what is serialised beside it

log = logging.getLogger(__name__)


class AfterClose(Timetable):
    """Runs some time after each close; the data interval is from the close before to this one.

    After the last session that the calendar knows there is no next run; `tradewind doctor` says
    so weeks before.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars, such as ``"XNYS"``, or a source's calendar.
    since : datetime, optional
        With a time zone: runs due before it are left out, but by a backfill. None for all.
    delay : timedelta
        How long after the close.
    """

    description = "after each close of the exchange"

    def __init__(
        self,
        calendar: str | SessionCalendar,
        since: datetime | None = None,
        delay: timedelta = _HOUR,
    ) -> None:
        self._calendar = SessionCalendar.of(calendar)
        self._since = since
        self._delay = delay

    @property
    def summary(self) -> str:
        """What Airflow's page shows as the schedule."""
        hours = "" if self._delay == _HOUR else f"{self._delay / _HOUR:g} h "
        return f"{hours}after each close of {self._calendar}"

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` needs."""
        held = self._calendar.model_dump(mode="json")
        since = None if self._since is None else self._since.isoformat()
        said = {"calendar": held.pop("name"), **held, "since": since}
        if self._delay != _HOUR:
            said["delay"] = str(self._delay / _HOUR)
        return {key: value for key, value in said.items() if value}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Make the timetable again in the scheduler."""
        since = data.get("since")
        fields = {key: value for key, value in data.items() if key not in _NO_CALENDAR}
        return cls(
            SessionCalendar.model_validate({"name": data["calendar"], **fields}),
            None if since is None else datetime.fromisoformat(since),
            float(data.get("delay", 1.0)) * _HOUR,
        )

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the interval of the last session that had closed by then."""
        return self._interval(self._close_before(run_after) or run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next run: the close after the last one, or the latest there was.

        None where the calendar knows no later close.
        """
        if last_automated_data_interval is not None:
            after = last_automated_data_interval.end
        elif restriction.earliest is None:
            return None
        else:
            after = restriction.earliest - timedelta(seconds=1)
        try:
            close = self._next(after, catchup=restriction.catchup)
        except MarketDataError:
            # The scheduler asks twice a minute, and `doctor` says it in words.
            log.debug("no run after a close of %s", self._calendar, exc_info=True)
            return None
        if close is None or (restriction.latest is not None and close > restriction.latest):
            return None
        return DagRunInfo(
            run_after=instance(close + self._delay),
            data_interval=self._interval(close),
            partition_date=None,
            partition_key=None,
        )

    def _next(self, after: datetime, *, catchup: bool) -> datetime | None:
        from tradewind.market.calendar import close_after

        close = close_after(self._calendar, after)
        if catchup:
            return close
        # Of those that are due: with a delay of days there is always a newer one that is not.
        latest = self._close_before(datetime.now(UTC) - self._delay)
        if latest is not None and latest > after:
            close = latest
        if close is not None and self._since is not None and close + self._delay < self._since:
            close = close_after(self._calendar, self._since - self._delay)
        return close

    def _interval(self, close: datetime) -> DataInterval:
        before = self._close_before(close) or close - _DAY
        return DataInterval(instance(before), instance(close))

    def _close_before(self, moment: datetime) -> datetime | None:
        from tradewind.market.calendar import close_before

        return close_before(self._calendar, moment)

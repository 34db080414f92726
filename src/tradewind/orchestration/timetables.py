"""A run after each session of an exchange, by its calendar: no holiday, early closes early."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import DateTime, instance

__all__ = ["AfterClose"]

_DELAY = timedelta(minutes=60)  # vendors need a while to settle the day's bars


class AfterClose(Timetable):
    """Runs one hour after each close; the data interval is from the close before to this one.

    Parameters
    ----------
    calendar : str
        Name in exchange_calendars, such as ``"XNYS"``.
    """

    description = "after each close of the exchange"

    def __init__(self, calendar: str) -> None:
        self._calendar = calendar

    @property
    def summary(self) -> str:
        """What Airflow's page shows as the schedule."""
        return f"after each close of {self._calendar}"

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` needs."""
        return {"calendar": self._calendar}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Make the timetable again in the scheduler."""
        return cls(data["calendar"])

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the interval of the last session that had closed by then."""
        return self._interval(self._close_before(run_after))

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next run: the close after the last one, or the latest there was."""
        now = datetime.now(UTC)
        if last_automated_data_interval is not None:
            close = self._close_after(last_automated_data_interval.end)
        elif restriction.earliest is None:
            return None
        else:
            close = self._close_after(restriction.earliest - timedelta(seconds=1))
        if not restriction.catchup:
            close = max(close, self._close_before(now))
        if restriction.latest is not None and close > restriction.latest:
            return None
        return DagRunInfo(
            run_after=instance(close + _DELAY),
            data_interval=self._interval(close),
            partition_date=None,
            partition_key=None,
        )

    def _interval(self, close: datetime) -> DataInterval:
        return DataInterval(instance(self._close_before(close)), instance(close))

    def _close_after(self, moment: datetime) -> datetime:
        return next(close for close in self._closes(moment) if close > moment)

    def _close_before(self, moment: datetime) -> datetime:
        return next(close for close in reversed(self._closes(moment)) if close < moment)

    def _closes(self, moment: datetime) -> list[datetime]:
        """Return the closes around a moment: no exchange is shut for a month."""
        from tradewind.market.calendar import closes_between

        month = timedelta(days=31)
        closes = closes_between(self._calendar, (moment - month).date(), (moment + month).date())
        return closes.get_column("event_time").to_list()

"""Runs by a cron expression, from the next slot after a file is there.

Airflow alone would run the latest slot of the past as soon as it sees a new file: last week's, at
once. And with `run_immediately=False` it would forget a slot that fell due while the stack was
down, before the first run. So the file itself says since when it counts: its inode's change time,
which is set by writing, copying and checking out, whatever time of modification is kept.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import instance

__all__ = ["NextSlot", "counted_since"]


class NextSlot(CronTriggerTimetable):
    """Runs at each slot of a cron expression, in UTC, that falls due after a moment.

    Of slots that were missed, as while the stack was down, the latest is run. A backfill, which
    catches up, may begin before the moment.

    Parameters
    ----------
    cron : str
        Five fields.
    since : datetime
        With a time zone.
    """

    def __init__(self, cron: str, since: datetime) -> None:
        super().__init__(cron, timezone="UTC")
        self._since = since

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` needs."""
        return {"cron": self._expression, "since": self._since.isoformat()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Make the timetable again in the scheduler."""
        return cls(data["cron"], datetime.fromisoformat(data["since"]))

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next run: the slot after the last one, or the latest there was."""
        # Also where there was a run: a backfill's counts as one, and is of any time.
        if not restriction.catchup:
            since = instance(self._since)
            earliest = since if restriction.earliest is None else max(restriction.earliest, since)
            restriction = restriction._replace(earliest=earliest)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )


def counted_since(directory: Path, name: str) -> datetime:
    """Return since when the file of a strategy or source is there as it is now; now at the latest.

    Parameters
    ----------
    directory : Path
    name : str
        Of what the file says; it is the file's own.
    """
    changed = [_changed(directory / f"{name}{suffix}") for suffix in (".yaml", ".yml")]
    # A clock that was put back since, or is another machine's, must not put runs off.
    return min(datetime.fromtimestamp(max(changed), UTC), datetime.now(UTC))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except FileNotFoundError:  # or taken away a moment ago
        return 0.0

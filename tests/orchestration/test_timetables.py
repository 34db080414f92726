from datetime import UTC, datetime

import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from pendulum import instance

from tradewind.orchestration.timetables import AfterClose

HOUR = 3600


def following(after: str, *, catchup: bool = True) -> DagRunInfo:
    """The run after the one whose interval ended at a close, given as New York's date."""
    end = instance(datetime.fromisoformat(after).replace(tzinfo=UTC))
    info = AfterClose("XNYS").next_dagrun_info(
        last_automated_data_interval=DataInterval(end.subtract(days=1), end),
        restriction=TimeRestriction(None, None, catchup),
    )
    assert info is not None
    return info


@pytest.mark.parametrize(
    ("after", "closes"),
    [
        ("2012-10-26T20:00", "2012-10-31T20:00"),  # two days shut by a hurricane
        ("2012-07-02T20:00", "2012-07-03T17:00"),  # an early close before the Fourth of July
        ("2012-07-03T17:00", "2012-07-05T20:00"),  # the holiday itself has no run
        ("2012-11-02T20:00", "2012-11-05T21:00"),  # clocks went back over the weekend
    ],
)
def test_a_run_follows_each_real_close_by_an_hour(after: str, closes: str) -> None:
    info = following(after)
    close = datetime.fromisoformat(closes).replace(tzinfo=UTC)
    assert info.data_interval is not None
    assert info.data_interval.end == close
    assert (info.run_after - close).total_seconds() == HOUR
    assert info.data_interval.start == datetime.fromisoformat(after).replace(tzinfo=UTC)


def test_without_catching_up_only_the_latest_close_is_run() -> None:
    info = following("2012-10-26T20:00", catchup=False)
    assert info.data_interval is not None
    now = datetime.now(UTC)
    assert info.data_interval.end < now
    assert (now - info.data_interval.end).days < 7


def test_a_run_by_hand_belongs_to_the_session_that_closed_last() -> None:
    run_after = instance(datetime(2012, 10, 30, 12, tzinfo=UTC))
    interval = AfterClose("XNYS").infer_manual_data_interval(run_after=run_after)
    assert interval.end == datetime(2012, 10, 26, 20, tzinfo=UTC)


def test_the_scheduler_gets_the_same_timetable_back() -> None:
    timetable = AfterClose("XLON")
    assert AfterClose.deserialize(timetable.serialize()).summary == timetable.summary

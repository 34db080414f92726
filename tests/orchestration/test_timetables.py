from datetime import UTC, date, datetime, time, timedelta

import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from pendulum import instance

from tradewind.market.calendar import close_before, known_until
from tradewind.market.sessions import Opened, SessionCalendar
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
    assert (info.run_after - instance(close)).total_seconds() == HOUR
    assert info.data_interval.start == datetime.fromisoformat(after).replace(tzinfo=UTC)


def test_a_run_waits_for_the_vendor() -> None:
    late = AfterClose("XNYS", delay=timedelta(hours=7))
    restriction = TimeRestriction(instance(datetime(2012, 7, 3, tzinfo=UTC)), None, catchup=True)
    info = late.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info is not None
    assert info.run_after == instance(datetime(2012, 7, 4, 0, tzinfo=UTC))
    assert late.summary == "7 h after each close of XNYS"


@pytest.mark.parametrize("hours", [1, 7, 30, 72])
def test_a_run_that_is_due_is_not_put_off_by_a_newer_close(hours: int) -> None:
    late = AfterClose("24/7", delay=timedelta(hours=hours))
    now = datetime.now(UTC)
    last = DataInterval.exact(instance(now - timedelta(days=9)))
    info = late.next_dagrun_info(
        last_automated_data_interval=last,
        restriction=TimeRestriction(None, None, catchup=False),
    )
    assert info is not None
    assert now - timedelta(days=1) <= info.run_after <= datetime.now(UTC)


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
    for since in (None, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)):
        for delay in (timedelta(hours=1), timedelta(hours=7.5)):
            timetable = AfterClose("XLON", since, delay)
            again = AfterClose.deserialize(timetable.serialize())
            assert (again.summary, again.serialize()) == (timetable.summary, timetable.serialize())


def test_a_source_s_own_sessions_reach_the_scheduler() -> None:
    sandy_on_wednesday = SessionCalendar(
        name="XNYS",
        closed=(date(2012, 10, 31),),
        opened=(Opened(session=date(2012, 11, 3), close=time(13, 30)),),
    )
    stored = AfterClose.deserialize(AfterClose(sandy_on_wednesday).serialize())
    end = instance(datetime(2012, 10, 26, 20, tzinfo=UTC))
    found = []
    for _ in range(4):
        info = stored.next_dagrun_info(
            last_automated_data_interval=DataInterval(end.subtract(days=1), end),
            restriction=TimeRestriction(None, None, catchup=True),
        )
        assert info is not None
        assert info.data_interval is not None
        end = info.data_interval.end
        found.append(end)
    assert found == [
        datetime(2012, 11, day, hour, minute, tzinfo=UTC)
        for day, hour, minute in ((1, 20, 0), (2, 20, 0), (3, 17, 30), (5, 21, 0))
    ]


def test_what_an_older_version_stored_is_read() -> None:
    assert AfterClose.deserialize({"calendar": "XLON"}).serialize() == {"calendar": "XLON"}


@pytest.mark.parametrize("calendar", ["XSHG", "XBOM", "XSES"])
def test_runs_go_on_to_the_calendar_s_last_session_and_then_end(calendar: str) -> None:
    end = known_until(calendar)
    assert end is not None
    last = close_before(calendar, datetime(end.year, end.month, end.day, 23, tzinfo=UTC))
    assert last is not None
    before = close_before(calendar, last)
    assert before is not None
    timetable, restriction = AfterClose(calendar), TimeRestriction(None, None, catchup=True)

    def after(close: datetime) -> DagRunInfo | None:
        interval = DataInterval(instance(close - timedelta(days=1)), instance(close))
        return timetable.next_dagrun_info(
            last_automated_data_interval=interval, restriction=restriction
        )

    info = after(before)
    assert info is not None
    assert info.data_interval is not None
    assert info.data_interval.end == last
    assert after(last) is None
    assert after(last + timedelta(days=500)) is None
    by_hand = timetable.infer_manual_data_interval(run_after=instance(last + timedelta(days=90)))
    assert by_hand.end == last


def test_a_calendar_that_cannot_be_made_starts_nothing_and_raises_nothing() -> None:
    first = instance(datetime(2026, 1, 1, tzinfo=UTC))
    found = AfterClose("MOON").next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(first, None, catchup=True)
    )
    assert found is None


def first_run(since: datetime, *, catchup: bool = False) -> DagRunInfo:
    info = AfterClose("XNYS", since).next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(instance(datetime(2024, 1, 1, tzinfo=UTC)), None, catchup),
    )
    assert info is not None
    return info


def test_a_file_that_just_appeared_waits_for_its_next_close() -> None:
    now = datetime.now(UTC)
    assert first_run(now).run_after > now


def test_a_close_that_fell_due_after_the_file_was_there_is_run() -> None:
    now = datetime.now(UTC)
    due = first_run(now - timedelta(days=8)).run_after  # there is one in any week
    assert now - timedelta(days=8) <= due <= now
    # Appeared after the close, and before the hour after it was over.
    assert first_run(due - timedelta(minutes=10)).run_after == due


def test_a_backfill_may_begin_before_the_file() -> None:
    info = first_run(datetime.now(UTC), catchup=True)
    assert info.run_after == datetime(2024, 1, 2, 22, tzinfo=UTC)


def test_a_backfill_of_long_ago_starts_no_close_of_before_the_file() -> None:
    now = datetime.now(UTC)
    long_ago = DataInterval.exact(instance(now - timedelta(days=5000)))
    info = AfterClose("XNYS", now).next_dagrun_info(
        last_automated_data_interval=long_ago,
        restriction=TimeRestriction(None, None, catchup=False),
    )
    assert info is not None
    assert info.run_after > now

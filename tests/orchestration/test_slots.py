"""A file that just appeared starts at its next slot, and loses none that falls due after that."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from pendulum import instance

from tradewind.orchestration.dags.ingest_dags import ingest_dags
from tradewind.orchestration.slots import NextSlot, counted_since
from tradewind.orchestration.timetables import AfterClose

START = instance(datetime(2024, 1, 1, tzinfo=UTC))
HOURLY, WEEKLY, YEARLY = "7 * * * *", "0 22 * * 5", "0 0 29 2 *"


def following(
    cron: str, since: datetime, *, last: datetime | None = None, catchup: bool = False
) -> DagRunInfo:
    ran = None if last is None else DataInterval.exact(instance(last))
    info = NextSlot(cron, since).next_dagrun_info(
        last_automated_data_interval=ran, restriction=TimeRestriction(START, None, catchup)
    )
    assert info is not None
    return info


@pytest.mark.parametrize("cron", [HOURLY, WEEKLY, YEARLY, "*/5 * * * *"])
def test_nothing_is_run_that_fell_due_before_the_file_was_there(cron: str) -> None:
    now = datetime.now(UTC)
    assert following(cron, now).run_after >= now


def test_a_slot_that_fell_due_while_the_stack_was_down_is_run_and_only_the_latest() -> None:
    now = datetime.now(UTC)
    info = following(HOURLY, now - timedelta(hours=5))
    assert now - timedelta(hours=1) < info.run_after <= now


def test_a_schedule_that_was_changed_does_not_run_slots_of_before_the_change() -> None:
    now = datetime.now(UTC)
    # Run weekly until now; the file was changed a moment ago.
    assert following(HOURLY, now, last=now - timedelta(days=5)).run_after >= now


def test_a_backfill_of_long_ago_starts_no_slot_of_before_the_file() -> None:
    now = datetime.now(UTC)
    assert following(HOURLY, now, last=now - timedelta(days=5000)).run_after >= now


def test_after_a_run_the_next_slot_comes() -> None:
    now = datetime.now(UTC)
    ran = following(HOURLY, now - timedelta(days=3)).run_after
    assert following(HOURLY, now - timedelta(days=3), last=ran).run_after == ran.add(hours=1)


def test_a_backfill_may_begin_before_the_file() -> None:
    info = following(WEEKLY, datetime.now(UTC), catchup=True)
    assert info.run_after == datetime(2024, 1, 5, 22, tzinfo=UTC)


def test_the_scheduler_gets_the_same_timetable_back() -> None:
    slot = NextSlot(WEEKLY, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert NextSlot.deserialize(slot.serialize()).serialize() == slot.serialize()


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_copy_that_keeps_its_old_date_is_a_file_that_just_appeared(
    tmp_path: Path, suffix: str
) -> None:
    old = tmp_path / "old"
    old.write_text("name: mine")
    os.utime(old, (0, 0))
    began = datetime.now(UTC) - timedelta(seconds=1)  # clocks of files are coarse
    shutil.copy2(old, tmp_path / f"mine.{suffix}")
    assert (tmp_path / f"mine.{suffix}").stat().st_mtime == 0
    assert began <= counted_since(tmp_path, "mine") <= datetime.now(UTC) + timedelta(seconds=1)


def test_a_file_that_is_gone_or_of_the_future_puts_no_run_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counted_since(tmp_path, "mine") == datetime.fromtimestamp(0, UTC)
    (tmp_path / "mine.yaml").write_text("name: mine")

    def tomorrow(path: Path) -> SimpleNamespace:
        if path.suffix == ".yml":
            raise FileNotFoundError(path)
        return SimpleNamespace(st_ctime=(datetime.now(UTC) + timedelta(days=1)).timestamp())

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", tomorrow)
        found = counted_since(tmp_path, "mine")
    assert datetime.now(UTC) - timedelta(minutes=5) < found <= datetime.now(UTC)


def test_a_source_that_just_appeared_waits_for_its_next_close(tmp_path: Path) -> None:
    text = "name: {name}\nkind: sample\ncalendar: XNYS\nschedule: {schedule}\n"
    for name, schedule in (("daily", "after_close"), ("none", "null")):
        (tmp_path / f"{name}.yaml").write_text(text.format(name=name, schedule=schedule))
    dags = ingest_dags(tmp_path)
    assert dags["ingest_none"].schedule is None
    daily = dags["ingest_daily"].schedule
    assert isinstance(daily, AfterClose)
    info = daily.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(START, None, catchup=False),
    )
    assert info is not None
    assert info.run_after >= datetime.now(UTC)

"""Logs go with their runs, and the DAG processor's by their age."""

import os
import shutil
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradewind.errors import HousekeepingError
from tradewind.orchestration.runtime.old_logs import remove_old_files, remove_old_run_logs, size_of

NOW = datetime(2026, 11, 30, tzinfo=UTC)
KNOWN = {"kept"}


def write(path: Path, days: float, size: int = 5000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def gone(_: str, run_ids: Collection[str]) -> Collection[str]:
    return set(run_ids) - KNOWN


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for run, days in (("old", 200), ("kept", 200), ("young", 1)):
        write(tmp_path / f"dag_id=train/run_id={run}/task_id=train/attempt=1.log", days)
    write(tmp_path / "dag_id=train/run_id=begun_again/task_id=a/attempt=1.log", 200)
    write(tmp_path / "dag_id=train/run_id=begun_again/task_id=b/attempt=2.log", 1)
    write(tmp_path / "dag_id=gone/run_id=old/task_id=train/attempt=1.log", 200)
    return tmp_path


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("dag_id=*/*")}


def test_a_log_goes_when_its_run_is_gone_and_it_is_old(logs: Path) -> None:
    counted = remove_old_run_logs(logs, gone, now=NOW, keep_days=90, dry_run=True)
    assert len(left(logs)) == 4
    removed = remove_old_run_logs(logs, gone, now=NOW, keep_days=90)
    assert left(logs) == {"run_id=kept", "run_id=young", "run_id=begun_again"}
    assert not (logs / "dag_id=gone").exists()
    each = size_of(logs) // 4
    assert (counted.files, counted.removed) == (removed.files, removed.removed) == (2, 2 * each)
    assert (counted.left, removed.left) == (6 * each, 4 * each)


def test_all_logs_stay_where_they_are_kept_for_ever(logs: Path) -> None:
    assert remove_old_run_logs(logs, gone, now=NOW, keep_days=0).files == 0
    assert remove_old_files(logs, now=NOW, keep_days=0).files == 0
    assert len(left(logs)) == 4


def test_other_files_go_by_age_with_the_folders_they_leave_empty(tmp_path: Path) -> None:
    write(tmp_path / "2026-01-01/specs/source_a.py.log", 300)
    write(tmp_path / "2026-11-29/specs/source_a.py.log", 1)
    write(tmp_path / "dag_id=a/run_id=b/attempt=1.log", 300)
    (tmp_path / "latest").symlink_to(tmp_path / "2026-11-29")
    removed = remove_old_files(tmp_path, now=NOW, keep_days=90, but="dag_id=")
    assert (removed.files, removed.removed) == (1, size_of(tmp_path / "2026-11-29"))
    assert {path.name for path in tmp_path.iterdir()} == {"2026-11-29", "dag_id=a", "latest"}


def test_a_log_that_cannot_be_removed_is_named(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = shutil.rmtree

    def refusing(folder: Path) -> None:
        if folder.parent.name == "dag_id=train":
            raise PermissionError(13, "Permission denied", str(folder))
        remove(folder)

    monkeypatch.setattr(shutil, "rmtree", refusing)
    removed = remove_old_run_logs(logs, gone, now=NOW, keep_days=90)
    assert removed.files == 1  # the other one
    with pytest.raises(HousekeepingError, match=r"1 old logs could not be removed: .*run_id=old"):
        removed.check()


def test_a_folder_that_a_task_has_closed_stops_nothing(
    logs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(logs / "tmp1" / "mine", 200)
    before, scan = size_of(logs), os.scandir

    def closed(folder: Path) -> object:
        if Path(folder).name == "tmp1":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", closed)  # the superuser is refused nothing
    assert size_of(logs) < before
    assert "tmp1 cannot be read by this user" in caplog.text
    assert remove_old_files(logs, now=NOW, keep_days=90).files == 4

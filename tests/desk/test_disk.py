"""What takes disk space, how fast it grows, and a warning a week before it is full."""

import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradewind.desk.disk import check_disk, disk_usage, record_sizes
from tradewind.settings import Settings
from tradewind.stack.layout import Layout

NOW = datetime(2026, 11, 30, 3, 30, tzinfo=UTC)
GB = 2**30
Space = namedtuple("Space", "total used free")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path)
    Layout(made.state).create()
    return made


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Say how many bytes are free."""

    def say(size: float) -> None:
        space = Space(500 * GB, 500 * GB - int(size), int(size))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: space)

    return say


def record(settings: Settings, day: float, **sizes: float) -> None:
    record_sizes(settings, {name: int(size) for name, size in sizes.items()}, NOW + days(day))


def days(number: float) -> timedelta:
    return timedelta(days=number)


def test_before_the_first_night_only_what_is_free_is_known(settings: Settings) -> None:
    found = disk_usage(settings)
    assert (found.recorded, found.parts, found.growth) == (None, (), None)
    assert 0 < found.free < found.total
    assert check_disk(settings)[0].name == "disk"


def test_where_nothing_was_ever_started_the_disk_above_is_told(tmp_path: Path) -> None:
    assert disk_usage(Settings(home=tmp_path / "not" / "there")).free > 0


def test_growth_is_the_median_of_all_pairs_so_that_one_odd_day_says_nothing(
    settings: Settings, free: Callable[[float], None]
) -> None:
    for day in range(10):
        free(200 * GB - day * GB)
        bars = 5 * GB if day != 6 else 60 * GB
        record(settings, day, mlflow=GB + day * GB, bars=bars)
    found = disk_usage(settings)
    assert [(part.name, part.bytes) for part in found.parts] == [
        ("mlflow", 10 * GB), ("bars", 5 * GB),
    ]  # fmt: skip
    assert found.parts[0].growth == pytest.approx(GB)
    assert found.parts[1].growth == pytest.approx(0)
    assert found.growth == pytest.approx(GB)
    assert found.days_left == pytest.approx(191)
    assert check_disk(settings)[0].ok


def test_a_week_ahead_it_says_what_grows_and_how_to_mend_it(
    settings: Settings, free: Callable[[float], None]
) -> None:
    for day in range(5):
        free(30 * GB - 4 * day * GB)
        record(settings, day, mlflow=3 * day * GB, logs=day * GB, bars=GB)
    [check] = check_disk(settings)
    assert check.problem == (
        f"14.0 GB are free at {settings.state}, and 4.0 GB a day fill them: full in 3.5 days. "
        "What grows a day: mlflow by 3.0 GB, logs by 1.0 GB"
    )
    assert "TRADEWIND_KEEP_DAYS" in check.mend


def test_what_is_not_ours_fills_the_disk_too(
    settings: Settings, free: Callable[[float], None]
) -> None:
    for day in range(5):
        free(30 * GB - 5 * day * GB)
        record(settings, day, bars=GB)
    assert disk_usage(settings).days_left == pytest.approx(2)
    assert not check_disk(settings)[0].ok


def test_what_a_teams_own_services_keep_does_not_fill_this_disk(
    settings: Settings, free: Callable[[float], None]
) -> None:
    names = ["database mlflow", "Redis", "MLflow's files"]
    for day in range(5):
        free(30 * GB)
        record(settings, day, **dict.fromkeys([*names, "Airflow's logs"], day * GB))
    assert disk_usage(settings).growth == pytest.approx(4 * GB)
    theirs = replace(
        settings,
        postgres_url="postgresql://db.desk:5432/",
        redis_url="redis://cache.desk:6379/2",
        objects_url="https://s3.desk/research",
    )
    assert disk_usage(theirs).growth == pytest.approx(GB)


def test_a_disk_that_is_nearly_full_is_told_without_any_record(
    settings: Settings, free: Callable[[float], None]
) -> None:
    free(GB / 2)
    assert check_disk(settings)[0].problem == f"512.0 MB are free at {settings.state}"


def test_a_day_that_was_not_measured_and_a_damaged_line_are_left_out(settings: Settings) -> None:
    record(settings, 0, mlflow=1, bars=1)
    file = Layout(settings.state).housekeeping_dir / "sizes.jsonl"
    file.write_text(file.read_text() + '{"at": "2026-11-\n{}\n[]\n')
    record(settings, 2, bars=3)
    found = disk_usage(settings)
    assert found.recorded == NOW + days(2)
    assert {part.name: (part.bytes, part.growth) for part in found.parts} == {
        "bars": (3, 1.0), "mlflow": (None, None),
    }  # fmt: skip


def test_a_year_of_records_is_kept_and_no_more(settings: Settings) -> None:
    for day in range(405):
        record(settings, day, bars=day)
    lines = (Layout(settings.state).housekeeping_dir / "sizes.jsonl").read_text().splitlines()
    assert len(lines) == 400
    assert '"bars": 404' in lines[-1]

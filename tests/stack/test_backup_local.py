"""Backup, restore and upgrade by command, on stores of their own: refused, killed, taken back."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack.conftest import Stack, make_stack
from tests.support import wait_until
from tradewind.errors import SettingsError
from tradewind.settings import Settings
from tradewind.stack.backup.manifest import MANIFEST, Manifest, name_of
from tradewind.stack.backup.places import Directory
from tradewind.stack.backup.schedule import seconds_until_due
from tradewind.stack.backup.service import scheduled, status_file
from tradewind.stack.half_restored import MARK
from tradewind.stack.layout import Layout
from tradewind.stack.probes import ProbeFailure
from tradewind.stack.state import read_state


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL and Redis, with a table in each database and a file of MLflow's."""
    made = make_stack(tmp_path_factory.mktemp("stores") / "b e ä").part(
        "postgres", "databases", "redis"
    )
    try:
        made.ok("up", "--detach")
        for database in ("airflow", "mlflow", "tradewind"):
            made.rows(
                "CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) n; COMMIT; SELECT 1",
                database=database,
            )
        (made.settings.state / "artifacts" / "0").mkdir()
        (made.settings.state / "artifacts" / "0" / "model").write_bytes(bytes(range(256)))
        yield made
    finally:
        made.run("down")


@pytest.fixture(scope="module")
def place(stores: Stack) -> str:
    """Where a backup is."""
    stores.ok("backup", "kept here")
    return str(stores.home / "kept here")


def as_it_was(stack: Stack) -> None:
    for database in ("airflow", "mlflow", "tradewind"):
        assert stack.rows("SELECT count(*), sum(n) FROM kept", database=database) == [
            (1000, 500500)
        ]
    model = stack.settings.state / "artifacts" / "0" / "model"
    assert model.read_bytes() == bytes(range(256))


def pid_of_postgres(stack: Stack) -> int | None:
    state = read_state(Layout(stack.settings.state))
    return state.services["postgres"].pid if state else None


def begin(stack: Stack, *words: str) -> subprocess.Popen[bytes]:
    """Begin a command, in a session of its own."""
    return subprocess.Popen(
        [*stack.program, *words], cwd=stack.home, env=stack.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def test_a_backup_that_is_killed_is_none(stores: Stack, place: str) -> None:
    before = stores.json("backups", place)
    with stores.cursor("mlflow") as cursor:
        cursor.execute("LOCK TABLE kept IN ACCESS EXCLUSIVE MODE")  # pg_dump waits for it
        process = begin(stores, "backup", place)
        wait_until(lambda: len(list(Path(place).glob("*/mlflow.dump"))) > len(before), 60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert len(list(Path(place).iterdir())) == len(before) + 1
    assert stores.json("backups", place) == before


def test_what_runs_or_has_data_is_not_written_over(stores: Stack, place: str) -> None:
    running = stores.run("restore", place)
    assert (running.returncode, "the stack is running" in running.stderr) == (1, True)
    as_it_was(stores)
    stores.ok("down")
    try:
        present = stores.run("restore", place)
        assert present.returncode == 1
        assert "a restore writes over none" in present.stderr
        assert "--replace" in present.stderr
        missing = stores.run("restore", place, "--backup", "2012-01-31T000000Z-0000")
        assert "does not exist" in missing.stderr
    finally:
        stores.ok("up", "--detach")
    as_it_was(stores)


def test_a_restore_that_is_killed_is_done_again(tmp_path: Path, place: str) -> None:
    other = make_stack(tmp_path / "other").part("postgres", "databases", "redis")
    mark = other.settings.state / MARK
    process = begin(other, "restore", place)
    wait_until(mark.exists, 120)
    wait_until(lambda: pid_of_postgres(other) is not None, 120)  # it works on the databases
    process.kill()
    process.wait()
    try:
        for words in (("up", "--detach"), ("backup", place)):
            refused = other.run(*words)
            assert refused.returncode == 1
            assert f"{place}" in refused.stderr
            assert "was interrupted" in refused.stderr
        assert "was interrupted" in other.run("doctor", "--json").stdout
        # What the settings name by now is not what it has half written.
        bars = tmp_path / "bars of another"
        bars.mkdir()
        (bars / "kept").write_text("kept")
        elsewhere = {**other.environment, "TRADEWIND_MARKET_STORE": str(bars)}
        refused = replace(other, environment=elsewhere).run("restore", place)
        assert refused.returncode == 1
        assert "set them as they were" in refused.stderr
        assert (bars / "kept").read_text() == "kept"
        other.ok("restore", place)
        assert not mark.exists()
        other.ok("up", "--detach")
        as_it_was(other)
    finally:
        other.run("down")


def test_an_upgrade_that_fails_leaves_the_data_as_it_was(stores: Stack) -> None:
    config = stores.home / "config" / "redis.conf"
    text = config.read_text()
    config.write_text(text + "\nno-such-directive yes\n")
    try:
        failed = stores.run("upgrade")
    finally:
        config.write_text(text)
    assert failed.returncode == 1
    assert "the upgrade failed, and all data is what it was before it" in failed.stderr
    assert "no-such-directive" in failed.stderr
    [aside] = stores.settings.state.glob("replaced-*")
    assert {path.name for path in aside.iterdir()} >= {"postgres", "artifacts", "secrets.json"}
    assert str(aside) in failed.stderr
    stores.ok("up", "--detach")
    as_it_was(stores)


def test_an_upgrade_begins_with_a_backup(stores: Stack) -> None:
    done = stores.json("upgrade")
    assert Path(done["place"]).parent == stores.settings.state
    assert done["rows"]["airflow"] == 1000
    assert stores.status()["healthy"]
    as_it_was(stores)


def test_one_is_due_when_the_newest_is_old(tmp_path: Path, stores: Stack) -> None:
    settings = replace(
        stores.settings, backup_to=str(tmp_path), backup_every_hours=24.0, database_url=None
    )
    now = datetime.now(UTC)
    assert seconds_until_due(settings, now) == 0
    for hours in (30, 20):
        made = now - timedelta(hours=hours)
        manifest = Manifest(version="0", made=made, encrypted_to=(), parts={})
        Directory(tmp_path).put(f"{name_of(made)}/{MANIFEST}", manifest.model_dump_json().encode())
    assert seconds_until_due(settings, now) == pytest.approx(4 * 3600)
    assert seconds_until_due(settings, now + timedelta(hours=5)) == pytest.approx(-3600)


def test_one_that_failed_is_told_and_keeps_nothing_from_starting(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, backup_to="/full", backup_every_hours=24.0)
    layout = Layout(settings.state)
    layout.create()
    [service] = scheduled(settings, layout, {})
    assert service.probe is not None
    now = time.time()
    with pytest.raises(ProbeFailure, match="has not looked yet"):
        service.probe(now)
    status_file(layout).write_text('{"error": "the disk is full", "begun": null}')
    service.probe(now)
    with pytest.raises(ProbeFailure, match="the last backup failed: the disk is full"):
        service.probe(now - 4 * settings.start_timeout)


@pytest.mark.parametrize("set_by", [0, 365 * 86400, -365 * 86400])
def test_one_that_hangs_is_told_whatever_becomes_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    settings = Settings(home=tmp_path, backup_to="/slow", backup_every_hours=24.0)
    layout = Layout(settings.state)
    layout.create()
    [service] = scheduled(settings, layout, {})
    assert service.probe is not None
    began, clock = time.time(), time.time
    monkeypatch.setattr(time, "time", lambda: clock() + set_by)
    passed = time.monotonic()
    status_file(layout).write_text(f'{{"error": "", "begun": {passed - 3600}}}')
    service.probe(began)
    status_file(layout).write_text(f'{{"error": "", "begun": {passed - 25 * 3600}}}')
    with pytest.raises(ProbeFailure, match="does not come to its end"):
        service.probe(began)


def test_backups_by_the_clock_need_a_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TRADEWIND_BACKUP_TO says no place"):
        Settings(home=tmp_path, backup_every_hours=24.0)

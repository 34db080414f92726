"""A disk that is full, fills while the stack runs, or is read-only: said clearly, nothing lost.

Root fills a real disk: a small one in memory, mounted where this test's processes alone see it.
Anybody else, who may not mount, is told by the kernel that no file can grow.
"""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from tests.stack.conftest import NewStack, Stack, WaitUntil
from tradewind.stack.layout import Layout
from tradewind.stack.processes import session_members, with_children
from tradewind.stack.secrets import load_secrets
from tradewind.stack.state import read_state

ROOT = os.geteuid() == 0
STORES = ("postgres", "databases", "redis")


class SmallDisk:
    """The state directory is a disk of its own, of 300 MB."""

    reason = "No space left on device"

    def __init__(self, stack: Stack) -> None:
        folder = stack.settings.state
        folder.mkdir()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             'mount -t tmpfs -o size=300m tmpfs "$1" && echo mounted && exec sleep 3600',
             "sh", str(folder)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "mounted\n", "root that may not mount?"
        enter = ("nsenter", f"--target={self._holder.pid}", "--mount", f"--wd={stack.home}")
        self.stack = replace(stack, program=(*enter, *stack.program))
        self.state = Path(f"/proc/{self._holder.pid}/root{folder}")

    def fill(self) -> None:
        with (self.state / "ballast").open("ab", buffering=0) as file:
            for size in (2**20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        (self.state / "ballast").unlink()

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout:
            self._holder.stdout.close()


class NoGrowth:
    """No file can grow beyond 100 bytes: less than the state of three services."""

    reason = "File too large"

    def __init__(self, stack: Stack) -> None:
        # The shell reads the limit from a file, so that it can change between commands.
        self._limit = stack.home / "limit"
        self.free_commands()
        script = f'ulimit -S -f "$(cat {self._limit})" && exec "$@"'
        self.stack = replace(stack, program=("bash", "-c", script, "bash", *stack.program))
        self.state = stack.settings.state

    def free_commands(self) -> None:
        self._limit.write_text("unlimited")

    def fill(self) -> None:
        self._limit.write_text("0")
        self._limit_running(100)

    def free(self) -> None:
        self.free_commands()
        self._limit_running(resource.RLIM_INFINITY)

    def _limit_running(self, size: int) -> None:
        state = read_state(Layout(self.state))
        if state is None or not state.supervised():
            return
        members = with_children(session_members([*state.sessions(), state.pid]))
        for pid in {pid for pids in members.values() for pid in pids}:
            process = psutil.Process(pid)
            hard = process.rlimit(psutil.RLIMIT_FSIZE)[1]
            process.rlimit(psutil.RLIMIT_FSIZE, (size, hard))

    def close(self) -> None:
        pass


@pytest.fixture
def disk(new_stack: NewStack, tmp_path: Path) -> Iterator[SmallDisk | NoGrowth]:
    made = (SmallDisk if ROOT else NoGrowth)(new_stack(tmp_path / "home").part(*STORES))
    try:
        yield made
    finally:
        made.stack.run("down")
        made.close()


def says(result: subprocess.CompletedProcess[str], *texts: object) -> None:
    assert result.returncode == 1
    assert [text for text in texts if str(text) not in result.stderr] == [], result.stderr
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr + result.stdout


def test_up_on_a_full_disk_says_so_and_leaves_no_half_file(disk: SmallDisk | NoGrowth) -> None:
    disk.fill()
    for words in (("up",), ("up", "--detach")):
        says(disk.stack.run(*words), disk.stack.settings.state, disk.reason, "TRADEWIND_STATE_DIR")
    assert disk.state.is_dir()
    files = [path for path in disk.state.rglob("*") if path.is_file()]
    assert [path for path in files if path.name not in ("ballast", "lock")] == []


def test_a_disk_that_is_full_before_the_first_start_is_done(disk: SmallDisk | NoGrowth) -> None:
    # Room for the secrets, not for PostgreSQL's cluster.
    if isinstance(disk, SmallDisk):
        disk.fill()
        with (disk.state / "ballast").open("r+b") as file:
            file.truncate(file.seek(0, os.SEEK_END) - 2 * 2**20)
    else:
        (disk.stack.home / "limit").write_text("1024")  # kilobytes
    says(disk.stack.run("up", "--detach"), "postgres", disk.reason)
    secrets = (disk.state / "secrets.json").read_text()
    disk.free()
    disk.stack.ok("up", "--detach")
    assert disk.stack.status()["healthy"]
    assert (disk.state / "secrets.json").read_text() == secrets


@contextmanager
def database(disk: SmallDisk | NoGrowth) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    secrets = load_secrets(Layout(disk.state))
    connection = psycopg2.connect(
        host="127.0.0.1", port=disk.stack.settings.postgres_port, user="tradewind",
        dbname="tradewind", password=secrets.postgres_tradewind,
    )  # fmt: skip
    connection.autocommit = True

    def ask(statement: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    try:
        yield ask
    finally:
        connection.close()


def test_a_disk_that_fills_while_the_stack_runs(
    disk: SmallDisk | NoGrowth, wait_until: WaitUntil
) -> None:
    disk.stack.ok("up", "--detach")
    with database(disk) as ask:
        ask("CREATE TABLE kept AS SELECT 42 AS answer")
        disk.fill()
        with pytest.raises(psycopg2.Error):
            ask("CREATE TABLE refused AS SELECT repeat('x', 100) FROM generate_series(1, 1000000)")

    found = disk.stack.run("status", "--json")
    assert found.returncode == 1
    rows = {row["service"]: row for row in json.loads(found.stdout)["services"]}
    assert not rows["supervisor"]["healthy"]
    assert disk.reason in rows["supervisor"]["detail"]
    checks = {c["name"]: c for c in json.loads(disk.stack.run("doctor", "--json").stdout)}
    assert disk.reason in checks["state directory"]["problem"]

    # What changes now cannot be written down: it is unknown, not what it was before.
    if pid := rows["redis"]["pid"]:
        with suppress(ProcessLookupError):  # it may have died of the disk by itself
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: disk.stack.service("redis")["state"] == "unknown", 120)
    says(disk.stack.run("up", "--detach"), disk.stack.settings.state, disk.reason)

    disk.free()
    wait_until(lambda: disk.stack.service("supervisor")["healthy"], 120)
    assert disk.stack.service("redis")["state"] != "unknown"
    disk.stack.ok("up", "--detach")  # starts again what was given up in the meantime
    assert disk.stack.status()["healthy"]
    with database(disk) as ask:
        assert ask("SELECT answer FROM kept") == [(42,)]
        assert ask("SELECT to_regclass('refused')") == [(None,)]


def test_up_starts_again_what_was_given_up(
    new_stack: NewStack, tmp_path: Path, wait_until: WaitUntil
) -> None:
    stack = new_stack(tmp_path / "home").part("redis")
    try:
        stack.ok("up", "--detach")
        users = Layout(stack.settings.state).redis_dir / "appendonlydir"
        aside = users.rename(users.with_name("aside"))
        users.touch()  # a file in the folder's place: no Redis can start
        os.kill(stack.service("redis")["pid"], signal.SIGKILL)
        wait_until(lambda: stack.service("redis")["state"] == "failed", 120)
        assert "gave up" in stack.service("redis")["detail"]
        says(stack.run("up", "--detach"), "redis", "appendonlydir")  # mended nothing yet
        users.unlink()
        aside.rename(users)
        stack.ok("up", "--detach")
        assert stack.status()["healthy"]
    finally:
        stack.run("down")


def test_a_read_only_state_directory(new_stack: NewStack, tmp_path: Path) -> None:
    stack = new_stack(tmp_path / "home").part(*STORES)
    if ROOT:  # whom no mode stops
        stack.settings.state.mkdir()
        script = 'mount --bind -o ro "$1" "$1" && shift && exec "$@"'
        within = ("unshare", "--mount", "sh", "-c", script, "sh", str(stack.settings.state))
        closed = replace(stack, program=(*within, *stack.program))
        says(closed.run("up", "--detach"), stack.settings.state, "mount it writable")
    else:
        stack.home.chmod(0o500)
        try:
            says(stack.run("up", "--detach"), stack.settings.state, f"user {os.geteuid()}")
        finally:
            stack.home.chmod(0o700)
    assert not Layout(stack.settings.state).run_dir.exists()

"""What the doctor advises about ports, the disk and secrets is carried out here, and helps."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.stack.conftest import Stack, make_stack
from tests.support import free_ports
from tradewind.stack.layout import Layout

LISTEN = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', {})); print(); sys.stdin.read()"
)
MANY = "MB are free at "
WITH_MLFLOW = ("forkserver", "postgres", "databases", "mlflow-migrate", "mlflow")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("to start") / "t r ä"


@pytest.fixture(scope="module")
def stores(home: Path) -> Iterator[Stack]:
    made = make_stack(home).part("postgres", "databases")
    try:
        yield made
    finally:
        made.run("down")


def said(checks: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    assert checks
    return {c["name"]: (c["problem"], c["mend"]) for c in checks if c["problem"]}


def doctor(stack: Stack) -> dict[str, tuple[str, str]]:
    return said(json.loads(stack.run("doctor", "--json").stdout))


def carry_out(stack: Stack, commands: str) -> None:
    """Run commands of an advice as a shell would, `tradewind` among them."""
    for command in commands.split("; "):
        words = shlex.split(command)
        if words[0] == "tradewind":
            stack.ok(*words[1:])
        else:
            subprocess.run(words, cwd=stack.home, check=True)


@contextmanager
def taken(port: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", LISTEN.format(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_a_port_is_free_once_who_has_it_is_stopped(stores: Stack) -> None:
    port = stores.settings.postgres_port
    with taken(port) as holder:
        problem, mend = doctor(stores)[f"port {port}"]
        refused = stores.run("up", "--detach")
        assert refused.returncode == 1
        assert f"(pid {holder.pid})" in refused.stderr
        assert mend.startswith("stop it, or set ")
        pid = re.search(r"\(pid (\d+)\)", problem)
        assert pid is not None
        psutil.Process(int(pid[1])).terminate()
        holder.wait(60)
    assert f"port {port}" not in doctor(stores)
    stores.ok("up", "--detach")
    stores.ok("down")


def test_or_the_setting_that_is_named_names_another_port(stores: Stack) -> None:
    port = stores.settings.postgres_port
    with taken(port):
        _, mend = doctor(stores)[f"port {port}"]
        setting = re.search(r"set (TRADEWIND_\w+) to a free port", mend)
        assert setting is not None
        [other] = free_ports(1)
        moved = replace(stores, environment={**stores.environment, setting[1]: str(other)})
        assert not [name for name in doctor(moved) if name.startswith("port")]
        moved.ok("up", "--detach")
        try:
            assert moved.settings.postgres_port == other
            assert moved.rows("SELECT 1") == [(1,)]
        finally:
            moved.ok("down")


@pytest.mark.parametrize("port", ["airflow", "mlflow", "redis", "scheduler_health"])
def test_each_port_has_its_setting(stores: Stack, port: str) -> None:
    number = getattr(stores.settings, f"{port}_port")
    with taken(number):
        _, mend = doctor(stores)[f"port {number}"]
    assert f"set TRADEWIND_{port.upper()}_PORT to a free port" in mend


def test_space_that_is_freed_or_another_disk_is_enough(tmp_path: Path) -> None:
    """On a real disk of 1.1 GB in memory, mounted where these processes alone see it."""
    stack = make_stack(tmp_path / "small")
    state, other = stack.settings.state, tmp_path / "another disk"
    state.mkdir()
    look = f"{shlex.join([*stack.program, 'doctor', '--json'])} > {{}} || true"
    script = "\n".join(
        [
            "set -e",
            f"mount -t tmpfs -o size=1100m tmpfs {shlex.quote(str(state))}",
            f"head -c 150M /dev/zero > {shlex.quote(str(state / 'ballast'))}",
            look.format("full.json"),
            f"TRADEWIND_STATE_DIR={shlex.quote(str(other))} {look.format('other.json')}",
            f"rm {shlex.quote(str(state / 'ballast'))}",
            look.format("freed.json"),
        ]
    )
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    subprocess.run(
        ["unshare", *root, "--mount", "sh", "-c", script],
        cwd=stack.home, env=stack.environment, check=True,
    )  # fmt: skip

    def found(name: str) -> dict[str, tuple[str, str]]:
        return said(json.loads((stack.home / name).read_text()))

    problem, mend = found("full.json")["state directory"]
    assert re.match(rf"\d+ {MANY}{re.escape(str(state))}$", problem)
    assert mend == "free at least 1 GB, or set TRADEWIND_STATE_DIR to another disk"
    for name in ("other.json", "freed.json"):
        assert "state directory" not in found(name)


@pytest.fixture
def kept(stores: Stack) -> Iterator[Any]:
    """The secrets of a stack that has run, put back afterwards."""
    file = Layout(stores.settings.state).secrets_file
    if not file.exists():
        stores.ok("up", "--detach")
        stores.ok("down")
    text = file.read_text()
    yield file
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


def anew(message: str) -> str:
    found = re.search(r"to start anew without bars, runs and models, .*?: (tradewind .*)$", message)
    assert found is not None, message
    return found[1]


def test_secrets_that_others_can_read_are_closed_to_them(stores: Stack, kept: Path) -> None:
    kept.chmod(0o644)
    problem, mend = doctor(stores)["secrets"]
    assert mend == "see the message"
    command = re.search(r"chmod 600 [^;]+", problem)
    assert command is not None
    carry_out(stores, command[0])
    assert "secrets" not in doctor(stores)
    stores.ok("up", "--detach")
    stores.ok("down")


@pytest.mark.parametrize("content", [None, "{}", '{"postgres_superuser": "a"', "[]"])
def test_secrets_that_are_lost_or_damaged_are_put_back(
    stores: Stack, kept: Path, content: str | None
) -> None:
    good = kept.read_text()
    kept.unlink()
    if content is not None:
        kept.touch(0o600)
        kept.write_text(content)
    problem, _ = doctor(stores)["secrets"]
    assert str(kept) in problem
    assert "Put the file back" in problem
    refused = stores.run("up", "--detach")
    assert refused.returncode == 1
    assert "Put the file back" in refused.stderr
    assert "Traceback" not in refused.stderr
    kept.touch(0o600)
    kept.write_text(good)
    kept.chmod(0o600)
    assert "secrets" not in doctor(stores)


def test_or_the_state_directory_is_removed_to_start_anew(tmp_path: Path) -> None:
    stack = make_stack(tmp_path / "t r ä").part("postgres", "databases")
    stack.ok("up", "--detach")
    stack.ok("down")
    file = Layout(stack.settings.state).secrets_file
    good = file.read_text()
    file.unlink()
    problem, _ = doctor(stack)["secrets"]
    carry_out(stack, anew(problem))
    assert "secrets" not in doctor(stack)
    try:
        stack.ok("up", "--detach")
        assert "secrets" not in doctor(stack)
        assert file.read_text() != good
        assert stack.rows("SELECT 1") == [(1,)]
    finally:
        stack.ok("down")
    shutil.rmtree(stack.settings.state)


def test_what_runs_with_other_secrets_runs_with_those_of_the_file_after_a_restart(
    tmp_path: Path,
) -> None:
    stack = make_stack(tmp_path / "t r ä").part(*WITH_MLFLOW)
    stack.ok("up", "--detach", timeout=900)
    try:
        file = Layout(stack.settings.state).secrets_file
        good = json.loads(file.read_text())
        for mended in ("the file", "the stack"):
            file.write_text(json.dumps(good | {"mlflow_flask_secret_key": "another"}))
            problem, mend = doctor(stack)["secrets agree"]
            assert "mlflow has another MLFLOW_FLASK_SERVER_SECRET_KEY" in problem
            assert mend == "put the old secrets file back, or tradewind down and up"
            if mended == "the file":
                file.write_text(json.dumps(good))
            else:
                stack.ok("down")
                stack.ok("up", "--detach", timeout=900)
            assert "secrets agree" not in doctor(stack)
    finally:
        stack.ok("down")

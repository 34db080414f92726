"""A real Redis with the stack's access list, and a foreign Celery app's worker on it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.redis_server import AT_ONCE, RedisServer, running_redis
from tests.support import wait_until
from tradewind.bridge._address import AppAddress

CHECKOUT = Path(__file__).parents[2]
PREFIX = "trading:"


@dataclass
class Server:
    """The server, as the bridge and its tests see it."""

    redis: RedisServer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.redis, name)

    @property
    def connection(self) -> dict[str, Any]:
        return {
            "conn_type": "celery",
            "host": "127.0.0.1",
            "port": self.redis.port,
            "login": "trading",
            "password": self.redis.password,
            "schema": "1",
            "extra": {"global_keyprefix": PREFIX},
        }

    @property
    def address(self) -> AppAddress:
        return AppAddress(self.redis.url, self.redis.url, PREFIX, PREFIX)

    def began(self) -> list[str]:
        """Tasks that workers began, in order."""
        return self.redis.admin.lrange(f"{PREFIX}began", 0, -1)


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_redis(tmp_path_factory.mktemp("bridge"), *AT_ONCE) as redis:
        yield Server(redis)


@pytest.fixture
def server(_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Redis, empty, and Airflow's connection `foreign` to it."""
    if not _server.answers():
        _server.start()
    _server.admin.flushall()
    monkeypatch.setenv("AIRFLOW_CONN_FOREIGN", json.dumps(_server.connection))
    return _server


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """Kill the worker and its children at once, as a machine does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()  # at once: Redis is emptied before the next test


StartWorker = Callable[..., Worker]


@contextmanager
def running_worker(server: Server, folder: Path, **environment: str) -> Iterator[Worker]:
    log = folder / f"worker-{len(list(folder.glob('worker-*')))}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "tests.bridge.foreign_app",
             "worker", "--concurrency", "2", "--without-gossip", "--without-mingle",
             "--loglevel", "info"],
            cwd=CHECKOUT,
            env={**os.environ, "FOREIGN_URL": server.url, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )  # fmt: skip
    worker = Worker(process, log)
    try:
        wait_until(lambda: b"ready." in log.read_bytes(), 60, of=log.read_text)
        yield worker
    finally:
        worker.stop()


@pytest.fixture
def start_worker(server: Server, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker of the foreign app; all are stopped after the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(**environment: str) -> Worker:
            return stack.enter_context(running_worker(server, tmp_path, **environment))

        yield start


@pytest.fixture
def go(server: Server) -> Callable[[str], None]:
    """Lets a `foreign.wait` return."""
    return lambda mark: server.admin.set(f"{PREFIX}go:{mark}", "1") and None

"""A Celery app that knows nothing of Airflow or tradewind, run as a real worker by the tests."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from redis.exceptions import RedisError

PREFIX = "trading:"

app = Celery("foreign")
app.conf.update(
    broker_url=os.environ.get("FOREIGN_URL"),
    result_backend=os.environ.get("FOREIGN_RESULTS", os.environ.get("FOREIGN_URL")),
    broker_transport_options={
        "global_keyprefix": PREFIX,
        # Where others have the same prefix and database, theirs counts for all.
        "visibility_timeout": int(os.environ.get("FOREIGN_VISIBILITY", "4")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    result_backend_transport_options={"global_keyprefix": PREFIX},
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


def note(what: str) -> None:
    """Write down that a task began, where a test can count it."""
    app.backend.client.rpush(f"{PREFIX}began", what)


class NoSuchAccountError(Exception):
    pass


@app.task(name="foreign.add")
def add(a: int, b: int) -> int:
    note(f"add {a} {b}")
    return a + b


@app.task(name="foreign.fail")
def fail(account: str) -> None:
    note(f"fail {account}")
    raise NoSuchAccountError(f"no account {account!r}")


@app.task(name="foreign.fail_once", bind=True)
def fail_once(self: Any, mark: str) -> str:
    note(f"fail_once {mark}")
    if app.backend.client.incr(f"{PREFIX}{mark}") == 1:
        raise NoSuchAccountError("only this once")
    return self.request.id


@app.task(name="foreign.wait", bind=True)
def wait(self: Any, mark: str, seconds: float = 60.0) -> str:
    """Run until a test sets the mark."""
    note(f"wait {mark}")
    app.backend.client.rpush(f"{PREFIX}waits", f"{mark} {self.request.id}")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(RedisError):  # while it is away, the task works on
            if app.backend.client.get(f"{PREFIX}go:{mark}"):
                return self.request.id
        time.sleep(0.02)
    raise TimeoutError(mark)


@app.task(name="foreign.big")
def big(size: int) -> str:
    return "x" * size


@app.task(name="foreign.now")
def now() -> datetime:
    return datetime.now(UTC)


@app.task(name="foreign.paced")
def paced(index: int, count: int, seconds: float) -> None:
    """End some time after the one before, if it is among the first; say when."""
    client = app.backend.client
    if client.incr(f"{PREFIX}paced") <= count:
        time.sleep(seconds)
    client.hset(f"{PREFIX}ended", str(index), str(time.time()))

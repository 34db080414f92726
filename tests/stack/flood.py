"""The trading application's queue, filled and watched from outside, and Airflow beside it."""

import json
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from celery import Celery

from tests.redis_server import RedisClient
from tests.stack.airflow import Airflow
from tradewind.endpoints import APPLICATIONS
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets
from tradewind.stack.servers import redis_server

HEALTH = "trading.health"
# A chain of tasks that do nothing: what they take is what Airflow takes.
PROBE = """\
from airflow.sdk import dag, task

@task
def nothing(): ...

@dag(dag_id="latency", is_paused_upon_creation=False)
def latency():
    last = None
    for number in range({length}):
        step = nothing.override(task_id=f"step_{{number:02}}")()
        if last is not None:
            last >> step
        last = step

latency()
"""


@dataclass(frozen=True)
class Trading:
    """Redis as its administrator, and the application as any client of it."""

    admin: RedisClient
    app: Celery

    def send(self, ids: Iterable[str]) -> None:
        """Queue health tasks with these ids."""
        with self.app.producer_pool.acquire(block=True) as producer:
            for task_id in ids:
                self.app.send_task(HEALTH, task_id=task_id, queue="trading", producer=producer)

    def waiting(self) -> int:
        return self.admin.llen("trading:trading")

    def succeeded(self, ids: Iterable[str]) -> set[str]:
        wanted = list(ids)
        found: set[str] = set()
        for first in range(0, len(wanted), 1000):
            batch = wanted[first : first + 1000]
            answers = self.admin.mget([f"trading:celery-task-meta-{task_id}" for task_id in batch])
            for task_id, answer in zip(batch, answers, strict=True):
                if answer is not None and json.loads(answer)["status"] == "SUCCESS":
                    found.add(task_id)
        return found

    def unacknowledged(self) -> set[str]:
        """Ids of tasks that a worker was given and has not said it is done with."""
        return {
            json.loads(message)[0]["headers"]["id"]
            for message in self.admin.hvals("trading:unacked")
        }

    def let_an_hour_pass(self) -> None:
        """Make what is not acknowledged as old as what a dead worker left."""
        for tag, at in self.admin.zscan_iter("trading:unacked_index"):
            self.admin.zadd("trading:unacked_index", {tag: at - 3600}, xx=True)

    def executed(self) -> dict[str, int]:
        """Return how many tasks the worker has begun since its start, by name."""
        with self.app.connection_for_write() as connection:  # none of before Redis's restart
            inspect = self.app.control.inspect(timeout=10, limit=1, connection=connection)
            [answer] = inspect.stats().values()
        return answer["total"]


@contextmanager
def trading_of(stack: Any) -> Iterator[Trading]:
    secrets = load_secrets(Layout(stack.settings.state))
    server = redis_server(stack.settings, secrets)
    app = Celery(
        set_as_current=False,
        broker=server.url("trading", secrets.redis_trading),
        backend="disabled://",  # results are read in bulk, not subscribed to one by one
    )
    app.conf.broker_transport_options = {"global_keyprefix": "trading:"}
    with redis.Redis(
        port=server.port, username="admin", password=secrets.redis_admin,
        db=server.number("trading"), decode_responses=True,
    ) as admin:  # fmt: skip
        try:
            yield Trading(admin, app)
        finally:
            app.close()


def strange_keys(stack: Any) -> set[str]:
    """Keys that lie in an application's database without its prefix."""
    secrets = load_secrets(Layout(stack.settings.state))
    found: set[str] = set()
    for number, application in enumerate(APPLICATIONS):
        with redis.Redis(
            port=stack.settings.redis_port, username="admin", password=secrets.redis_admin,
            db=number, decode_responses=True,
        ) as client:  # fmt: skip
            keys = set(client.scan_iter(count=1000))
        found |= {key for key in keys if not key.startswith(f"{application}:")}
    return found


def latencies(
    airflow: Airflow, dag_id: str, run_id: str, until: datetime | None = None
) -> list[float]:
    """Seconds from queued to started of each task of a run that was not skipped."""
    return [
        (
            datetime.fromisoformat(task["start_date"]) - datetime.fromisoformat(task["queued_when"])
        ).total_seconds()
        for task in airflow.tasks(dag_id, run_id)
        if task["state"] == "success"
        and (until is None or datetime.fromisoformat(task["queued_when"]) < until)
    ]


def summary(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        "most": ordered[-1],
        "tasks": len(ordered),
    }

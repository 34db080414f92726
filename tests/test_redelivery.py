"""What a killed worker held, against a real Redis, as each application's user."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.signals import celeryd_init, worker_ready

from tests.redis_server import RedisServer, running_redis
from tests.support import kill_tree, wait_until
from tradewind.orchestration.runtime.abandoned import waiting_or_given_out
from tradewind.trading.app import KEY_PREFIX
from tradewind.workers.redelivery import (
    _at_each_connection,
    _on_ready,
    connect_redelivery,
    give_back,
)

QUEUE = "trading"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def app(server: RedisServer) -> Iterator[Celery]:
    made = Celery("anybody", broker=server.url, set_as_current=False)
    made.conf.update(
        broker_transport_options={"global_keyprefix": "trading:", "visibility_timeout": 86400},
        task_default_queue=QUEUE,
    )
    yield made
    with server.admin as admin:
        admin.flushall()
    made.close()


def taken(app: Celery) -> tuple[Any, list[str]]:
    """Take all messages as a worker does, and return its connection and what it holds."""
    connection = app.connection_for_read()
    channel = connection.default_channel
    found = []
    while (message := channel.basic_get(QUEUE)) is not None:
        found.append(message.headers["id"])
    return connection, found


def test_what_a_killed_worker_held_is_given_out_first(app: Celery) -> None:
    held = [app.send_task("t", queue=QUEUE).id for _ in range(3)]
    dead, found = taken(app)
    assert found == held
    later = app.send_task("t", queue=QUEUE).id
    assert waiting_or_given_out(app, [QUEUE]) == {*held, later}
    assert give_back(app) == 3
    assert give_back(app) == 0
    assert waiting_or_given_out(app, [QUEUE]) == {*held, later}
    living, found = taken(app)
    assert set(found[:3]) == set(held)
    assert found[3:] == [later]
    for connection in (dead, living):
        connection.default_channel.qos.restore_at_shutdown = False  # killed, not closed
        connection.close()


def test_nothing_held_is_nothing_given_back(app: Celery) -> None:
    assert give_back(app) == 0
    assert waiting_or_given_out(app, [QUEUE, "other"]) == set()


def test_messages_of_every_priority_and_of_no_task_are_seen(app: Celery) -> None:
    sent = {app.send_task("t", queue=QUEUE, priority=each).id for each in (0, 4, 9)}
    with app.connection_for_write() as connection, connection.SimpleQueue("plain") as plain:
        plain.put({"no": "task"})
    assert waiting_or_given_out(app, [QUEUE, "plain"]) == sent


WORKER = """
import os, pathlib, time
from celery import Celery
from tradewind.workers.redelivery import connect_redelivery
app = Celery("forgetful", broker=os.environ["BROKER"])
app.conf.update(
    broker_transport_options={"global_keyprefix": "trading:", "visibility_timeout": 86400},
    task_default_queue="trading", task_acks_late=True, worker_prefetch_multiplier=2,
    worker_concurrency=1, broker_connection_retry_on_startup=True,
)
connect_redelivery(reconnected=True)
@app.task(name="t")
def work(folder, number):
    folder = pathlib.Path(folder)
    (folder / number).touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
"""


def test_what_a_worker_forgets_when_it_loses_the_broker_is_given_back_to_it(
    app: Celery, server: RedisServer, tmp_path: Path
) -> None:
    """Celery drops what it has taken and not begun, and only the broker has it noted."""
    (tmp_path / "forgetful.py").write_text(WORKER)
    for number in ("1", "2"):
        app.send_task("t", [str(tmp_path), number], queue=QUEUE)
    command = [sys.executable, "-m", "celery", "-A", "forgetful", "worker", "--without-gossip",
               "--without-mingle"]  # fmt: skip
    environment = {**os.environ, "BROKER": server.url, "PYTHONPATH": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_until((tmp_path / "1").exists, 60)
        with server.admin as admin:
            wait_until(lambda: admin.hlen(f"{KEY_PREFIX}unacked") == 2, 60)  # one runs
        server.kill()
        wait_until(lambda: "Trying again" in (tmp_path / "log").read_text(), 60)
        server.start()
        with server.admin as admin:
            wait_until(lambda: "trading" in {c["user"] for c in admin.client_list()}, 60)
        (tmp_path / "go").touch()
        wait_until((tmp_path / "2").exists, 60)
    finally:
        kill_tree(worker.pid)
        worker.wait()


def test_both_applications_give_back_once() -> None:
    import tradewind.orchestration.runtime.celery_config
    import tradewind.trading.app

    assert tradewind.orchestration.runtime.celery_config
    assert tradewind.trading.app
    connect_redelivery()
    assert [receiver for _, receiver in worker_ready.receivers].count(_on_ready) == 1
    assert [receiver for _, receiver in celeryd_init.receivers].count(_at_each_connection) == 1

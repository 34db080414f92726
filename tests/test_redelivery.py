"""What a killed worker held, against a real Redis, as each application's user."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.signals import worker_ready

from tests.redis_server import RedisServer, running_redis
from tradewind.orchestration.abandoned import waiting_or_given_out
from tradewind.redelivery import _on_ready, connect_redelivery, give_back

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
    server.admin.select(1)
    server.admin.flushall()
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


def test_both_applications_give_back_once() -> None:
    import tradewind.orchestration.celery_config
    import tradewind.trading.app

    assert tradewind.orchestration.celery_config
    assert tradewind.trading.app
    connect_redelivery()
    assert [receiver for _, receiver in worker_ready.receivers].count(_on_ready) == 1

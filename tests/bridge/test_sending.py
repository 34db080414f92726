"""One message an id, and none once it is revoked."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tests.bridge.conftest import Server, StartWorker
from tests.support import wait_until
from tradewind.bridge._address import AppAddress
from tradewind.bridge._celery import RemoteApp
from tradewind.bridge.errors import BridgeError, ConnectionSettingsError

QUEUE = "trading:celery"


@pytest.fixture
def remote(server: Server) -> Iterator[RemoteApp]:
    with RemoteApp(server.address) as app:
        yield app


def test_sending_an_id_again_sends_nothing(server: Server, remote: RemoteApp) -> None:
    task_id = str(uuid4())
    for _ in range(3):
        remote.send(task_id, "foreign.add", [1, 2])
    [message] = server.admin.lrange(QUEUE, 0, -1)
    assert json.loads(message)["headers"]["id"] == task_id
    assert remote.receipt(task_id) == "sent"
    assert remote.receipt(str(uuid4())) is None


def test_the_message_and_its_receipt_go_to_the_apps_prefix_alone(
    server: Server, remote: RemoteApp
) -> None:
    remote.send(str(uuid4()), "foreign.add", [1, 2], queue="other", options={"priority": 9})
    keys = server.admin.keys("*")
    assert len(keys) == 4  # the queue, its two bindings, the receipt
    assert all(key.startswith("trading:") for key in keys)
    [queue] = [key for key in keys if key.startswith("trading:other")]
    assert server.admin.llen(queue) == 1  # a queue of this priority


def test_a_revoked_message_leaves_its_queue_and_is_not_sent_again(
    server: Server, remote: RemoteApp
) -> None:
    gone, stays = str(uuid4()), str(uuid4())
    remote.send(gone, "foreign.add", [1, 2])
    remote.send(stays, "foreign.add", [3, 4])
    remote.revoke(gone)
    remote.send(gone, "foreign.add", [1, 2])
    [message] = server.admin.lrange(QUEUE, 0, -1)
    assert json.loads(message)["headers"]["id"] == stays
    assert remote.receipt(gone) == "revoked"


def test_what_a_killed_worker_had_does_not_come_back_once_it_is_revoked(
    server: Server, remote: RemoteApp, start_worker: StartWorker
) -> None:
    task_id = str(uuid4())
    worker = start_worker()
    remote.send(task_id, "foreign.wait", ["for-ever"])
    wait_until(server.began, 30)
    worker.kill()
    assert server.admin.hlen("trading:unacked") == 1
    remote.revoke(task_id)
    assert server.admin.hlen("trading:unacked") == 0
    start_worker()
    marker = str(uuid4())
    remote.send(marker, "foreign.add", [1, 2])
    wait_until(lambda: remote.outcome(marker), 30)
    assert server.began() == ["wait for-ever", "add 1 2"]


def test_a_running_task_is_terminated_and_not_begun_again(
    server: Server, remote: RemoteApp, start_worker: StartWorker
) -> None:
    start_worker()
    task_id = str(uuid4())
    remote.send(task_id, "foreign.wait", ["for-ever"])
    wait_until(server.began, 30)
    remote.revoke(task_id)
    wait_until(lambda: remote.outcome(task_id), 30)
    outcome = remote.outcome(task_id)
    assert outcome is not None
    assert outcome.state == "REVOKED"
    assert server.began() == ["wait for-ever"]
    assert server.admin.hlen("trading:unacked") == 0


def test_a_settled_receipt_still_forbids_sending_but_holds_no_message(
    server: Server, remote: RemoteApp
) -> None:
    task_id = str(uuid4())
    remote.send(task_id, "foreign.add", [1, 2])
    remote.settle(task_id)
    assert server.admin.hgetall(f"trading:celery-bridge-{task_id}") == {"state": "sent"}
    server.admin.delete(QUEUE)
    remote.send(task_id, "foreign.add", [1, 2])
    assert server.admin.llen(QUEUE) == 0


def test_an_app_without_a_prefix(server: Server) -> None:
    url = f"redis://admin:{server.secrets.redis_admin}@127.0.0.1:{server.port}/1"
    task_id = str(uuid4())
    with RemoteApp(AppAddress(url, url)) as app:
        app.send(task_id, "foreign.add", [1, 2])
        app.send(task_id, "foreign.add", [1, 2])
        assert server.admin.llen("celery") == 1
        assert app.receipt(task_id) == "sent"


def test_a_broker_that_refuses_is_named(server: Server) -> None:
    url = f"redis://trading:wrong@127.0.0.1:{server.port}/1"
    app = RemoteApp(AppAddress(url, url), patient=False)
    with app, pytest.raises(BridgeError, match="Auth"):
        app.outcome(str(uuid4()))


def test_a_broker_of_another_kind_is_told_what_is_missing() -> None:
    given = SimpleNamespace(
        conn_id="elsewhere", host="rabbit", port=None, login="me", password="a/b", schema="jobs",
        extra_dejson={"broker_scheme": "amqp"},
    )  # fmt: skip
    with pytest.raises(ConnectionSettingsError, match=r"'elsewhere'.*result_backend"):
        AppAddress.from_connection(given)
    given.extra_dejson["result_backend"] = "redis://results/3"
    found = AppAddress.from_connection(given)
    assert found.broker_url == "amqp://me:a%2Fb@rabbit/jobs"
    assert found.has_redis_results
    assert not found.has_redis_broker
    assert "a%2Fb" not in repr(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": None}, "no host"),
        ({"extra_dejson": {"keyprefix": "x"}}, "unknown extra keyprefix"),
        ({"extra_dejson": {"poll_seconds": "soon"}}, "poll_seconds"),
        ({"extra_dejson": {"acks_late": "yes"}}, "acks_late is true or false, not 'yes'"),
    ],
)
def test_a_connection_that_leads_nowhere_is_refused(changes: dict[str, Any], message: str) -> None:
    given = {
        "conn_id": "x", "host": "h", "port": 1, "login": None, "password": None, "schema": None,
        "extra_dejson": {},
    } | changes  # fmt: skip
    with pytest.raises(ConnectionSettingsError, match=message):
        AppAddress.from_connection(SimpleNamespace(**given))


def test_a_prefix_of_results_ends_as_celery_ends_it() -> None:
    given = SimpleNamespace(
        conn_id="x", host="h", port=1, login=None, password=None, schema="2",
        extra_dejson={"global_keyprefix": "desk"},
    )  # fmt: skip
    found = AppAddress.from_connection(given)
    assert found.result_key("7") == "desk_celery-task-meta-7"
    assert found.receipt_key("7") == "deskcelery-bridge-7"


def test_message_and_receipt_survive_a_kill_of_redis(server: Server, remote: RemoteApp) -> None:
    task_id = str(uuid4())
    remote.send(task_id, "foreign.add", [1, 2])
    server.kill()
    server.start()
    remote.send(task_id, "foreign.add", [1, 2])
    assert server.admin.llen(QUEUE) == 1
    assert remote.receipt(task_id) == "sent"


def test_an_app_that_is_closed_leaves_no_connection_open(server: Server) -> None:
    task_id = str(uuid4())
    with RemoteApp(server.address) as app:
        app.send(task_id, "foreign.add", [1, 2])
        app.revoke(task_id)
        app.check()
    assert not [client for client in server.admin.client_list() if client["user"] == "trading"]

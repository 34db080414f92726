"""The scheduler is woken up by what changes something, and gets along without the bell."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg2
import pytest

from tests.support import wait_until
from tradewind.orchestration.runtime.bell import CHANNEL, Bell, RingsBell

LONG = 60.0  # seconds; nobody who is woken up waits so long


@pytest.fixture
def dsn(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", postgres_url)
    return postgres_url.replace("postgresql+psycopg2://", "postgresql://")


@pytest.fixture
def listening(dsn: str) -> Bell:  # noqa: ARG001 - for its setting
    bell = Bell()
    bell.wait(LONG)
    return bell


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.usefixtures("dsn")
def test_who_begins_to_listen_looks_at_once() -> None:
    assert seconds(lambda: Bell().wait(LONG)) < LONG / 2


def test_a_ring_wakes_up_and_is_heard_once(listening: Bell) -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert seconds(lambda: listening.wait(LONG)) < LONG / 2
    wait_until(lambda: seconds(lambda: listening.wait(0.2)) >= 0.2, 10)


def test_all_who_listen_hear_it(listening: Bell) -> None:
    another = Bell()
    another.wait(LONG)
    Bell().ring()
    assert max(seconds(partial(bell.wait, LONG)) for bell in (listening, another)) < LONG / 2


def test_a_connection_that_is_lost_is_made_anew(dsn: str, listening: Bell) -> None:
    ringing = Bell()
    ringing.ring()
    listening.wait(LONG)
    with psycopg2.connect(dsn) as admin, admin.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = ANY(%s)",
            [[f"LISTEN {CHANNEL}", f"NOTIFY {CHANNEL}"]],
        )
        assert cursor.fetchone() == (2,)
    admin.close()
    listening.wait(0.1)  # the server's last word
    listening.wait(0.1)  # the end of the connection
    listening.wait(LONG)  # listens anew, and looks
    ringing.ring()  # is lost with its connection
    ringing.ring()
    assert seconds(lambda: listening.wait(LONG)) < LONG / 2


def test_without_a_database_the_scheduler_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", nowhere)
    bell = Bell()
    bell.ring()
    assert seconds(lambda: bell.wait(0.2)) >= 0.2


@pytest.mark.parametrize(
    ("verb", "path", "status", "rings"),
    [
        ("POST", "/api/v2/dags/train/dagRuns", 200, True),
        ("POST", "/api/v2/dags/train/dagRuns", 401, False),
        ("PATCH", "/execution/task-instances/1/state", 204, True),
        ("PATCH", "/execution/task-instances/1/state", 409, False),
        ("GET", "/api/v2/dags", 200, False),
        ("PATCH", "/execution/task-instances/1/run", 200, False),
        ("PUT", "/execution/task-instances/1/heartbeat", 204, False),
        ("PUT", "/execution/task-instances/1/rtif", 201, False),
        ("POST", "/execution/xcoms/train/1/fit/return_value", 201, False),
    ],
)
def test_requests_ring_once_they_are_answered(
    verb: str, path: str, status: int, rings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})
        told.append("answered")

    async def nothing(*_: Any) -> Any:
        return {}

    ringing = RingsBell(app)
    monkeypatch.setattr(ringing, "ring", lambda: told.append("rung"))
    asyncio.run(ringing({"type": "http", "method": verb, "path": path}, nothing, nothing))
    assert told == (["answered", "rung"] if rings else ["answered"])


def test_a_burst_of_requests_rings_after_the_last(listening: Bell) -> None:
    async def app(*_: Any) -> None: ...

    ringing = RingsBell(app)
    for _ in range(100):
        ringing.ring()
    assert seconds(lambda: listening.wait(LONG)) < LONG / 2

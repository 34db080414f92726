"""Tasks of a foreign Celery app, and a stream, on the real stack: ends, kills and restarts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.redis_server import RedisClient
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tests.support import wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets

CHECKOUT = Path(__file__).parents[2]
STREAM = "trading:bridge-test"


@pytest.fixture(scope="module")
def redis(stack: Stack) -> Iterator[RedisClient]:
    password = load_secrets(Layout(stack.settings.state)).redis_trading
    port = stack.settings.redis_port
    client = Redis.from_url(f"redis://trading:{password}@127.0.0.1:{port}/1", decode_responses=True)
    yield client
    client.close()


@pytest.fixture(scope="module", autouse=True)
def worker(redis: RedisClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A worker of an app that knows nothing of Airflow, on a queue of its own."""
    log = tmp_path_factory.mktemp("foreign") / "worker.log"
    settings = redis.get_connection_kwargs()
    url = f"redis://trading:{settings['password']}@127.0.0.1:{settings['port']}/1"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "tests.bridge.foreign_app",
             "worker", "--concurrency", "2", "--queues", "foreign", "--loglevel", "info"],
            cwd=CHECKOUT,
            env={**os.environ, "FOREIGN_URL": url, "FOREIGN_VISIBILITY": "3600"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: b"ready." in log.read_bytes(), 120, of=log.read_text)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def ended(airflow: Airflow) -> tuple[str, dict[str, str | None]]:
    run = airflow.trigger("bridge_ends")
    return run, airflow.finished("bridge_ends", run)[1]


@pytest.fixture
def waiting(airflow: Airflow, redis: RedisClient) -> str:
    """Id of a run whose remote task is being worked on, and waited for by the triggerer."""
    run = airflow.trigger("bridge_waits")
    airflow.reach("bridge_waits", run, "waits", {"deferred"})
    wait_until(lambda: began(redis, run) == 1, 60)
    [channel] = result_keys(redis, run)
    wait_until(lambda: dict(redis.pubsub_numsub(channel))[channel], 60)
    return run


def began(redis: RedisClient, run: str) -> int:
    return redis.lrange("trading:began", 0, -1).count(f"wait {run}")


def result_keys(redis: RedisClient, run: str) -> list[str]:
    """Keys, and channels, of the results of the remote tasks that a run has begun."""
    lines = [line.split() for line in redis.lrange("trading:waits", 0, -1)]
    return [f"trading:celery-task-meta-{task_id}" for mark, task_id in lines if mark == run]


def remote_states(redis: RedisClient, run: str) -> list[str]:
    """States of the remote tasks that a run has begun and that have ended."""
    return [json.loads(meta)["status"] for meta in redis.mget(result_keys(redis, run)) if meta]


def test_ends_are_as_the_remote_tasks_ended(
    airflow: Airflow, ended: tuple[str, dict[str, str | None]]
) -> None:
    run, states = ended
    assert states == {
        "succeeds": "success", "fails": "failed", "retried": "success", "announces": "success",
        "mapped 0": "success", "mapped 1": "success", "mapped 2": "success",
        "waits_in_a_worker": "success",
    }  # fmt: skip
    for name, result in {"succeeds": 5, "waits_in_a_worker": 9, "announces": 13}.items():
        assert airflow.returned("bridge_ends", run, name) == result
    assert [airflow.returned("bridge_ends", run, "mapped", n) for n in range(3)] == [2, 4, 6]


def test_a_failure_is_told_in_the_log_with_the_remote_traceback(
    airflow: Airflow, ended: tuple[str, dict[str, str | None]]
) -> None:
    run, _ = ended
    [task] = [t for t in airflow.tasks("bridge_ends", run) if t["task_id"] == "fails"]
    text = json.dumps(airflow.log("bridge_ends", run, task, 1))
    assert "NoSuchAccountError: no account 'momentum'" in text
    assert "raise NoSuchAccountError" in text


@pytest.mark.usefixtures("ended")
def test_an_outlet_is_announced(airflow: Airflow) -> None:
    events = airflow.events(limit=100)["asset_events"]
    assert [e["source_task_id"] for e in events if e["name"] == "bridge_announced"] == ["announces"]


@pytest.mark.parametrize("service", ["airflow-triggerer", "redis"])
def test_a_waiting_task_outlives_a_kill(
    stack: Stack, airflow: Airflow, redis: RedisClient, waiting: str, service: str
) -> None:
    stack.kill(service)
    redis.set(f"trading:go:{waiting}", "1")
    state, _ = airflow.finished("bridge_waits", waiting)
    assert state == "success"
    assert began(redis, waiting) == 1
    assert airflow.returned("bridge_waits", waiting, "waits")


@pytest.mark.parametrize("act", ["mark", "clear"])
def test_a_user_takes_the_remote_task_back(
    airflow: Airflow, redis: RedisClient, waiting: str, act: str
) -> None:
    path = f"/dags/bridge_waits/dagRuns/{waiting}/taskInstances/waits"
    if act == "mark":
        airflow.patch(path, {"new_state": "failed"})
    else:
        content = {"dry_run": False, "task_ids": ["waits"], "dag_run_id": waiting,
                   "only_failed": False, "reset_dag_runs": True}  # fmt: skip
        airflow.post("/dags/bridge_waits/clearTaskInstances", content)
    wait_until(lambda: "REVOKED" in remote_states(redis, waiting), 180)
    if act == "clear":  # starts over
        wait_until(lambda: began(redis, waiting) == 2, 60)
        redis.set(f"trading:go:{waiting}", "1")
        assert airflow.finished("bridge_waits", waiting)[0] == "success"
    else:
        assert airflow.finished("bridge_waits", waiting)[0] == "failed"
        assert began(redis, waiting) == 1


def test_every_entry_of_a_stream_becomes_an_event_through_a_kill(
    stack: Stack, airflow: Airflow, redis: RedisClient
) -> None:
    """Entries come before, while and after the triggerer is killed; none is lost."""
    written = [redis.xadd(STREAM, {"kind": "fill"}) for _ in range(5)]
    redis.xadd(STREAM, {"kind": "end_of_day"})
    wait_until(lambda: set(seen(stack)) == set(written), 120, of=lambda: seen(stack))
    pid = stack.service("airflow-triggerer")["pid"]
    written += [redis.xadd(STREAM, {"kind": "fill"}) for _ in range(5)]
    os.killpg(pid, signal.SIGKILL)
    written += [redis.xadd(STREAM, {"kind": "fill"}) for _ in range(5)]
    wait_until(lambda: set(seen(stack)) == set(written), 240, of=lambda: seen(stack))
    wait_until(lambda: redis.xpending(STREAM, "bridge_watches")["pending"] == 0, 60)
    wait_until(
        lambda: any(run["state"] == "success" for run in airflow.runs("bridge_watches")), 120
    )


def seen(stack: Stack) -> list[str]:
    """Ids of the entries that have become events, in order."""
    # Not from the REST interface: it fails while one of the runs they began has not started.
    query = """
        SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id
        WHERE a.name = 'bridge_events' ORDER BY e.id
    """
    return [extra["payload"]["id"] for (extra,) in stack.rows(query, database="airflow")]


def test_the_connections_button_tells_who_answers(airflow: Airflow) -> None:
    answer = airflow.post("/connections/test", {"connection_id": "trading", "conn_type": "celery"})
    assert answer["status"], answer
    assert "trading-worker@" in answer["message"]

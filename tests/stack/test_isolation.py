"""A flooded queue, and a Redis that dies meanwhile, take nothing from either application."""

import uuid
from collections.abc import Iterator

import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack, WaitUntil
from tests.stack.flood import Trading, strange_keys, trading_of

TASKS = 6_000


@pytest.fixture
def trading(stack: Stack) -> Iterator[Trading]:
    with trading_of(stack) as found:
        yield found


def test_nothing_is_lost_or_seen_by_the_other_when_a_queue_is_flooded_and_redis_dies(
    stack: Stack, airflow: Airflow, trading: Trading, wait_until: WaitUntil
) -> None:
    before = trading.executed()
    trading.admin.execute_command("ACL LOG", "RESET")
    ids = [str(uuid.uuid4()) for _ in range(TASKS)]
    trading.send(ids)
    run_id = airflow.trigger("train_flooded")
    airflow.reach("train_flooded", run_id, "ingest", {"running", "success"})
    assert trading.waiting() > TASKS / 4, "the queue was empty before the training had begun"

    stack.kill("redis")

    # Airflow: each task once, to success.
    state, states = airflow.finished("train_flooded", run_id)
    assert (state, set(states.values()) <= {"success", "skipped"}) == ("success", True), states
    tasks = airflow.tasks("train_flooded", run_id)
    assert {task["try_number"] for task in tasks if task["state"] == "success"} == {1}

    # Trading: what has no result is kept for a worker, and is run again as soon as the worker that
    # lost its connection counts as dead. What Redis was handing over when it died is in nobody's
    # hands: Celery's client takes a message from the queue and notes it in two steps. One worker
    # takes one at a time, and who sent it sends it again.
    wait_until(lambda: not trading.waiting(), 600, of=trading.waiting)
    trading.let_an_hour_pass()
    wait_until(lambda: not trading.unacknowledged(), 300, of=trading.unacknowledged)
    handed_over = set(ids) - trading.succeeded(ids)
    assert len(handed_over) <= 1
    trading.send(handed_over)
    wait_until(lambda: len(trading.succeeded(ids)) == TASKS, 60)

    # Neither saw a task of the other, or asked for a key of the other.
    ran = trading.executed()
    assert {name for name in ran if not name.startswith("trading.")} == set()
    done = ran["trading.health"] - before.get("trading.health", 0)
    assert TASKS <= done <= TASKS + 10, "only what Redis's death left unacknowledged is run again"
    assert strange_keys(stack) == set()
    assert trading.admin.execute_command("ACL LOG") == []
    assert stack.status()["healthy"]

"""Tries, clearings, kills and ends of a CeleryTaskOperator, against a real app."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from tests.bridge.conftest import Server, StartWorker
from tests.support import wait_until
from tradewind.bridge import (
    BridgeError,
    CeleryTaskOperator,
    CeleryTaskTrigger,
    RemoteTaskFailedError,
    RemoteTaskRevokedError,
)
from tradewind.bridge._attempts import Attempt
from tradewind.bridge._celery import RemoteApp


@dataclass
class Store:
    """What Airflow keeps of a task instance from try to try."""

    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


def context(store: Store | None = None, max_tries: int = 1, map_index: int = -1) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="execute_momentum", run_id="manual__1", task_id="settle", map_index=map_index,
        max_tries=max_tries, start_date=datetime.now(UTC),
    )  # fmt: skip
    return {"ti": ti, "task_state_store": store or Store()}


def operator(task: str, *args: Any, **rest: Any) -> CeleryTaskOperator:
    return CeleryTaskOperator(task_id="settle", app="foreign", task=task, args=args, **rest)


def deferred(op: CeleryTaskOperator, given: dict[str, Any]) -> CeleryTaskTrigger:
    with pytest.raises(TaskDeferred) as caught:
        executed(op, given)
    return caught.value.trigger


def executed(op: CeleryTaskOperator, given: dict[str, Any]) -> Any:
    execute: Any = op.execute  # Airflow wraps it, and says so in no type
    return execute.__wrapped__(op, given)


def event_of(trigger: CeleryTaskTrigger, meanwhile: Callable[[], object] | None = None) -> Any:
    """Run a trigger as the triggerer does; return its one event."""

    async def work() -> TriggerEvent:
        path, kwargs = trigger.serialize()
        assert path == "tradewind.bridge.triggers.CeleryTaskTrigger"
        events = aiter(CeleryTaskTrigger(**kwargs).run())
        first = asyncio.ensure_future(anext(events))
        if meanwhile is not None:
            await asyncio.to_thread(meanwhile)
        return await asyncio.wait_for(first, 60)

    return asyncio.run(work())


def test_a_success_ends_the_task_without_a_worker(start_worker: StartWorker) -> None:
    start_worker()
    event = event_of(deferred(operator("foreign.add", 2, 3), context()))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms == {"return_value": 5}


@pytest.mark.parametrize(
    "rest",
    [
        {"outlets": [Asset("fills")]},
        {"on_success_callback": [print]},
        {"post_execute": lambda **_: None},
    ],
)
def test_what_a_worker_must_do_after_a_success_is_left_to_it(
    start_worker: StartWorker, rest: dict[str, Any]
) -> None:
    start_worker()
    op, given = operator("foreign.add", 2, 3, **rest), context()
    event = event_of(deferred(op, given))
    assert type(event) is TriggerEvent
    assert op.execute_complete(given, event.payload) == 5


def test_a_result_too_large_to_carry_is_fetched(server: Server, start_worker: StartWorker) -> None:
    start_worker()
    op, given = operator("foreign.big", 100_000), context()
    event = event_of(deferred(op, given))
    assert event.payload["stored"] is None
    assert op.execute_complete(given, event.payload) == "x" * 100_000
    server.admin.delete(f"trading:celery-task-meta-{event.payload['remote_id']}")
    with pytest.raises(BridgeError, match="result_expires"):
        op.execute_complete(given, event.payload)


def test_a_failure_is_raised_by_the_worker_and_a_retry_sends_another(
    server: Server, start_worker: StartWorker
) -> None:
    start_worker()
    op, store = operator("foreign.fail_once", "m"), Store()
    first = deferred(op, context(store))
    with pytest.raises(RemoteTaskFailedError, match="NoSuchAccountError: only this once"):
        op.execute_complete(context(store), event_of(first).payload)
    second = deferred(op, context(store))
    assert second.remote_id != first.remote_id
    assert event_of(second).xcoms == {"return_value": second.remote_id}
    assert server.began() == ["fail_once m"] * 2


def test_an_error_that_no_retry_mends_fails_at_once(start_worker: StartWorker) -> None:
    start_worker()
    op, given = operator("foreign.fail", "x", final_errors=["NoSuchAccountError"]), context()
    event = event_of(deferred(op, given))
    with pytest.raises(AirflowFailException, match="no account 'x'"):
        op.execute_complete(given, event.payload)


def test_a_retry_finds_the_running_task(
    server: Server, start_worker: StartWorker, go: Callable[[str], None]
) -> None:
    start_worker()
    op, store = operator("foreign.wait", "m"), Store()
    first = deferred(op, context(store))
    wait_until(server.began, 30)
    again = deferred(op, context(store))
    assert again.remote_id == first.remote_id
    assert event_of(again, lambda: go("m")).xcoms == {"return_value": first.remote_id}
    assert server.began() == ["wait m"]


def test_a_retry_takes_what_ended_well_meanwhile(server: Server, start_worker: StartWorker) -> None:
    start_worker()
    op, store = operator("foreign.add", 1, 1), Store()
    event_of(deferred(op, context(store)))
    assert executed(op, context(store)) == 2
    assert server.began() == ["add 1 1"]


def test_a_try_that_was_killed_before_it_sent_is_made_good(start_worker: StartWorker) -> None:
    op, store = operator("foreign.add", 1, 1), Store()
    attempt = Attempt(generation=1, number=1, born="then")
    store.set("celery_task", attempt.as_stored())
    start_worker()
    trigger = deferred(op, context(store))
    assert trigger.remote_id == attempt.remote_id(context()["ti"])
    assert event_of(trigger).xcoms == {"return_value": 2}


def test_clearing_starts_over_and_revokes_what_still_runs(
    server: Server, start_worker: StartWorker, go: Callable[[str], None]
) -> None:
    start_worker()
    op, store = operator("foreign.wait", "m"), Store()
    first = deferred(op, context(store))
    wait_until(server.began, 30)
    second = deferred(op, context(store, max_tries=2))  # Airflow raises it when it clears
    assert second.remote_id != first.remote_id
    with RemoteApp(server.address) as app:
        wait_until(lambda: app.outcome(first.remote_id), 30)
        outcome = app.outcome(first.remote_id)
    assert outcome is not None
    assert outcome.state == "REVOKED"
    assert event_of(second, lambda: go("m")).xcoms == {"return_value": second.remote_id}


def test_clearing_a_success_runs_it_again(server: Server, start_worker: StartWorker) -> None:
    start_worker()
    op, store = operator("foreign.add", 1, 1), Store()
    first = deferred(op, context(store))
    event_of(first)
    second = deferred(op, context(store, max_tries=2))
    assert second.remote_id != first.remote_id
    event_of(second)
    assert server.began() == ["add 1 1"] * 2


def test_killing_the_deferred_task_revokes_the_remote_one(
    server: Server, start_worker: StartWorker
) -> None:
    start_worker()
    trigger = deferred(operator("foreign.wait", "m"), context())
    wait_until(server.began, 30)
    asyncio.run(trigger.on_kill())
    with RemoteApp(server.address) as app:
        wait_until(lambda: app.outcome(trigger.remote_id), 30)
        outcome = app.outcome(trigger.remote_id)
    assert outcome is not None
    with pytest.raises(RemoteTaskRevokedError):
        outcome.value("foreign.wait", trigger.remote_id)


def test_a_kill_is_carried_out_though_airflow_cancels_it_again(server: Server) -> None:
    trigger = deferred(operator("foreign.wait", "m"), context())

    async def killed() -> None:
        killing = asyncio.ensure_future(trigger.on_kill())
        await asyncio.sleep(0)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: not server.admin.llen("trading:celery"), 30)

    assert server.admin.llen("trading:celery") == 1
    asyncio.run(killed())


def test_a_wait_that_takes_too_long_revokes_the_remote_task(server: Server) -> None:
    op = operator("foreign.wait", "m", execution_timeout=timedelta(minutes=5))
    given = context()
    with pytest.raises(TaskDeferred) as caught:
        executed(op, given)
    left = caught.value.timeout
    assert isinstance(left, timedelta)
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)
    assert server.admin.llen("trading:celery") == 1
    with pytest.raises(TaskDeferralTimeout):
        op.resume_execution("__fail__", {"error": "Trigger timeout"}, given)
    assert server.admin.llen("trading:celery") == 0
    again = deferred(op, given)  # the retry sends another
    assert again.remote_id != caught.value.trigger.remote_id


def test_a_task_killed_in_a_worker_revokes_and_its_retry_sends_another(server: Server) -> None:
    op, store = operator("foreign.wait", "m"), Store()
    first = deferred(op, context(store))
    op.on_kill()
    assert server.admin.llen("trading:celery") == 0
    with pytest.raises(RemoteTaskRevokedError, match="killed"):
        executed(op, context(store))
    fresh = operator("foreign.wait", "m")
    assert deferred(fresh, context(store)).remote_id != first.remote_id


def test_without_a_triggerer_it_waits_in_the_worker(start_worker: StartWorker) -> None:
    start_worker()
    assert executed(operator("foreign.add", 2, 3, deferrable=False), context()) == 5
    with pytest.raises(RemoteTaskFailedError, match="no account 'x'"):
        executed(operator("foreign.fail", "x", deferrable=False), context())


def test_without_a_triggerer_a_kill_ends_the_wait(
    server: Server, start_worker: StartWorker
) -> None:
    start_worker()
    op = operator("foreign.wait", "m", deferrable=False)

    def kill() -> None:
        wait_until(server.began, 30)
        op.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RemoteTaskRevokedError):
        executed(op, context())
    killer.join()


def test_it_is_sent_through_a_restart_of_redis(server: Server, start_worker: StartWorker) -> None:
    server.kill()
    starting = threading.Timer(2, server.start)
    starting.start()
    trigger = deferred(operator("foreign.add", 2, 3), context())
    starting.join()
    start_worker()
    assert event_of(trigger).xcoms == {"return_value": 5}


def test_mapped_tasks_have_ids_and_queues_of_their_own() -> None:
    with DAG("d", schedule=None, default_args={"queue": "airflows"}) as dag:
        CeleryTaskOperator(task_id="plain", app="foreign", task="t", queue="apps")
        CeleryTaskOperator(task_id="neither", app="foreign", task="t")
        CeleryTaskOperator.partial(task_id="mapped", app="foreign", task="t", queue="apps").expand(
            kwargs=[{"account": "a"}, {"account": "b"}]
        )
        CeleryTaskOperator.partial(task_id="bare", app="foreign", task="t").expand(args=[[1], [2]])
        CeleryTaskOperator(task_id="both", app="foreign", task="t", queue="apps", airflow_queue="w")
    found = {name: dag.get_task(name) for name in dag.task_ids}
    assert {name: task.queue for name, task in found.items()} == {
        "plain": "airflows", "neither": "airflows", "mapped": "airflows", "bare": "airflows",
        "both": "w",
    }  # fmt: skip
    real: dict[str, Any] = {
        name: found[name] if name in {"plain", "neither", "both"} else found[name].unmap(given)
        for name, given in (
            ("plain", {}), ("neither", {}), ("both", {}), ("bare", {"args": [1]}),
            ("mapped", {"kwargs": {"account": "a"}}),
        )
    }  # fmt: skip
    assert {name: task.celery_queue for name, task in real.items()} == {
        "plain": "apps", "neither": None, "mapped": "apps", "bare": None, "both": "apps",
    }  # fmt: skip
    assert real["mapped"].task_kwargs == {"account": "a"}
    assert real["mapped"].queue == "airflows"
    assert set(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids) == set(found)
    ids = {Attempt(1, 1, "then").remote_id(context(map_index=index)["ti"]) for index in range(100)}
    assert len(ids) == 100

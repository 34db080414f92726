"""An idle scheduler waits in its executor; one that has something to do hardly does."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from airflow.executors.base_executor import BaseExecutor
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.providers.celery.executors.celery_executor_utils import ExceptionWithTraceback
from celery import states
from celery.backends.database import session_cleanup
from celery.exceptions import NotRegistered, WorkerLostError
from celery.result import AsyncResult
from dotenv import dotenv_values
from kombu.exceptions import OperationalError
from redis.exceptions import OutOfMemoryError

from tests.support import typed
from tradewind.orchestration.runtime import abandoned
from tradewind.orchestration.runtime.executor import MOST_LOSSES, PromptCeleryExecutor

CHECKOUT = Path(__file__).parents[2]
KEY = TaskInstanceKey("early", "task", "run", 1, -1)
OPTIONS = "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS"


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that notes how long it waits; tasks have names here, not Airflow's keys."""
    made: Any = PromptCeleryExecutor()
    made.waits = []
    monkeypatch.setattr(made._bell, "wait", made.waits.append)
    return made


def test_an_idle_heartbeat_waits(executor: Any) -> None:
    executor.heartbeat()
    assert executor.waits == [0.5]


def test_what_has_ended_is_told_at_once(executor: Any) -> None:
    executor.event_buffer["a task"] = ("success", None)
    executor.heartbeat()
    assert executor.waits == []


@pytest.mark.parametrize("queue", ["queued_tasks", "queued_callbacks", "queued_connection_tests"])
def test_a_heartbeat_that_sends_something_is_followed_by_another(
    executor: Any, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sending itself is Airflow's; tests/stack sends real tasks.
    monkeypatch.setattr(BaseExecutor, "heartbeat", lambda self: getattr(self, queue).clear())
    getattr(executor, queue)["a task"] = object()
    executor.heartbeat()
    assert executor.waits == [0.1]
    executor.heartbeat()
    assert executor.waits == [0.1, 0.5]


def test_a_task_that_redis_has_no_room_for_stays_queued(
    executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OperationalError("from Celery")
    full.__cause__ = OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
    errors: dict[str, Exception | None] = {"sent": None, "refused": full, "wrong": ValueError("x")}

    def send(key: str) -> tuple[str, None, object]:
        error = errors[key]
        return key, None, AsyncResult("id") if error is None else ExceptionWithTraceback(error, "")

    monkeypatch.setattr(
        CeleryExecutor, "_send_workloads_to_celery", lambda _, keys: [send(key) for key in keys]
    )
    executor.queued_tasks = dict.fromkeys(errors)
    executor._send_workloads(list(errors))
    assert list(executor.queued_tasks) == ["refused"]
    assert executor.event_buffer["wrong"] == (
        "failed", "it could not be sent to a worker: ValueError: x",
    )  # fmt: skip
    assert "refused" not in executor.event_buffer
    monkeypatch.setattr(
        BaseExecutor, "heartbeat", lambda self: self._send_workloads(list(self.queued_tasks))
    )
    executor.event_buffer.clear()
    executor.heartbeat()
    assert executor.waits == [0.5]  # it does not ask ten times a second while nothing can be sent
    errors["refused"] = None
    executor.heartbeat()
    assert executor.queued_tasks == {}
    assert executor.waits == [0.5, 0.1]


def test_a_task_that_a_worker_throws_away_is_not_sent_for_ever(
    executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_again: list[str] = []
    monkeypatch.setattr(CeleryExecutor, "sync", lambda _: None)
    monkeypatch.setattr(executor._watch, "look", lambda found: abandoned.Abandoned(tuple(found)))

    def send_again(message: str) -> bool:
        sent_again.append(message)
        return True

    monkeypatch.setattr(abandoned, "requeue", send_again)
    for _ in range(MOST_LOSSES + 1):
        assert not executor.event_buffer
        executor.workloads[KEY] = AsyncResult("message")
        executor.sync()
    assert len(sent_again) == MOST_LOSSES
    state, why = executor.event_buffer[KEY]
    assert state == "failed"
    assert "its message was lost 13 times on the way to a worker" in why


def test_losses_are_counted_anew_once_a_worker_had_the_task(
    executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a task that waits for something for days, and goes through a worker each time."""
    monkeypatch.setattr(CeleryExecutor, "sync", lambda _: None)
    monkeypatch.setattr(executor._watch, "look", lambda found: abandoned.Abandoned(tuple(found)))
    monkeypatch.setattr(abandoned, "requeue", lambda _: True)
    for number in range(2 * MOST_LOSSES):
        executor.workloads[KEY] = AsyncResult("message")
        executor.sync()
        if number == MOST_LOSSES - 1:
            executor.update_task_state(KEY, "SUCCESS", None)
            executor.event_buffer.clear()
    assert not executor.event_buffer


ASKED = httpx.Request("PATCH", "http://airflow/execution/")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotRegistered("execute_workload"), "its worker does not know Airflow's task"),
        (httpx.ConnectError("refused"), "its worker does not reach Airflow's web server"),
        (httpx.ReadTimeout("slow"), "its worker does not reach Airflow's web server"),
        (
            httpx.HTTPStatusError("403", request=ASKED, response=httpx.Response(403)),
            "its worker was refused by Airflow's web server",
        ),
        (WorkerLostError("signal 9"), "WorkerLostError: signal 9"),
    ],
)
def test_what_a_worker_fails_with_before_a_task_begins_is_told_in_words(
    executor: Any, error: Exception, told: str
) -> None:
    result: Any = AsyncResult("message")
    result._cache = {"status": states.FAILURE, "result": error}
    executor.workloads[KEY] = result
    executor.update_task_state(KEY, states.FAILURE, None)
    state, why = executor.event_buffer[KEY]
    assert state == "failed"
    assert why.startswith(told)
    assert f"{type(error).__name__}: {error}" in why


def connection_of(executor: PromptCeleryExecutor) -> object:
    session = executor.celery_app.backend.ResultSession()
    with session_cleanup(session):
        return session.scalar(sa.text("SELECT pg_backend_pid()"))


def test_results_are_asked_for_over_one_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CELERY__RESULT_BACKEND", f"db+{postgres_url}")
    monkeypatch.setenv(
        OPTIONS, typed(dotenv_values(CHECKOUT / "config" / "airflow.env")[OPTIONS], str)
    )
    executor = PromptCeleryExecutor()
    executor.start()
    first = connection_of(executor)
    assert connection_of(executor) == first
    engine = sa.create_engine(postgres_url)
    with engine.connect() as admin:
        assert admin.scalar(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
    engine.dispose()
    assert connection_of(executor) != first  # made anew, and without an error
    executor.celery_app.backend.session_manager.invalidate(executor.celery_app.backend.url)


def test_results_need_not_be_in_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CELERY__RESULT_BACKEND", "redis://127.0.0.1:1/0")
    PromptCeleryExecutor().start()

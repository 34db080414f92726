"""An idle scheduler waits in its executor; one that has something to do never does."""

import pytest
from airflow.executors.base_executor import BaseExecutor

from tradewind.orchestration.executor import PromptCeleryExecutor


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> PromptCeleryExecutor:
    made = PromptCeleryExecutor()
    made.waits = []
    monkeypatch.setattr(made._bell, "wait", made.waits.append)
    return made


def test_an_idle_heartbeat_waits(executor) -> None:
    executor.heartbeat()
    assert executor.waits == [0.5]


def test_what_has_ended_is_told_at_once(executor) -> None:
    executor.event_buffer["a task"] = ("success", None)
    executor.heartbeat()
    assert executor.waits == []


@pytest.mark.parametrize("queue", ["queued_tasks", "queued_callbacks", "queued_connection_tests"])
def test_a_heartbeat_that_sends_something_is_followed_by_another(
    executor, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sending itself is Airflow's; tests/stack sends real tasks.
    monkeypatch.setattr(BaseExecutor, "heartbeat", lambda self: getattr(self, queue).clear())
    getattr(executor, queue)["a task"] = object()
    executor.heartbeat()
    assert executor.waits == []
    executor.heartbeat()
    assert executor.waits == [0.5]

"""A task that fails before its first line says why where a user looks."""

import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tests.support import wait_until
from tradewind.desk.airflow_client import AirflowClient
from tradewind.errors import OrchestrationError

REASONS = {
    "import": "ModuleNotFoundError: No module named 'gone'",
    "exit": "its process ended with exit code 3, without a word",
    "killed": "it was killed, most likely for memory",
    "supervisor": "WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)",
    "gone": "its DAG no longer has this task",
}
OF_THE_SCHEDULER = {"supervisor", "log"}
NEVER_BEGAN = """
    SELECT data::jsonb -> '__var' -> 'kwargs' -> '__var' ->> 'task_id' FROM callback
    WHERE data::text LIKE '%%task_never_began%%' AND data::text LIKE %s AND state = 'success'
"""


def test_a_task_that_never_began_says_why_where_a_user_looks(
    stack: Stack, airflow: Airflow
) -> None:
    page = stack.json("credentials")["airflow"]
    run_id = airflow.trigger("early")
    # Where the log of one should be there is a file: nobody can write it.
    folder = stack.home / ".tradewind" / "logs" / "tasks" / "dag_id=early" / f"run_id={run_id}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task_id=log").touch()
    state, states = airflow.finished("early", run_id)
    assert state == "failed"
    assert set(states.values()) == {"failed"}
    tasks = {task["task_id"]: task for task in airflow.tasks("early", run_id)}
    with AirflowClient(page["address"], page["user"], page["password"]) as client:
        told = {task.task_id: client.reason("early", run_id, task)
                for task in client.task_states("early", run_id)}  # fmt: skip
        with pytest.raises(OrchestrationError) as waited:
            client.wait("early", run_id)
    assert any(f"failed in task {name!r} (try 1): {why}" in str(waited.value)
               for name, why in told.items())  # fmt: skip
    assert "Not a directory" in told.pop("log")
    assert {name: why.startswith(REASONS[name]) for name, why in told.items()} == dict.fromkeys(
        REASONS, True
    ), told
    for name, why in REASONS.items():
        entries = airflow.log("early", run_id, tasks[name], 1)
        assert any(why in entry["event"] for entry in entries if entry.get("level") == "error")
    wait_until(
        lambda: (
            {name for (name,) in stack.rows(NEVER_BEGAN, f"%{run_id}%", database="airflow")}
            == OF_THE_SCHEDULER
        ),
        60,
    )

"""A task that fails before its first line says why where a user looks."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

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
TEMPORARY = Path(tempfile.gettempdir())
OF_THE_SCHEDULER = {"supervisor", "log"}
OF_OTHER_WORKERS = {
    "older": "its worker does not know Airflow's task",
    "cut_off": "its worker does not reach Airflow's web server",
}
NEVER_BEGAN = """
    SELECT data::jsonb -> '__var' -> 'kwargs' -> '__var' ->> 'task_id' FROM callback
    WHERE data::text LIKE '%%task_never_began%%' AND data::text LIKE %s AND state = 'success'
"""


def alerts_of(stack: Stack, run_id: str) -> set[str]:
    """Return of which tasks the triggerer has sent an alert."""
    return {name for (name,) in stack.rows(NEVER_BEGAN, f"%{run_id}%", database="airflow")}


def client_of(stack: Stack) -> AirflowClient:
    page = stack.json("credentials")["airflow"]
    return AirflowClient(page["address"], page["user"], page["password"])


def kill_supervisor(stack: Stack) -> None:
    """Kill what watches over the task that waits for this."""
    # Where a task's temporary files go depends on what it is kept from (Layout.temporary_dir).
    places = [folder / "early.pid" for folder in (stack.settings.state / "tmp", TEMPORARY)]

    def told() -> list[Path]:
        return [place for place in places if place.is_file() and place.read_text()]

    wait_until(told, 120)
    [place] = told()
    pid = int(place.read_text())
    place.unlink()
    os.kill(pid, signal.SIGKILL)


def test_a_task_that_never_began_says_why_where_a_user_looks(
    stack: Stack, airflow: Airflow
) -> None:
    run_id = airflow.trigger("early")
    # Where the log of one should be there is a file: nobody can write it.
    folder = stack.home / ".tradewind" / "logs" / "tasks" / "dag_id=early" / f"run_id={run_id}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task_id=log").touch()
    kill_supervisor(stack)
    state, states = airflow.finished("early", run_id)
    assert state == "failed"
    assert set(states.values()) == {"failed"}
    tasks = {task["task_id"]: task for task in airflow.tasks("early", run_id)}
    with client_of(stack) as client:
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
    wait_until(lambda: alerts_of(stack, run_id) == OF_THE_SCHEDULER, 60)


@pytest.fixture
def other_workers(stack: Stack) -> Iterator[None]:
    """Workers of queues of their own: one of another version, one that is cut off."""
    environment = stack.airflow_environment()
    cut_off = {
        **environment,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:9/execution/",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "2",
    }
    # -P, for in its folder there is an airflow.py.
    older = [sys.executable, "-P", str(Path(__file__).with_name("older_worker.py")), "older"]
    airflow = [
        str(Path(sys.executable).with_name("airflow")), "celery", "worker", "--queues", "cut_off",
        "--concurrency", "1", "--skip-serve-logs", "--without-gossip", "--without-mingle",
        "--celery-hostname", "cut_off@localhost", "--pid", str(stack.home / "cut_off.pid"),
    ]  # fmt: skip
    with (stack.home / "other-workers.log").open("w") as log:
        started = [
            subprocess.Popen(
                command, env=found, cwd=stack.settings.state, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )
            for command, found in ((older, environment), (airflow, cut_off))
        ]  # fmt: skip
    yield
    for each in started:
        each.terminate()
    for each in started:
        each.wait(60)


@pytest.mark.usefixtures("other_workers")
def test_a_task_that_its_worker_cannot_begin_says_why(stack: Stack, airflow: Airflow) -> None:
    run_id = airflow.trigger("elsewhere")
    state, states = airflow.finished("elsewhere", run_id)
    assert (state, set(states.values())) == ("failed", {"failed"})
    with client_of(stack) as client:
        told = {
            task.task_id: client.reason("elsewhere", run_id, task)
            for task in client.task_states("elsewhere", run_id)
        }
    assert {name: why.startswith(OF_OTHER_WORKERS[name]) for name, why in told.items()} == (
        dict.fromkeys(OF_OTHER_WORKERS, True)
    ), told
    for task in airflow.tasks("elsewhere", run_id):
        entries = airflow.log("elsewhere", run_id, task, 1)
        assert any(told[task["task_id"]] in entry["event"] for entry in entries)
    wait_until(lambda: alerts_of(stack, run_id) == set(OF_OTHER_WORKERS), 60)


VANISHES = """
from pathlib import Path

from airflow.sdk import DAG, task

from tradewind.orchestration.dags.common import dag_arguments

with DAG({name!r}, schedule=None, **dag_arguments()):

    @task
    def before():
        {how}

    @task(retries=0)
    def after():
        pass

    before() >> after()
"""
HOW = {
    "vanished": ("Path(__file__).unlink()", "the file that its DAG was read from no longer has"),
    "torn": ("Path(__file__).write_text('def (:')", "SyntaxError: "),
}


def test_a_task_whose_file_goes_wrong_before_it_begins_says_why(
    stack: Stack, airflow: Airflow
) -> None:
    for name, (how, _) in HOW.items():
        text = VANISHES.format(name=name, how=how)
        (stack.home / "dags" / f"{name}.py").write_text(text)
    try:
        wait_until(lambda: all(map(airflow.knows, HOW)), 120)
        runs = {name: airflow.trigger(name) for name in HOW}
        for name, run_id in runs.items():
            airflow.reach(name, run_id, "after", {"failed"}, 120)
            with client_of(stack) as client:
                [task] = [
                    task for task in client.task_states(name, run_id) if task.task_id == "after"
                ]
                assert client.reason(name, run_id, task).startswith(HOW[name][1])
    finally:
        for name in HOW:
            (stack.home / "dags" / f"{name}.py").unlink(missing_ok=True)

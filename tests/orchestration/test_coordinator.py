"""A worker's slot is free as soon as its task's process has ended."""

import os
import signal
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest
from airflow.executors.workloads import BundleInfo
from airflow.sdk.api.client import Client
from airflow.sdk.api.datamodels._generated import TaskInstance

from tradewind.orchestration.coordinator import PromptCoordinator

NOW = "2026-01-02T00:00:00Z"
RUN = {
    "dag_id": "d", "run_id": "r", "logical_date": NOW, "data_interval_start": NOW,
    "data_interval_end": NOW, "run_after": NOW, "start_date": NOW, "end_date": None,
    "run_type": "manual", "state": "running", "conf": {}, "consumed_asset_events": [],
    "partition_key": None,
}  # fmt: skip


def answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"dag_run": RUN, "max_tries": 0, "should_retry": False})


def closes_everything_before_it_ends() -> None:
    os.closerange(0, 1024)
    time.sleep(0.3)  # as when the supervisor is woken up before the process is over
    os._exit(0)


def task_of(target: Callable[[], None], client: Client) -> dict[str, Any]:
    task = TaskInstance(
        id=uuid.uuid4(), task_id="t", dag_id="d", run_id="r", try_number=1,
        dag_version_id=uuid.uuid4(), queue="default", pool_slots=1, priority_weight=1,
    )  # fmt: skip
    return {
        "what": task,
        "dag_rel_path": "dags.py",
        "bundle_info": BundleInfo(name="dags", version=None),
        "client": client,
        "subprocess_logs_to_stdout": False,
        "target": target,
    }


# Airflow leaves the child's end of a socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_the_end_of_a_process_is_noticed_after_its_sockets() -> None:
    with Client(
        base_url="http://airflow", token="", transport=httpx.MockTransport(answer)
    ) as client:
        began = time.monotonic()
        result = PromptCoordinator().execute_task(
            **task_of(closes_everything_before_it_ends, client)
        )
        took = time.monotonic() - began
    assert (result.exit_code, result.final_state) == (0, "success")
    assert took < 3  # Airflow's own supervisor asks again after five seconds


def test_a_task_ends_with_its_supervisor_however_that_is_killed() -> None:
    """Else it would work on beside the next try of itself."""
    heard, tell = os.pipe()

    def works_on() -> None:
        os.write(tell, f"{os.getpid()}\n".encode())
        time.sleep(600)

    supervisor = os.fork()
    if supervisor == 0:
        client = Client(base_url="http://airflow", token="", transport=httpx.MockTransport(answer))
        PromptCoordinator().execute_task(**task_of(works_on, client))
        os._exit(0)
    os.close(tell)
    with os.fdopen(heard) as told:
        task = psutil.Process(int(told.readline()))
        assert task.ppid() == supervisor
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        assert told.read() == ""  # the task held the other end
    task.wait(30)

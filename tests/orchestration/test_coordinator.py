"""A worker's slot is free as soon as its task's process has ended."""

import os
import time
import uuid

import httpx
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


# Airflow leaves the child's end of a socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_the_end_of_a_process_is_noticed_after_its_sockets() -> None:
    task = TaskInstance(
        id=uuid.uuid4(), task_id="t", dag_id="d", run_id="r", try_number=1,
        dag_version_id=uuid.uuid4(), queue="default", pool_slots=1, priority_weight=1,
    )  # fmt: skip
    with Client(
        base_url="http://airflow", token="", transport=httpx.MockTransport(answer)
    ) as client:
        began = time.monotonic()
        result = PromptCoordinator().execute_task(
            what=task,
            dag_rel_path="dags.py",
            bundle_info=BundleInfo(name="dags", version=None),
            client=client,
            subprocess_logs_to_stdout=False,
            target=closes_everything_before_it_ends,
        )
        took = time.monotonic() - began
    assert (result.exit_code, result.final_state) == (0, "success")
    assert took < 3  # Airflow's own supervisor asks again after five seconds

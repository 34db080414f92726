"""A worker's slot is free as soon as its task's process has ended."""

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from airflow.executors.workloads import BundleInfo
from airflow.sdk.api.client import Client
from airflow.sdk.api.datamodels._generated import TaskInstance
from dotenv import dotenv_values

from tradewind.orchestration import alerts
from tradewind.orchestration.runtime.coordinator import PromptCoordinator
from tradewind.orchestration.runtime.task_process import OWN_BUNDLE

CHECKOUT = Path(__file__).parents[2]
NOW = "2026-01-02T00:00:00Z"
RUN: dict[str, Any] = {
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


class Server:
    """Airflow's web server, as a supervisor asks it: what it was told, and what it keeps."""

    def __init__(self, *, retries: bool) -> None:
        self.retries = retries
        self.ends: list[dict[str, Any]] = []
        self.kept: dict[str, Any] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        content = json.loads(request.content) if request.content else {}
        if path.startswith("/store/"):
            if request.method == "PUT":
                self.kept["value"] = content["value"]
            return httpx.Response(200 if self.kept else 404, json=self.kept or {"detail": "none"})
        if path.endswith("/state"):
            self.ends.append(content)
        return httpx.Response(
            200, json={"dag_run": RUN, "max_tries": 5, "should_retry": self.retries}
        )


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(alerts, "task_died", lambda **what: told.append(what))
    return told


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def asked_to_end() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def misses_a_service() -> None:
    try:
        httpx.get("http://127.0.0.1:1", trust_env=False)
    except httpx.ConnectError:
        sys.exit(1)


def ends(
    server: Server, target: Callable[[], None], times: int, bundle: str = "specs"
) -> list[str]:
    with Client(
        base_url="http://airflow", token="", transport=httpx.MockTransport(server)
    ) as client:
        for _ in range(times):
            task = task_of(target, client)
            PromptCoordinator().execute_task(
                **{**task, "bundle_info": BundleInfo(name=bundle, version=None)}
            )
    return [end["state"] for end in server.ends]


@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_a_task_that_is_killed_is_tried_as_often_as_one_with_an_error(
    alarms: list[dict[str, Any]],
) -> None:
    server = Server(retries=True)
    assert ends(server, killed, 2) == ["up_for_retry", "failed"]
    assert server.ends[0]["retry_reason"].startswith("it was killed, most likely for memory")
    [alarm] = alarms
    assert alarm["reason"] == server.ends[0]["retry_reason"]
    assert (alarm["dag_id"], alarm["task_id"], alarm["try_number"]) == ("d", "t", 1)


@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("target", "bundle"),
    [(killed, "dags-folder"), (asked_to_end, "specs"), (misses_a_service, "specs")],
    ids=["of a user's own DAG", "asked to end", "an outage"],
)
def test_what_is_no_error_of_our_tasks_is_tried_as_often_as_airflow_says(
    alarms: list[dict[str, Any]], target: Callable[[], None], bundle: str
) -> None:
    assert ends(Server(retries=True), target, 3, bundle) == ["up_for_retry"] * 3
    assert alarms == []


@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_the_last_try_is_told(alarms: list[dict[str, Any]]) -> None:
    server = Server(retries=False)
    assert ends(server, lambda: os._exit(3), 1) == ["failed"]
    assert [each["reason"] for each in alarms] == [
        "its process ended with exit code 3, without a word"
    ]
    assert server.kept == {}


def test_our_bundle_is_the_one_that_airflow_reads() -> None:
    values = dotenv_values(CHECKOUT / "config" / "airflow.env")
    bundles = json.loads(values["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] or "")
    assert OWN_BUNDLE in {each["name"] for each in bundles if "tradewind" in each["classpath"]}

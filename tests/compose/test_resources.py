"""Resources: limits, workers, shared volumes, and many clients at once."""

import itertools
import threading
import time
from typing import Any

import httpx
import pytest

from tests.compose.project import AIRFLOW, Project, memory_of, mlflow_client, stats_of
from tests.support import wait_until

MEBIBYTES = {
    "postgres": 512, "redis": 256, "minio": 512, "mlflow": 1024, "airflow-webserver": 1024,
    "airflow-scheduler": 1024, "airflow-dag-processor": 512, "airflow-triggerer": 512,
    "airflow-worker": 2048, "trading-worker": 512, "secrets": 128, "minio-buckets": 256,
    "mlflow-migrate": 1024, "airflow-init": 1024, "trading-migrate": 128,
    "postgres-roles": 64,
}  # fmt: skip
CLIENTS = 32
SECONDS = 60


def test_every_container_has_its_limit_of_memory(project: Project) -> None:
    found = {
        c.service: c.about["HostConfig"]["Memory"] / 2**20 for c in project.containers(stopped=True)
    }
    assert found == MEBIBYTES
    used = project.memory()
    assert len(used) == 11
    for name, memory in used.items():
        assert memory["limit"] == MEBIBYTES[name.rsplit("-", 1)[0]]  # the kernel knows it
        assert 0 < memory["used"] < memory["limit"]


def test_mlflow_has_a_limit_of_cpu(project: Project) -> None:
    host = project.container("mlflow").about["HostConfig"]
    assert host["NanoCpus"] == 10**9


def test_logs_are_bounded_and_stopping_waits_for_tasks(project: Project) -> None:
    for c in project.containers(stopped=True):
        log = c.about["HostConfig"]["LogConfig"]
        assert log["Config"] == {"max-size": "10m", "max-file": "3"}, c.name
    workers = project.containers("airflow-worker", "trading-worker")
    assert min(c.about["Config"]["StopTimeout"] for c in workers) >= 300


def test_there_are_two_workers_unless_told_otherwise(project: Project) -> None:
    assert [c.name for c in project.containers("airflow-worker")] == [
        "airflow-worker-1", "airflow-worker-2",
    ]  # fmt: skip


def test_dags_and_logs_are_on_the_same_volumes(project: Project) -> None:
    places = {
        "/opt/tradewind/dags": "bind",
        "/opt/tradewind/strategies": "bind",
        "/opt/tradewind/sources": "bind",
        "/var/log/airflow": "volume",
        "/var/lib/tradewind": "volume",
    }
    for place, kind in places.items():
        mounts = {
            (mount["Type"], mount["Source"])
            for c in project.containers(*AIRFLOW)
            for mount in c.about["Mounts"]
            if mount["Destination"] == place
        }
        assert len(mounts) == 1
        assert mounts.pop()[0] == kind
    mounted = [
        {mount["Destination"] for mount in c.about["Mounts"]} for c in project.containers(*AIRFLOW)
    ]
    assert len(mounted) == 6
    assert all(set(places) <= destinations for destinations in mounted)


def test_a_new_strategy_is_seen_by_all_and_becomes_a_dag(
    project: Project, airflow: httpx.Client
) -> None:
    text = (project.home / "strategies" / "momentum.yaml").read_text()
    new = project.home / "strategies" / "second.yaml"
    new.write_text(text.replace("name: momentum", "name: second"))
    try:
        for c in project.containers(*AIRFLOW):
            said = project.execute(c, "cat", "/opt/tradewind/strategies/second.yaml")
            assert "name: second" in said
        wait_until(lambda: airflow.get("/api/v2/dags/train_second").is_success, 60)
    finally:
        new.unlink()


def test_a_workers_log_is_read_by_the_webserver(
    project: Project, airflow: httpx.Client, training: dict[str, Any]
) -> None:
    run = training["dag_run_id"]
    train = next(task for task in training["tasks"] if task["task_id"] == "train")
    file = (
        f"/var/log/airflow/tasks/dag_id=train_believed/run_id={run}/task_id=train/"
        f"attempt={train['try_number']}.log"
    )
    for service in ("airflow-worker", "airflow-webserver"):
        assert "trained believed on" in project.execute(service, "cat", file)
    shown = airflow.get(
        f"/api/v2/dags/train_believed/dagRuns/{run}/taskInstances/train/logs/{train['try_number']}",
        headers={"Accept": "application/json"},
    )
    assert "trained believed on" in shown.text


class Client(threading.Thread):
    """Logs one run after the other to MLflow: parameters, metrics by the hundred, a file."""

    def __init__(self, login: dict[str, str], experiment: str, until: float) -> None:
        super().__init__()
        self._login, self._experiment, self._until = login, experiment, until
        self.runs = 0
        self.slowest = 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with mlflow_client(self._login) as client:
                while time.monotonic() < self._until:
                    self._log_a_run(client)
                    self.runs += 1
        except (httpx.HTTPError, AssertionError) as error:
            self.error = error

    def _log_a_run(self, client: httpx.Client) -> None:
        api = "/api/2.0/mlflow"
        info = self._send(
            client, "POST", f"{api}/runs/create", json={"experiment_id": self._experiment}
        ).json()["run"]["info"]
        now = time.time_ns() // 10**6
        params = [{"key": f"p{i}", "value": str(i)} for i in range(10)]
        for part, given in ((0, params), (1, [])):
            metrics = [
                {"key": "loss", "value": 1 / (i + 1), "timestamp": now, "step": 100 * part + i}
                for i in range(100)
            ]
            body = {"run_id": info["run_id"], "metrics": metrics, "params": given}
            self._send(client, "POST", f"{api}/runs/log-batch", json=body)
        path = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
        self._send(
            client, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.bin", content=bytes(10**5)
        )
        self._send(
            client, "POST", f"{api}/runs/update",
            json={"run_id": info["run_id"], "status": "FINISHED", "end_time": now},
        )  # fmt: skip

    def _send(self, client: httpx.Client, method: str, path: str, **body: Any) -> httpx.Response:
        answer = client.request(method, path, **body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        self.slowest = max(self.slowest, answer.elapsed.total_seconds())
        return answer


def test_32_clients_log_to_mlflow_at_once(
    project: Project,
    logins: dict[str, dict[str, str]],
    mlflow: httpx.Client,
    s3: Any,
    figures: dict[str, str],
) -> None:
    experiment = mlflow.post(
        "/api/2.0/mlflow/experiments/create", json={"name": f"crowd-{time.time_ns()}"}
    ).json()["experiment_id"]
    restarts = {c.id: c.about["RestartCount"] for c in project.containers()}
    began = time.monotonic()
    clients = [Client(logins["mlflow"], experiment, began + SECONDS) for _ in range(CLIENTS)]
    peak = 0.0
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        peak = max(peak, memory_of(stats_of(project.container("mlflow")))["used"])
    assert [client.error for client in clients if client.error] == []
    assert all(client.runs for client in clients)
    runs = sum(client.runs for client in clients)
    figures[f"{CLIENTS} clients for {SECONDS} s"] = (
        f"{runs} runs of 200 metrics, 10 parameters and a file, slowest request "
        f"{max(client.slowest for client in clients):.1f} s, MLflow's memory at most {peak:.0f} MiB"
    )
    # All of it has arrived.
    count = "SELECT status, count(*) FROM runs WHERE experiment_id = {} GROUP BY status"
    assert project.sql(count.format(experiment), "mlflow") == [["FINISHED", str(runs)]]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="mlflow", Prefix=f"{experiment}/")
    objects = itertools.chain.from_iterable(page.get("Contents", []) for page in pages)
    assert sum(entry["Size"] == 10**5 for entry in objects) == runs
    # And nobody was killed on the way.
    assert [e for e in project.events() if e.what == "oom"] == []
    now = project.containers()
    assert {c.id: c.about["RestartCount"] for c in now} == restarts
    assert not [c.name for c in now if c.state["OOMKilled"]]
    project.wait_healthy()


@pytest.mark.disturbs
def test_as_many_workers_as_asked_for(project: Project) -> None:
    before = {c.name: c.id for c in project.containers("airflow-worker")}
    project.up(AIRFLOW_WORKER_REPLICAS="3")
    three = {c.name: c.id for c in project.containers("airflow-worker")}
    assert set(three) == {"airflow-worker-1", "airflow-worker-2", "airflow-worker-3"}
    # Each takes tasks: Redis knows them all.
    addresses = {c.address("broker") for c in project.containers("airflow-worker")}

    def consumers() -> set[str]:
        clients = [
            dict(word.split("=", 1) for word in line.split())
            for line in project.redis("CLIENT", "LIST").splitlines()
        ]
        return {c["addr"].rsplit(":", 1)[0] for c in clients if c["cmd"] == "brpop"}

    wait_until(lambda: addresses <= consumers(), 30, of=consumers)
    project.up()
    # The two of before were never touched.
    assert {c.name: c.id for c in project.containers("airflow-worker")} == before
    assert before.items() <= three.items()

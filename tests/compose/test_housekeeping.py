"""Housekeeping in containers: each part is done by the container that may."""

import json

import httpx

from tests.compose.project import Project
from tests.support import wait_until


def test_a_night_removes_measures_and_is_shown(project: Project, airflow: httpx.Client) -> None:
    dag = "/api/v2/dags/housekeeping"
    wait_until(lambda: airflow.get(dag).is_success, 60)
    made = airflow.post(f"{dag}/dagRuns", json={"logical_date": None})
    assert made.is_success, made.text
    path = f"{dag}/dagRuns/{made.json()['dag_run_id']}"

    def states() -> dict[str, str]:
        found = airflow.get(f"{path}/taskInstances").json()["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    wait_until(lambda: airflow.get(path).json()["state"] in {"success", "failed"}, 240, of=states)
    assert states() == dict.fromkeys(["airflow", "mlflow", "bars", "disk"], "success")
    usage = json.loads(project.execute("airflow-worker", "tradewind", "disk", "--json"))
    sizes = {part["name"]: part["bytes"] for part in usage["parts"]}
    assert set(sizes) == {
        "Airflow's logs", "MLflow's files", "Redis", "bars", "database airflow",
        "database mlflow", "database tradewind",
    }  # fmt: skip
    assert sizes["database mlflow"] > 2**20

"""A task that its author made hostile is refused at each door, in containers."""

import shutil
from pathlib import Path

import httpx

from tests.compose.project import Project
from tests.hostile import told_of
from tests.support import wait_until

DAG = Path(__file__).parents[1] / "stack" / "dags" / "hostile.py"


def test_a_hostile_task_is_refused_at_each_door(
    project: Project,
    airflow: httpx.Client,
    logins: dict[str, dict[str, str]],
    secrets: dict[str, str],
) -> None:
    shutil.copy(DAG, project.home / "dags")
    page = logins["mlflow"]
    with httpx.Client(
        base_url=f"{page['address']}/api/2.0/mlflow", auth=(page["user"], page["password"]),
        timeout=60,
    ) as mlflow:  # fmt: skip
        told = told_of(mlflow, secrets)
    path = "/api/v2/dags/hostile"
    wait_until(lambda: airflow.get(path).is_success, 120)
    made = airflow.post(f"{path}/dagRuns", json={"logical_date": None, "conf": told})
    assert made.is_success, made.text
    run = f"{path}/dagRuns/{made.json()['dag_run_id']}"
    wait_until(lambda: airflow.get(run).json()["state"] in {"success", "failed"}, 300)
    log = airflow.get(f"{run}/taskInstances/tries/logs/1").text
    assert airflow.get(run).json()["state"] == "success", log[-3000:]
    deferred = airflow.get(f"{run}/taskInstances/defers/logs/1").text
    assert "is not of an installed package" in deferred
    value = f"{run}/taskInstances/tries/xcomEntries/return_value"
    found = airflow.get(value, params={"deserialize": "true"}).json()["value"]
    assert len(found) >= 70
    assert {name: tried["said"] for name, tried in found.items() if not tried["shut"]} == {}

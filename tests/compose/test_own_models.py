"""A model of the desk's own, trained and registered in containers."""

import shutil
from pathlib import Path

import httpx

from tests.compose.project import Project, start_training
from tests.support import wait_until

FILES = Path(__file__).parents[1] / "stack" / "strategies"


def test_it_is_trained_kept_with_its_code_and_asked_by_it(
    project: Project, airflow: httpx.Client, mlflow: httpx.Client
) -> None:
    for name in ("sequential_model.py", "sequential.yaml"):
        shutil.copy(FILES / name, project.home / "strategies")
    path = start_training(airflow, "sequential")
    wait_until(lambda: airflow.get(path).json()["state"] in {"success", "failed"}, 180)
    assert airflow.get(path).json()["state"] == "success"
    found = mlflow.get(
        "/api/2.0/mlflow/registered-models/alias",
        params={"name": "sequential", "alias": "champion"},
    ).json()["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert tags["tradewind.model_code_sha256"] != "none"
    asked = project.python(
        "airflow-worker",
        "from tradewind.registry.retrieval import load_registered\n"
        "print(type(load_registered('sequential').model.native.instance).__name__)",
    )
    assert asked.splitlines()[-1] == "Network"

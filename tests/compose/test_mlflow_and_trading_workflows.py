"""A training run's metrics, its model's files and the model itself, from outside the stack."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose.project import Project

# A program of the test's own: no module of ours between it and the registry.
PREDICT = """
import json
import mlflow, numpy
model = mlflow.pyfunc.load_model("models:/momentum@champion")
columns = model.metadata.get_input_schema().input_names()
import pandas
rows = pandas.DataFrame(numpy.linspace(-1, 1, 5 * len(columns)).reshape(5, -1), columns=columns)
print(json.dumps([float(value) for value in model.predict(rows)]))
"""


@pytest.fixture(scope="module")
def version(mlflow: httpx.Client, training: dict[str, Any]) -> dict[str, Any]:
    """The version that the run made: it becomes challenger, and the first one champion, too."""
    assert training["state"] == "success"
    return mlflow.get(
        "/api/2.0/mlflow/registered-models/alias",
        params={"name": "momentum", "alias": "challenger"},
    ).json()["model_version"]


def test_the_run_logged_its_metrics(
    project: Project, mlflow: httpx.Client, version: dict[str, Any], training: dict[str, Any]
) -> None:
    run = mlflow.get("/api/2.0/mlflow/runs/get", params={"run_id": version["run_id"]}).json()["run"]
    assert run["info"]["status"] == "FINISHED"
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert training["dag_run_id"] in tags.values()
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert "sharpe" in metrics
    rows = project.sql(
        f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{version['run_id']}'", "mlflow"
    )
    assert {key: pytest.approx(float(value)) for key, value in rows} == metrics


def test_the_models_files_are_objects(
    project: Project, mlflow: httpx.Client, version: dict[str, Any], s3: Any
) -> None:
    uri = project.sql(
        "SELECT storage_location FROM model_versions WHERE name = 'momentum' AND version = "
        f"{version['version']}",
        "mlflow",
    )[0][0]
    prefix = uri.removeprefix("mlflow-artifacts:/") + "/"
    listed = s3.list_objects_v2(Bucket="mlflow", Prefix=prefix)["Contents"]
    names = {entry["Key"].removeprefix(prefix) for entry in listed}
    assert {"MLmodel", "model.lgb", "requirements.txt"} <= names
    # The object is what MLflow hands to those who ask it, byte by byte.
    for name in ("MLmodel", "model.lgb"):
        own = s3.get_object(Bucket="mlflow", Key=prefix + name)["Body"].read()
        assert len(own) > 100
        asked = mlflow.get(f"/api/2.0/mlflow-artifacts/artifacts/{prefix}{name}")
        assert asked.content == own


@pytest.mark.usefixtures("version")
def test_the_model_is_loaded_by_alias_and_predicts(
    logins: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    login = logins["mlflow"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREDICT],
        env={
            "MLFLOW_TRACKING_URI": login["address"],
            "MLFLOW_TRACKING_USERNAME": login["user"],
            "MLFLOW_TRACKING_PASSWORD": login["password"],
            "HOME": str(tmp_path),
        },
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    predictions = json.loads(done.stdout.splitlines()[-1])
    assert len(predictions) == 5
    assert len(set(predictions)) > 1  # a model, not a constant
    assert all(abs(value) < 1 for value in predictions)


def test_a_worker_fetches_it_without_a_way_to_minio(
    project: Project, version: dict[str, Any]
) -> None:
    said = project.python(
        "airflow-worker",
        "from tradewind.registry.retrieval import load_registered\n"
        "found = load_registered('momentum', 'challenger')\n"
        "print(found.info.version, found.model.num_trees() > 0)",
    )
    assert said.splitlines()[-1] == f"{version['version']} True"
    knock = ("bash", "-c", "exec 3<>/dev/tcp/minio/9000")
    assert "minio" in project.execute("airflow-worker", *knock, check=False)

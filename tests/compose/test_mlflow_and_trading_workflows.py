"""A training run's metrics, evidence and model, from outside the stack."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose.project import COMMIT, Project

# A program of the test's own: no module of ours between it and the registry.
PREDICT = """
import json
import mlflow, numpy
model = mlflow.pyfunc.load_model("models:/believed@champion")
columns = model.metadata.get_input_schema().input_names()
import pandas
rows = pandas.DataFrame(numpy.linspace(-1, 1, 5 * len(columns)).reshape(5, -1), columns=columns)
print(json.dumps([float(value) for value in model.predict(rows)]))
"""


@pytest.fixture(scope="module")
def version(mlflow: httpx.Client, training: dict[str, Any]) -> dict[str, Any]:
    """The version that the run made: its gate let it pass, so it is challenger and champion."""
    assert training["state"] == "success"
    return mlflow.get(
        "/api/2.0/mlflow/registered-models/alias",
        params={"name": "believed", "alias": "challenger"},
    ).json()["model_version"]


def test_the_run_logged_its_metrics(
    project: Project, mlflow: httpx.Client, version: dict[str, Any], training: dict[str, Any]
) -> None:
    run = mlflow.get("/api/2.0/mlflow/runs/get", params={"run_id": version["run_id"]}).json()["run"]
    assert run["info"]["status"] == "FINISHED"
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    evidence = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert training["dag_run_id"] in evidence.values()
    # A container has no git: the image knows what it was built from.
    assert evidence["tradewind.git_commit"] == COMMIT
    assert COMMIT.startswith(tags["tradewind.commit"].split()[0])
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert "sharpe" in metrics
    rows = project.sql(
        f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{version['run_id']}'", "mlflow"
    )
    assert {key: pytest.approx(float(value)) for key, value in rows} == metrics


def test_what_passed_its_gate_is_the_champion(
    mlflow: httpx.Client, version: dict[str, Any]
) -> None:
    champion = mlflow.get(
        "/api/2.0/mlflow/registered-models/alias", params={"name": "believed", "alias": "champion"}
    ).json()["model_version"]
    assert champion["version"] == version["version"]
    tags = {tag["key"]: tag["value"] for tag in champion["tags"]}
    assert tags["tradewind.gate"] == "passed"


def test_the_evidence_is_objects(mlflow: httpx.Client, version: dict[str, Any], s3: Any) -> None:
    run = mlflow.get("/api/2.0/mlflow/runs/get", params={"run_id": version["run_id"]}).json()["run"]
    prefix = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/"
    listed = s3.list_objects_v2(Bucket="mlflow", Prefix=prefix)["Contents"]
    sizes = {entry["Key"].removeprefix(prefix): entry["Size"] for entry in listed}
    assert sizes.keys() >= {
        "tearsheet/tearsheet.html", "tearsheet/tearsheet.png", "folds.json", "trials.parquet",
        "validation.json", "importance.json", "strategy.json", "gate.json",
        "predictions/reference.parquet",
    }  # fmt: skip
    assert min(sizes.values()) > 0


def test_the_models_files_are_objects(
    project: Project, mlflow: httpx.Client, version: dict[str, Any], s3: Any
) -> None:
    uri = project.sql(
        "SELECT storage_location FROM model_versions WHERE name = 'believed' AND version = "
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
        "found = load_registered('believed', 'challenger')\n"
        "print(found.info.version, found.model.native.num_trees() > 0)",
    )
    assert said.splitlines()[-1] == f"{version['version']} True"
    knock = ("bash", "-c", "exec 3<>/dev/tcp/minio/9000")
    assert "minio" in project.execute("airflow-worker", *knock, check=False)

"""MLflow starts: PostgreSQL keeps its metadata, MinIO its files, as objects of ``s3://mlflow``."""

import time
from typing import Any

import httpx

from tests.compose.project import Project


def test_the_page_and_its_login(logins: dict[str, dict[str, str]]) -> None:
    login = logins["mlflow"]
    right = (login["user"], login["password"])
    page = httpx.get(login["address"], auth=right, timeout=30)
    assert page.status_code == httpx.codes.OK
    assert "<title>MLflow</title>" in page.text
    assert httpx.get(f"{login['address']}/health", timeout=30).text == "OK"
    wrong = httpx.get(login["address"], auth=(login["user"], "wrong"), timeout=30)
    assert wrong.status_code == httpx.codes.UNAUTHORIZED


def test_metadata_goes_to_postgresql_and_files_to_minio(
    project: Project, mlflow: httpx.Client, s3: Any
) -> None:
    name = f"test-{time.time_ns()}"
    api = "/api/2.0/mlflow"
    experiment = mlflow.post(f"{api}/experiments/create", json={"name": name}).json()
    run = mlflow.post(
        f"{api}/runs/create", json={"experiment_id": experiment["experiment_id"], "run_name": name}
    ).json()["run"]["info"]
    metric = {"key": "sharpe", "value": 1.25, "timestamp": time.time_ns() // 10**6, "step": 3}
    logged = mlflow.post(
        f"{api}/runs/log-batch", json={"run_id": run["run_id"], "metrics": [metric]}
    )
    assert logged.is_success, logged.text
    content = f"bytes of {name}".encode()
    # What a client is told to use: MLflow itself, which holds MinIO's password.
    assert run["artifact_uri"].startswith("mlflow-artifacts:/")
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/notes/a.txt"
    put = mlflow.put(f"/api/2.0/mlflow-artifacts/artifacts/{path}", content=content)
    assert put.is_success, put.text

    rows = "SELECT key, value, step FROM metrics WHERE run_uuid = '{}'".format(run["run_id"])
    assert project.sql(rows, "mlflow") == [["sharpe", "1.25", "3"]]
    assert project.sql(f"SELECT name FROM experiments WHERE name = '{name}'", "mlflow") == [[name]]
    assert s3.get_object(Bucket="mlflow", Key=path)["Body"].read() == content


def test_the_bucket_is_the_only_one_and_keeps_versions(s3: Any) -> None:
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["mlflow"]
    assert s3.get_bucket_versioning(Bucket="mlflow")["Status"] == "Enabled"

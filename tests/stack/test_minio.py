"""MLflow's files as objects in MinIO: the stores and MLflow, without Airflow."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.stack.conftest import NewStack, Stack, root_login
from tests.support import wait_until
from tradewind.registry.provenance import collect
from tradewind.registry.retrieval import verify_round_trip
from tradewind.registry.tracking import log_training
from tradewind.stack.layout import Layout

PART = (
    "postgres", "databases", "redis", "minio", "minio-buckets",
    "forkserver", "mlflow-migrate", "mlflow",
)  # fmt: skip


PROBE = "tradewind-probe"


@contextmanager
def s3_client(stack: Stack) -> Iterator[Any]:
    environment = root_login(stack)
    client = boto3.client(
        "s3",
        endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    try:
        yield client
    finally:
        client.close()


def objects(stack: Stack) -> set[str]:
    with s3_client(stack) as client:
        found = {entry["Key"] for entry in client.list_objects_v2(Bucket="mlflow")["Contents"]}
    return found - {PROBE}  # there for a moment


def versions_of_the_probe(stack: Stack) -> list[str]:
    with s3_client(stack) as client:
        listed = client.list_object_versions(Bucket="mlflow", Prefix=PROBE)
    return [
        each["VersionId"] for kind in ("Versions", "DeleteMarkers") for each in listed.get(kind, ())
    ]


# MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
@pytest.mark.usefixtures("_mlflow_imported")
def test_a_model_in_minio_outlives_the_stack(
    new_stack: NewStack, tmp_path: Path, training: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = new_stack(tmp_path / "home").part(*PART)
    del stack.environment["TRADEWIND_ARTIFACT_STORE"]  # a minio on PATH is enough
    state = stack.settings.state
    try:
        stack.ok("up", "--detach", timeout=1800)
        assert stack.status()["healthy"]
        login = json.loads(stack.ok("credentials", "--json"))["mlflow"]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", login["address"])
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", login["user"])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", login["password"])
        # Clients that cannot reach MinIO must not be sent there.
        server = httpx.get(
            f"{login['address']}/api/3.0/mlflow/server-info",
            auth=(login["user"], login["password"]),
        ).json()
        assert server["multipart_downloads_enabled"] is False
        assert server["multipart_uploads_enabled"] is False
        ref = log_training(
            training.result, strategy=training.strategy, snapshot_id=training.snapshot_id,
            provenance=collect(stack.home),
        )  # fmt: skip
        from mlflow import MlflowClient

        MlflowClient().set_registered_model_alias(ref.name, "champion", ref.version)

        kept = objects(stack)
        assert [key for key in kept if key.endswith("/model.lgb")]
        assert [key for key in kept if key.endswith("backtest/equity_and_drawdown.png")]
        assert list(Layout(state).artifacts_dir.iterdir()) == []
        # The bucket keeps versions of what is deleted; a probe every few seconds must leave none.
        wait_until(lambda: versions_of_the_probe(stack) == [], 60)

        found = {c["name"]: c["problem"] for c in json.loads(stack.run("doctor", "--json").stdout)}
        assert found[f"port {stack.settings.minio_port}"] == ""
        assert found["secrets agree"] == ""
        assert found["mlflow artifacts"] == ""

        stack.ok("down")
        contradiction = stack.environment | {"TRADEWIND_ARTIFACT_STORE": "directory"}
        refused = type(stack)(stack.home, contradiction, stack.program).run("up", "--detach")
        assert refused.returncode == 1
        assert "kept in minio" in refused.stderr

        stack.ok("up", "--detach", timeout=1800)
        assert objects(stack) == kept
        assert verify_round_trip(ref.name, "champion", training.store) > 0
    finally:
        stack.run("down")

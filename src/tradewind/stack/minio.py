"""MinIO, where a `minio` program is on PATH: MLflow's files as objects of ``s3://mlflow``."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tradewind.errors import StackError
from tradewind.settings import Settings
from tradewind.stack import probes
from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.ports import Port
from tradewind.stack.secrets import Secrets
from tradewind.stack.service import Service

__all__ = [
    "BUCKET",
    "USER",
    "client_environment",
    "create_bucket",
    "is_chosen",
    "is_used",
    "note_theirs",
    "services",
]

BUCKET = "mlflow"
USER = "tradewind"


def is_chosen(settings: Settings, layout: Layout) -> bool:
    """Whether MLflow's files are kept in MinIO.

    Decided at the first start and kept: another store would not have the files of before.

    Raises
    ------
    StackError
        If MinIO was chosen and its program is missing, or the setting contradicts the choice.
    """
    record = _record(layout)
    if record.exists() and record.read_text() == "theirs":
        raise StackError(
            "MLflow's files are kept in the bucket of a team, and TRADEWIND_OBJECTS_URL no longer "
            "names it. Set it again, or start anew with another TRADEWIND_STATE_DIR."
        )
    present = shutil.which("minio") is not None
    wanted = settings.artifact_store
    if wanted == "auto":
        wanted = "minio" if present else "directory"
        if record.exists():
            wanted = "minio" if record.read_text() == "minio" else "directory"
    if record.exists() and record.read_text() != wanted:
        raise StackError(
            f"TRADEWIND_ARTIFACT_STORE is {wanted}, but MLflow's files are kept in "
            f"{record.read_text()}. Unset it, or start anew with another TRADEWIND_STATE_DIR."
        )
    if wanted == "minio" and not present:
        raise StackError(
            "MLflow's files are kept in MinIO and no `minio` program is on PATH: install it "
            "(go install github.com/minio/minio@latest)"
        )
    if not record.exists():
        write_atomically(record, wanted)
    return wanted == "minio"


def note_theirs(layout: Layout) -> None:
    """Note that MLflow's files are kept in a team's bucket, which another store would not have.

    Raises
    ------
    StackError
        If they are kept elsewhere by now.
    """
    record = _record(layout)
    if record.exists() and record.read_text() != "theirs":
        raise StackError(
            f"TRADEWIND_OBJECTS_URL names a bucket, but MLflow's files are kept in "
            f"{record.read_text()}. Unset it, or start anew with another TRADEWIND_STATE_DIR."
        )
    if not record.exists():
        write_atomically(record, "theirs")


def is_used(layout: Layout) -> bool:
    """Whether the first start chose MinIO."""
    record = _record(layout)
    return record.exists() and record.read_text() == "minio"


def _record(layout: Layout) -> Path:
    return layout.root / "artifact-store"


def client_environment(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Variables by which an S3 client reaches MinIO."""
    return {
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{settings.minio_port}",
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": secrets.minio_root,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def services(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> list[Service]:
    """MinIO and the step that makes its bucket."""
    url = f"http://127.0.0.1:{settings.minio_port}"
    return [
        Service(
            "minio",
            ["minio", "server", str(layout.minio_dir),
             "--address", f"127.0.0.1:{settings.minio_port}",
             "--console-address", f"127.0.0.1:{settings.minio_console_port}"],
            {**base, "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": secrets.minio_root,
             "MINIO_UPDATE": "off"},  # it asks nobody for newer versions
            probe=probes.http_ok(f"{url}/minio/health/ready"),
            ports=(
                Port(settings.minio_port, "TRADEWIND_MINIO_PORT"),
                Port(settings.minio_console_port, "TRADEWIND_MINIO_CONSOLE_PORT"),
            ),
            address=f"http://127.0.0.1:{settings.minio_console_port}",
        ),
        Service(
            "minio-buckets",
            [],
            needs=("minio",),
            prepare=lambda: create_bucket(client_environment(settings, secrets)),
        ),
    ]  # fmt: skip


def create_bucket(environment: Mapping[str, str]) -> None:
    """Make the bucket of MLflow's files if there is none, and keep its objects' old versions.

    Parameters
    ----------
    environment : mapping
        As from `client_environment`.
    """
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

"""MLflow's files in S3, reached through MLflow's server alone.

An artifact repository for MLflow (entry point ``mlflow.artifact_repository``), named by the scheme
``behind-server``: ``behind-server://bucket/path`` is ``s3://bucket/path`` without presigned
addresses. With plain ``s3://`` the server hands such addresses of the store to its clients. Clients
that cannot reach the store, as here, retry them for minutes. No setting of the server prevents
that.
"""

# ruff: noqa: TID253 - loaded by MLflow

from typing import Any, Final

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "SCHEME", "BehindServer"]

FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            "mlflow.store.artifact.artifact_repo:ArtifactRepository._download_file",
            "mlflow.store.artifact.s3_artifact_repo:S3ArtifactRepository._download_file",
            "mlflow.store.artifact.s3_artifact_repo:S3ArtifactRepository._get_s3_client",
            "mlflow.store.artifact.s3_artifact_repo:S3ArtifactRepository.parse_s3_compliant_uri",
        ),
        "keep clients from addresses of the object store, which they do not reach",
        "MLflow's server does not start in containers",
    ),
)

SCHEME = "behind-server"


class BehindServer(ArtifactRepository):
    """Passes all to MLflow's own repository for S3, but offers no presigned addresses."""

    def __init__(self, artifact_uri: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

        super().__init__(artifact_uri, *args, **kwargs)
        self._s3: Any = S3ArtifactRepository(artifact_uri.replace(SCHEME, "s3", 1), *args, **kwargs)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store a file."""
        self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store a folder."""
        self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what a folder holds."""
        found: list[FileInfo] = self._s3.list_artifacts(path)
        return found

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file or a folder."""
        self._s3.delete_artifacts(artifact_path)

    def erase(self, name: str) -> None:
        """Delete a file with all of its versions, which a bucket keeps of what is deleted."""
        bucket, folder = self._s3.parse_s3_compliant_uri(self.artifact_uri.replace(SCHEME, "s3", 1))
        key = f"{folder}/{name}" if folder else name
        s3 = self._s3._get_s3_client()  # noqa: SLF001 - with MLflow's own settings of S3
        listed = s3.list_object_versions(Bucket=bucket, Prefix=key)
        versions = [
            {"Key": key, "VersionId": each["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for each in listed.get(kind, ())
            if each["Key"] == key
        ]
        if versions:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})

    def all_bytes(self) -> int:
        """Return the bytes of everything that is stored here."""
        bucket, folder = self._s3.parse_s3_compliant_uri(self.artifact_uri.replace(SCHEME, "s3", 1))
        s3 = self._s3._get_s3_client()  # noqa: SLF001 - with MLflow's own settings of S3
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
        return sum(each["Size"] for page in pages for each in page.get("Contents", ()))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._s3._download_file(remote_file_path, local_path)  # noqa: SLF001 - its own interface

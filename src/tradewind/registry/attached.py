"""Files of a desk's own that a version keeps and nobody reads, such as a model fitted elsewhere."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import RegistryError
from tradewind.registry import _names as names

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["attach", "hash_of_files"]


def hash_of_files(path: Path) -> str:
    """Return the SHA-256 of a file, or of the lines ``<SHA-256>  <path>`` of a folder's files.

    Raises
    ------
    RegistryError
        If there is none, or one cannot be read.
    """
    try:
        if path.is_file():
            return _digest(path)
        files = sorted(each for each in path.rglob("*") if each.is_file())
        lines = "".join(f"{_digest(each)}  {each.relative_to(path).as_posix()}\n" for each in files)
    except OSError as error:
        raise RegistryError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not lines:
        raise RegistryError(f"{path} is no file, and no folder with files: name what is to be kept")
    return hashlib.sha256(lines.encode()).hexdigest()


def attach(client: "MlflowClient", run_id: str, path: Path) -> None:
    """Keep a file or a folder with a run; MLflow's own errors pass through."""
    if path.is_file():
        client.log_artifact(run_id, str(path), names.ATTACHED_FOLDER)
    else:
        client.log_artifacts(run_id, str(path), names.ATTACHED_FOLDER)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

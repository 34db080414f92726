"""What a version's run keeps as files and tags, read back and checked."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry.version_info import VersionInfo
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl
    from mlflow import MlflowClient

__all__ = ["download", "is_there", "read_parquet", "required_tag", "strategy_of"]


def strategy_of(info: VersionInfo) -> Strategy:
    """Return the strategy that a version was trained by.

    Raises
    ------
    RegistryError
        If this version of tradewind cannot read it, or it is not the one that was registered.
    """
    content = download(info, names.STRATEGY_FILE).decode()
    try:
        strategy = Strategy.recorded(content)
    except ValidationError as error:
        raise RegistryError(
            f"{info.name} version {info.version} was trained by a strategy that this version of "
            f"tradewind cannot read: {error}. Train it again"
        ) from error
    if strategy.content_hash() != required_tag(info, names.STRATEGY_SHA256):
        raise RegistryError(
            f"{info.name} version {info.version}: {names.STRATEGY_FILE} of run {info.run_id} is "
            "not the strategy that was registered. Somebody changed the file; train the strategy "
            "again"
        )
    return strategy


def required_tag(info: VersionInfo, key: str) -> str:
    """Return a tag that every version of ours is born with.

    Raises
    ------
    RegistryError
        If it is not there.
    """
    try:
        return info.tags[key]
    except KeyError:
        raise RegistryError(
            f"{info.name} version {info.version} has no tag {key!r}, so it was not registered by "
            "tradewind, or the tag was removed. Train the strategy again"
        ) from None


def is_there(client: "MlflowClient", info: VersionInfo, path: str) -> bool:
    """Return whether a version's run keeps a file; a run that is gone keeps none."""
    if info.run_stage == "gone":
        return False
    folder = str(PurePosixPath(path).parent)
    listed = client.list_artifacts(info.run_id, None if folder == "." else folder)
    return path in {file.path for file in listed}


def download(info: VersionInfo, path: str) -> bytes:
    """Return a file of a version's run; MLflow's own errors pass through.

    Raises
    ------
    RegistryError
        If the run is gone.
    """
    if info.run_stage == "gone":
        raise RegistryError(
            f"{info.name} version {info.version}: its run {info.run_id or '(none)'} was deleted "
            f"from MLflow for good, and its evidence with it, {path} included. Promote another "
            f"version (`tradewind models show {info.name}` lists them), or train again with "
            f"`tradewind train {info.name}`"
        )
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
        local = download_artifacts(run_id=info.run_id, artifact_path=path, dst_path=folder)
        return Path(local).read_bytes()


def read_parquet(content: bytes) -> "pl.DataFrame":
    """Return the table in the bytes of a Parquet file."""
    import io

    import polars as pl

    return pl.read_parquet(io.BytesIO(content))

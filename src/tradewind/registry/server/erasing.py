"""Erases runs that people deleted long ago, with their files, and says how large the stores are.

``mlflow gc`` needs the logins of database and artifact store, erases runs that registered versions
stand on, and leaves the files of models that a run logged. Here the server does it when it is
asked. Whoever has a login may ask; what goes is said by the server's own settings alone. A run
stays in the bin while a registered version names it, or a model that it logged.

Files go before rows: after a crash the next request finds the row and does the rest.
"""

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask, Response, jsonify, request

from tradewind.foreign import ForeignNames
from tradewind.registry._names import ERASING_PATH

__all__ = ["FOREIGN", "Erased", "erase_deleted", "serve_erasing"]

_STORE: Final = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"
FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            f"{_STORE}._hard_delete_logged_model",
            f"{_STORE}._hard_delete_run",
            "mlflow.store.artifact.local_artifact_repo:LocalArtifactRepository.artifact_dir",
        ),
        "erase deleted runs when the server is asked to, as `mlflow gc` does",
        "deleted runs stay; `mlflow gc` erases them",
    ),
)

_AT_ONCE: Final = 50  # runs a request
_ALL: Final = 2**31 - 1

# A version that was deleted keeps its row, under this stage.
_VERSION: Final = "coalesce(version.current_stage, '') <> 'Deleted_Internal'"
_NAMES_MODEL: Final = """(
    version.source LIKE '%' || model.model_id || '%'
    OR version.storage_location LIKE '%' || model.model_id || '%')"""
_OLD: Final = f"""
    FROM runs run
    WHERE run.lifecycle_stage = 'deleted' AND run.deleted_time < :before
    AND run.artifact_uri LIKE 'mlflow-artifacts:/%/' || run.run_uuid || '/artifacts'
    AND NOT EXISTS (
        SELECT 1 FROM model_versions version
        WHERE version.run_id = run.run_uuid AND {_VERSION})
    AND NOT EXISTS (
        SELECT 1 FROM logged_models model, model_versions version
        WHERE model.source_run_id = run.run_uuid AND {_VERSION} AND {_NAMES_MODEL})"""  # noqa: S608 - of constants
_RUNS: Final = sa.text(f"SELECT run.run_uuid, run.artifact_uri {_OLD} ORDER BY 1 LIMIT :most")
_STILL: Final = sa.text(f"SELECT 1 {_OLD} AND run.run_uuid = :run")
_MODELS: Final = sa.text(
    "SELECT model_id, artifact_location FROM logged_models WHERE source_run_id = :run "
    "AND artifact_location LIKE 'mlflow-artifacts:/%/' || model_id || '/artifacts'"
)


@dataclass(frozen=True)
class Erased:
    """What was erased, or would be.

    Attributes
    ----------
    runs, files, bytes : int
    more : bool
        Whether there is more to erase.
    """

    runs: int
    files: int
    bytes: int
    more: bool


def serve_erasing(
    app: Flask,
    store: Any,  # noqa: ANN401 - MLflow ships no types for these
    artifacts: Callable[[], Any],
    keep_days: int,
) -> None:
    """Erase deleted runs at a POST to `ERASING_PATH`, some at a time, and tell sizes at a GET.

    Parameters
    ----------
    app : Flask
        MLflow's, which asks for a login.
    store : SqlAlchemyStore
        With the runs.
    artifacts : callable
        Returns MLflow's repository of the artifact store.
    keep_days : int
        For which a deleted run can be restored; 0 for ever.
    """

    def housekeeping() -> Response:
        if request.method == "GET":
            return jsonify(_sizes(store, artifacts()))
        asked = request.get_json(silent=True) or {}
        erased = erase_deleted(
            store,
            artifacts(),
            now=datetime.now(UTC),
            keep_days=keep_days,
            dry_run=bool(asked.get("dry_run")),
        )
        return jsonify(vars(erased))

    app.add_url_rule(ERASING_PATH, "tradewind_housekeeping", housekeeping, methods=["GET", "POST"])


def erase_deleted(
    store: Any,  # noqa: ANN401 - MLflow ships no types for these
    repository: Any,  # noqa: ANN401
    *,
    now: datetime,
    keep_days: int,
    dry_run: bool = False,
    most: int = _AT_ONCE,
) -> Erased:
    """Erase runs that were deleted long ago, their models and files.

    Parameters
    ----------
    store : SqlAlchemyStore
    repository : ArtifactRepository
        The root of the artifact store.
    now : datetime
        With a time zone.
    keep_days : int
        0 erases nothing.
    dry_run : bool
        Whether it is only counted, then all of it.
    most : int
        Runs to erase at most.
    """
    if not keep_days or not FOREIGN[0].usable():
        return Erased(0, 0, 0, more=False)
    before = int((now - timedelta(days=keep_days)).timestamp() * 1000)
    with store.engine.connect() as connection:
        asked = {"before": before, "most": _ALL if dry_run else most + 1}
        found = connection.execute(_RUNS, asked).all()
    runs = files = size = 0
    for run_id, address in found if dry_run else found[:most]:
        with store.engine.connect() as connection:
            still = connection.execute(_STILL, {"before": before, "run": run_id}).first()
            models = connection.execute(_MODELS, {"run": run_id}).all()
        if still is None:  # restored meanwhile, or erased by another request
            continue
        for model_id, place in models:
            some, of_them = _files(repository, _folder(place), dry_run=dry_run)
            files, size = files + some, size + of_them
            if not dry_run:
                store._hard_delete_logged_model(model_id)  # noqa: SLF001
        some, of_them = _files(repository, _folder(address), dry_run=dry_run)
        runs, files, size = runs + 1, files + some, size + of_them
        if not dry_run:
            store._hard_delete_run(run_id)  # noqa: SLF001
    return Erased(runs, files, size, more=not dry_run and len(found) > most)


def _files(repository: Any, folder: str, *, dry_run: bool) -> tuple[int, int]:  # noqa: ANN401
    """Delete a folder; return how many files it had, and their bytes."""
    sizes = list(_listed(repository, folder))
    if not dry_run:
        repository.delete_artifacts(folder)
    return len(sizes), sum(sizes)


def _listed(repository: Any, folder: str) -> Iterator[int]:  # noqa: ANN401
    for each in repository.list_artifacts(folder):
        if each.is_dir:
            yield from _listed(repository, each.path)
        else:
            yield int(each.file_size or 0)


def _folder(address: str) -> str:
    """Return the folder that belongs to a run or model alone, below the root of all artifacts."""
    return posixpath.dirname(urlsplit(address).path.strip("/"))


def _sizes(store: Any, repository: Any) -> dict[str, int]:  # noqa: ANN401
    with store.engine.connect() as connection:
        database = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    return {"database mlflow": int(database), "MLflow's files": _all_bytes(repository)}


def _all_bytes(repository: Any) -> int:  # noqa: ANN401
    in_bucket = getattr(repository, "all_bytes", None)
    if in_bucket is not None:
        return int(in_bucket())
    files = (path for path in Path(repository.artifact_dir).rglob("*") if path.is_file())
    return sum(path.stat().st_blocks * 512 for path in files)

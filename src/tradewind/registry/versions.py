"""Registered versions and the aliases that say what each is for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry._client import NOT_FOUND, connect, mlflow_errors
from tradewind.registry._decisions import read_decision
from tradewind.registry.version_info import ModelSummary, RunStage, VersionInfo
from tradewind.research.verdict import verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "aliases_of",
    "list_models",
    "show_model",
    "version_by_alias",
    "version_by_number",
    "version_of",
]


def list_models() -> list[ModelSummary]:
    """Return every registered model, by name.

    Raises
    ------
    RegistryError
        If MLflow is out of reach.
    """
    with mlflow_errors("listing models"):
        client = connect()
        found: list[Any] = []
        page = None
        while True:
            batch = client.search_registered_models(page_token=page)
            found += batch
            page = batch.token
            if not page:
                break
        summaries = []
        for model in sorted(found, key=lambda model: str(model.name)):
            newest = client.search_model_versions(
                f"name = '{model.name}'", max_results=1, order_by=["version_number DESC"]
            )
            aliases = {alias: int(version) for alias, version in model.aliases.items()}
            latest = _info(client, newest[0], aliases) if newest else None
            summaries.append(ModelSummary(str(model.name), latest, aliases))
        return summaries


def show_model(name: str) -> list[VersionInfo]:
    """Return the versions of a model, newest first.

    Raises
    ------
    RegistryError
        If there is no such model, or MLflow is out of reach.
    """
    with mlflow_errors(f"looking up {name}", missing=_no_model(name)):
        client = connect()
        model = client.get_registered_model(name)
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        versions: list[Any] = []
        page = None
        while True:
            batch = client.search_model_versions(
                f"name = '{model.name}'", order_by=["version_number DESC"], page_token=page
            )
            versions += batch
            page = batch.token
            if not page:
                break
        return [_info(client, version, aliases) for version in versions]


def aliases_of(name: str) -> dict[str, int]:
    """Return which version carries which alias; empty if there is no such model.

    Raises
    ------
    RegistryError
        If MLflow is out of reach.
    """
    from mlflow.exceptions import MlflowException

    with mlflow_errors(f"looking up the aliases of {name}"):
        try:
            held = connect().get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code == NOT_FOUND:
                return {}
            raise
    return {alias: int(version) for alias, version in held.items()}


def version_of(name: str, version: int | str) -> VersionInfo:
    """Return a version.

    Raises
    ------
    RegistryError
        If there is no such version, or MLflow is out of reach.
    """
    with mlflow_errors(f"looking up {name} version {version}"):
        return version_by_number(connect(), name, int(version))


def version_by_alias(client: "MlflowClient", name: str, alias: str) -> VersionInfo | None:
    """Return the version that carries an alias, if any; MLflow's own errors pass through."""
    held: dict[str, str] = client.get_registered_model(name).aliases
    aliases = {key: int(version) for key, version in held.items()}
    if alias not in aliases:
        return None
    return _info(client, client.get_model_version(name, held[alias]), aliases)


def version_by_number(client: "MlflowClient", name: str, version: int) -> VersionInfo:
    """Return a version.

    Raises
    ------
    RegistryError
        If there is none. MLflow's other errors pass through.
    """
    from mlflow.exceptions import MlflowException

    try:
        held: dict[str, str] = client.get_registered_model(name).aliases
        found = client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code != NOT_FOUND:
            raise
        raise RegistryError(
            f"the registry holds no {name!r} version {version}. `tradewind models show {name}` "
            "shows the versions there are"
        ) from error
    return _info(client, found, {key: int(number) for key, number in held.items()})


def _info(client: "MlflowClient", version: Any, aliases: Mapping[str, int]) -> VersionInfo:  # noqa: ANN401
    number = int(version.version)
    judged = read_decision(version.tags)
    run = _run_of(client, version)
    stage: RunStage = "gone" if run is None else run.info.lifecycle_stage
    found = run.data.metrics if run else {}
    metrics = {
        key: value
        for key, value in found.items()
        if not key.startswith((names.FOLD_PREFIX, names.SERIES_PREFIX))
    }
    return VersionInfo(
        name=str(version.name),
        version=number,
        aliases=tuple(sorted(alias for alias, held in aliases.items() if held == number)),
        run_id=str(version.run_id or ""),
        metrics=metrics,
        tags=dict(version.tags),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
        decision=judged[0] if judged else None,
        verdict=verdict(metrics, version.tags.get(names.BENCHMARK, "equal_weight")),
        experiment_id=str(run.info.experiment_id) if run else "",
        run_stage=stage,
    )


def _run_of(client: "MlflowClient", version: Any) -> Any:  # noqa: ANN401
    """Return a version's run; None if it has none, or none any more."""
    from mlflow.exceptions import MlflowException

    if not version.run_id:
        return None
    try:
        return client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code != NOT_FOUND:
            raise
        return None


def _no_model(name: str) -> str:
    return (
        f"the registry holds no model {name!r}. Train it with `tradewind train {name}`; "
        "`tradewind models list` shows those there are"
    )

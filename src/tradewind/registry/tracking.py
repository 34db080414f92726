"""A finished training, written down in MLflow: its run and its registered version."""

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors
from tradewind.registry.provenance import Provenance
from tradewind.research.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from tradewind.research.training import TrainingResult

__all__ = ["ModelVersionRef", "log_training"]

# What a model needs to be loaded and asked. Given by hand: inferring it takes MLflow 12 s.
_MODEL_PACKAGES = ("lightgbm", "numpy", "pandas")
# What one request of MLflow's log_batch may carry.
_MAX_METRICS, _MAX_PARAMS = 1000, 100
_MAX_PARAM_LENGTH = 6000


@dataclass(frozen=True, slots=True)
class ModelVersionRef:
    """A registered version, by name; small enough to pass between tasks."""

    name: str
    version: str
    run_id: str


def log_training(
    result: "TrainingResult",
    *,
    strategy: Strategy,
    snapshot_id: str,
    provenance: Provenance,
    data_errors: int | None = None,
    origin: Mapping[str, str] | None = None,
) -> ModelVersionRef:
    """Log a training to MLflow and register its model.

    The experiment and the registered model are named after the strategy. Registration comes
    last: a version in the registry has all its evidence. With `origin` given, a second call
    for the same task run, data, strategy and commit returns the version of the first, or takes
    the place of a first one that was interrupted before it could register.

    Parameters
    ----------
    result : TrainingResult
        What `tradewind.research.training.train` returned.
    strategy : Strategy
        What it was trained by.
    snapshot_id : str
        What it was trained on; also the content hash of the data.
    provenance : Provenance
        The code and the packages.
    data_errors : int, optional
        Findings of severity error in the bars. Where nobody looked, the gate will refuse.
    origin : mapping of str to str, optional
        Which task of which run asked for it; becomes tags.

    Raises
    ------
    RegistryError
        If MLflow is out of reach or refuses. The run then stays behind, marked as failed.
    """
    tags = _tags(result, strategy, snapshot_id, provenance, origin or {})
    if data_errors is not None:
        tags[names.DATA_ERRORS] = str(data_errors)
    key = tags.get(names.IDEMPOTENCY_KEY)
    with mlflow_errors(f"logging a training of {strategy.name}"):
        client = connect()
        experiment_id = _experiment(client, strategy.name)
        if key is not None:
            registered = _settle_earlier_attempts(client, experiment_id, key)
            if registered is not None:
                return registered
        import mlflow

        began = datetime.now(UTC)
        with mlflow.start_run(
            experiment_id=experiment_id,
            run_name=f"{strategy.name} {began:%Y-%m-%d %H:%M}",
            tags=tags,
        ) as run:
            run_id = run.info.run_id
            _log_params(client, run_id, strategy)
            _log_metrics(client, run_id, result)
            _log_artifacts(client, run_id, result, strategy)
            return _register(client, result, strategy, run_id, tags)


def _tags(
    result: "TrainingResult",
    strategy: Strategy,
    snapshot_id: str,
    provenance: Provenance,
    origin: Mapping[str, str],
) -> dict[str, str]:
    tags = {
        names.SNAPSHOT_ID: snapshot_id,
        names.STRATEGY_SHA256: strategy.content_hash(),
        names.SEED: str(strategy.seed),
        names.DATA_START: str(result.data_start),
        names.DATA_END: str(result.data_end),
        names.TRIALS: "1",  # one set of parameters was tried; a sweep would say how many
        **{names.PREFIX + field: value for field, value in asdict(provenance).items()},
        **{names.PREFIX + field: value for field, value in origin.items()},
    }
    if origin:
        parts = [*sorted(origin.items()), snapshot_id, strategy.content_hash(), asdict(provenance)]
        tags[names.IDEMPOTENCY_KEY] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return tags


def _experiment(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        made = client.get_experiment_by_name(name)  # by another worker, a moment ago
        if made is None:
            raise
        return str(made.experiment_id)


def _settle_earlier_attempts(
    client: "MlflowClient", experiment_id: str, key: str
) -> ModelVersionRef | None:
    """Finish an attempt that got as far as the registry; put all others away."""
    attempts = client.search_runs([experiment_id], f"tags.`{names.IDEMPOTENCY_KEY}` = '{key}'")
    registered = None
    for attempt in attempts:
        run_id = attempt.info.run_id
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        if versions and registered is None:
            client.set_terminated(run_id, "FINISHED")
            first = versions[0]
            registered = ModelVersionRef(str(first.name), str(first.version), run_id)
        elif not versions:
            client.set_terminated(run_id, "KILLED")
            client.delete_run(run_id)  # MLflow keeps it among the deleted ones
    return registered


def _log_params(client: "MlflowClient", run_id: str, strategy: Strategy) -> None:
    from mlflow.entities import Param

    flat = flatten(strategy.model_dump(mode="json"))
    params = [Param(key, str(value)[:_MAX_PARAM_LENGTH]) for key, value in flat.items()]
    for start in range(0, len(params), _MAX_PARAMS):
        client.log_batch(run_id, params=params[start : start + _MAX_PARAMS])


def _log_metrics(client: "MlflowClient", run_id: str, result: "TrainingResult") -> None:
    now = int(time.time() * 1000)
    metrics = [
        *_metrics(result.metrics, now, step=0),
        *(
            metric
            for fold in result.folds
            for metric in _metrics(fold.metrics, now, step=fold.index, prefix=names.FOLD_PREFIX)
        ),
    ]
    for start in range(0, len(metrics), _MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS])


def _metrics(
    values: Mapping[str, float], timestamp: int, *, step: int, prefix: str = ""
) -> list["Metric"]:
    from mlflow.entities import Metric

    # A figure that is not defined (a ratio over nothing) is left out: MLflow's page would draw
    # it as zero or as the largest number there is.
    return [
        Metric(prefix + key, float(value), timestamp, step)
        for key, value in values.items()
        if math.isfinite(value)
    ]


def _log_artifacts(
    client: "MlflowClient", run_id: str, result: "TrainingResult", strategy: Strategy
) -> None:
    from tradewind.research.plots import equity_and_drawdown

    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
        root = Path(folder)
        for name in (names.STRATEGY_FILE, names.OUT_OF_SAMPLE_FILE, names.PLOT_FILE):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / names.STRATEGY_FILE).write_text(strategy.model_dump_json(indent=2) + "\n")
        _write_parquet(result.predictions, root / names.OUT_OF_SAMPLE_FILE)
        _write_parquet(result.equity, root / names.EQUITY_FILE)
        _write_parquet(result.reference, root / names.REFERENCE_FILE)
        folds = [asdict(fold) for fold in result.folds]
        (root / names.FOLDS_FILE).write_text(json.dumps(folds, indent=2, default=str) + "\n")
        figure = equity_and_drawdown(
            result.equity,
            f"{strategy.name}: out of sample",
            fold_starts=[fold.test_start for fold in result.folds],
        )
        figure.savefig(root / names.PLOT_FILE, format="png")
        client.log_artifacts(run_id, folder)


def _write_parquet(frame: "pl.DataFrame", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


def _register(
    client: "MlflowClient",
    result: "TrainingResult",
    strategy: Strategy,
    run_id: str,
    tags: Mapping[str, str],
) -> ModelVersionRef:
    import mlflow
    import mlflow.lightgbm
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature

    example = result.input_example.to_pandas()
    model = mlflow.lightgbm.log_model(
        result.booster,
        name=names.MODEL,
        signature=infer_signature(example, result.booster.predict(example)),
        input_example=example,
        pip_requirements=[
            # Not from the installed packages: a worker has only MLflow's client, mlflow-skinny.
            f"mlflow=={mlflow.__version__}",
            *(f"{name}=={installed_version(name)}" for name in _MODEL_PACKAGES),
        ],
    )
    # Not log_model's own registered_model_name: this way the version is born with its tags, and
    # a crash between the two leaves nothing in the registry without evidence. By the client, since
    # mlflow.register_model tells of its success on standard error, which a task's log calls ERROR.
    try:
        client.create_registered_model(strategy.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        strategy.name, model.model_uri, run_id,
        tags=dict(tags), model_id=model.model_id,
        await_creation_for=0,  # its files are there already: it is ready at once
    )  # fmt: skip
    return ModelVersionRef(str(version.name), str(version.version), run_id)


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested fields by dotted path; lists of plain values stay one JSON value.

    Examples
    --------
    >>> flatten({"model": {"rounds": 5}, "universe": {"symbols": ["A", "B"]}})
    {'model.rounds': 5, 'universe.symbols': '["A", "B"]'}
    """
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{path}."))
        elif isinstance(value, list | tuple):
            flat[path] = json.dumps(value)
        elif value is not None and value != "":
            flat[path] = value
    return flat

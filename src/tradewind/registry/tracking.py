"""A finished training, written down in MLflow: its run and its registered version."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.registry import _names as names
from tradewind.registry._client import connect, experiment, mlflow_errors
from tradewind.registry._figures import metrics_of
from tradewind.registry._pages import NOTE, describe_experiment, run_page, training_note
from tradewind.registry.attached import attach, hash_of_files
from tradewind.registry.provenance import NONE, Provenance
from tradewind.registry.written_files import write_evidence
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run, RunInfo

    from tradewind.market.validation.findings import Finding
    from tradewind.research.strategy.models import ModelFields
    from tradewind.research.tearsheet.report import Report
    from tradewind.research.training import TrainingResult

__all__ = ["ModelVersionRef", "log_training"]

# What one request of MLflow's log_batch may carry.
_MAX_METRICS, _MAX_PARAMS = 1000, 100
_MAX_PARAM_LENGTH = 6000
_SHORT = 12  # hexadecimal digits of a hash that people look at


@dataclass(frozen=True, slots=True)
class ModelVersionRef:
    """A registered version, by name; small enough to pass between tasks."""

    name: str
    version: str
    run_id: str
    experiment_id: str

    @property
    def page(self) -> str:
        """Where MLflow's page shows its run; to be put behind the page's address."""
        return run_page(self.experiment_id, self.run_id)


def log_training(
    result: "TrainingResult",
    *,
    strategy: Strategy,
    snapshot_id: str,
    provenance: Provenance,
    origin: Mapping[str, str] | None = None,
    findings: "Sequence[Finding] | None" = None,
    attached: Path | None = None,
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
    origin : mapping of str to str, optional
        Which task of which run asked for it; becomes tags.
    findings : sequence of Finding, optional
        What validation noted about the bars. Where nobody looked, the gate will refuse.
    attached : Path, optional
        A file or a folder that is kept with the run, and its SHA-256 with the version.

    Raises
    ------
    RegistryError
        If what is attached cannot be read, or MLflow is out of reach or refuses. The run then stays
        behind, marked as failed.
    """
    from tradewind.research.models.model import fingerprint
    from tradewind.research.tearsheet.report import report_of

    report = report_of(
        result, findings=findings or (), snapshot_id=snapshot_id, provenance=asdict(provenance)
    )
    learnt = fingerprint(result.model)
    tags = _tags(report, strategy, snapshot_id, provenance, origin or {}, learnt=learnt)
    tags[names.MODEL_SHA256] = learnt
    if findings is not None:
        errors = sum(finding.severity == "error" for finding in findings)
        tags[names.DATA_ERRORS] = str(errors)
    if attached is not None:
        tags[names.ATTACHED_SHA256] = hash_of_files(attached)
    key = tags.get(names.IDEMPOTENCY_KEY)
    with mlflow_errors(f"logging a training of {strategy.name}"):
        client = connect()
        experiment_id = experiment(client, strategy.name)
        if key is not None:
            registered = _settle_earlier_attempts(client, experiment_id, key)
            if registered is not None:
                return registered
        describe_experiment(client, experiment_id, strategy)
        import mlflow

        began = datetime.now(UTC)
        with mlflow.start_run(
            experiment_id=experiment_id,
            run_name=f"{strategy.name} {began:%Y-%m-%d %H:%M}",
            tags=_run_tags(report, tags),
        ) as run:
            run_id = run.info.run_id
            client.set_tag(run_id, NOTE, training_note(report, experiment_id, run_id))
            _log_data(client, run_id, strategy, snapshot_id)
            _log_params(client, run_id, strategy)
            _log_metrics(client, run_id, result)
            _log_artifacts(client, run_id, result, report, strategy)
            if attached is not None:
                attach(client, run_id, attached)
            return _register(client, result, strategy, run.info, tags)


def _tags(
    report: "Report",
    strategy: Strategy,
    snapshot_id: str,
    provenance: Provenance,
    origin: Mapping[str, str],
    *,
    learnt: str,
) -> dict[str, str]:
    from tradewind.research.backtest.benchmark import benchmark_name

    tags = {
        names.SNAPSHOT_ID: snapshot_id,
        names.STRATEGY_SHA256: strategy.content_hash(),
        names.SEED: str(strategy.seed),
        names.DATA_START: str(report.data_start),
        names.DATA_END: str(report.data_end),
        # Without a ledger it is this one set of parameters.
        names.TRIALS: str(1 if report.trials is None else report.trials.n_trials),
        names.BENCHMARK: benchmark_name(strategy),
        names.LEAKAGE: "true" if strategy.leaks else "false",
        **{names.PREFIX + field: value for field, value in asdict(provenance).items()},
        **{names.PREFIX + field: value for field, value in origin.items()},
    }
    if strategy.model.pickled:
        tags[names.PICKLE] = "true"
    if strategy.model.external:
        tags |= {names.EXTERNAL: "true", names.LEAKAGE: "unknown"}
    if origin:
        code = asdict(provenance)
        for later in ("model_code_sha256", "requirements_sha256"):
            if code[later] == NONE:  # so that a try of before the field is known again
                del code[later]
        parts = [*sorted(origin.items()), snapshot_id, strategy.content_hash(), code]
        if strategy.model.external:  # nothing of the above says what was handed in
            parts.append(learnt)
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        tags[names.IDEMPOTENCY_KEY] = digest[:16]  # one of few, so 64 bits tell them apart
    return tags


def _run_tags(report: "Report", evidence: Mapping[str, str]) -> dict[str, str]:
    """Return what stands on the run: little and short, since its page cuts off the rest.

    The version has all of it as `evidence`, and the run's description says it in words.
    """
    changed = "" if report.provenance["git_dirty"] == "false" else " and changes"
    tags = {
        names.DATA: f"{report.data_start} to {report.data_end}",
        names.COMMIT: report.provenance["git_commit"][:_SHORT] + changed,
    }
    if names.IDEMPOTENCY_KEY in evidence:
        tags[names.IDEMPOTENCY_KEY] = evidence[names.IDEMPOTENCY_KEY]
    return tags


def _log_data(client: "MlflowClient", run_id: str, strategy: Strategy, snapshot_id: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    data = Dataset(
        name=strategy.universe.source,
        digest=snapshot_id[:_SHORT],
        source_type="tradewind",
        source=json.dumps({"snapshot": snapshot_id}),
    )
    used = InputTag(MLFLOW_DATASET_CONTEXT, "training")
    client.log_inputs(run_id, datasets=[DatasetInput(data, tags=[used])])


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
            registered = ModelVersionRef(str(first.name), str(first.version), run_id, experiment_id)
        elif not versions:
            client.set_terminated(run_id, "KILLED")
            if _is_own(attempt):
                client.delete_run(run_id)  # MLflow keeps it among the deleted ones
    return registered


def _is_own(run: "Run") -> bool:
    """Tell whether the account that is logged in may delete a run: workers may their own alone."""
    from mlflow.utils.mlflow_tags import MLFLOW_USER

    account = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return account != names.WORKER or run.data.tags.get(MLFLOW_USER) == account


def _log_params(client: "MlflowClient", run_id: str, strategy: Strategy) -> None:
    from mlflow.entities import Param

    flat = flatten(strategy.model_dump(mode="json"))
    params = [Param(key, str(value)[:_MAX_PARAM_LENGTH]) for key, value in flat.items()]
    for start in range(0, len(params), _MAX_PARAMS):
        client.log_batch(run_id, params=params[start : start + _MAX_PARAMS])


def _log_metrics(client: "MlflowClient", run_id: str, result: "TrainingResult") -> None:
    metrics = metrics_of(result, int(time.time() * 1000))
    for start in range(0, len(metrics), _MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS])


def _log_artifacts(
    client: "MlflowClient",
    run_id: str,
    result: "TrainingResult",
    report: "Report",
    strategy: Strategy,
) -> None:
    from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
        tables = write_evidence(Path(folder), result, report, strategy)
        client.log_artifacts(run_id, folder)
    # What MLflow's own log_table sets, in one request instead of one a table.
    marks = [{"path": table, "type": "table"} for table in tables]
    client.set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps(marks))


def _register(
    client: "MlflowClient",
    result: "TrainingResult",
    strategy: Strategy,
    run: "RunInfo",
    tags: Mapping[str, str],
) -> ModelVersionRef:
    import numpy as np
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature

    from tradewind.registry.flavours import log_model

    example = result.input_example.to_pandas()
    for column in result.input_example.iter_columns():
        if column.dtype.is_nested():  # a history: MLflow knows lists alone
            example[column.name] = column.to_list()
    model = log_model(
        result.model,
        name=names.MODEL,
        signature=infer_signature(example, np.zeros(len(example))),
        input_example=example,
        pip_requirements=_requirements(strategy.model),
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
        strategy.name, model.model_uri, run.run_id,
        tags=dict(tags), model_id=model.model_id,
        await_creation_for=0,  # its files are there already: it is ready at once
    )  # fmt: skip
    return ModelVersionRef(str(version.name), str(version.version), run.run_id, run.experiment_id)


def _requirements(fields: "ModelFields") -> list[str]:
    """Return what loads a kind of model, with the versions that are here."""
    import mlflow

    from tradewind.registry.flavours import packages

    # MLflow's not from the installed packages: a worker has only its client, mlflow-skinny.
    installed = (f"{name}=={installed_version(name)}" for name in packages(fields))
    return [f"mlflow=={mlflow.__version__}", *installed]


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

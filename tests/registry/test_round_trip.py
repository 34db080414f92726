"""From a training to the registry and back, against a real MLflow server."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.errors import RegistryError, ReproductionError, SnapshotError
from tradewind.market.store.bar_store import BarStore
from tradewind.market.validation.findings import Finding
from tradewind.registry.provenance import Provenance
from tradewind.registry.retrieval import load_registered, verify_round_trip
from tradewind.registry.tracking import ModelVersionRef, log_training
from tradewind.registry.versions import list_models, show_model
from tradewind.research.models.model import fingerprint
from tradewind.research.tearsheet.page import tear_sheet_html

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

PROVENANCE = Provenance(git_commit="c0ffee", git_dirty="false", lock_sha256="10c", python="3.11.7")
ORIGIN = {"airflow.dag_id": "train_x", "airflow.run_id": "manual__1", "airflow.task_id": "train"}

Register = Callable[..., ModelVersionRef]


@pytest.fixture
def register(training: Any, request: pytest.FixtureRequest) -> Register:
    """Log the training under a name of the test's own."""
    name = request.node.originalname.removeprefix("test_")[:50]

    def log(result: Any = training.result, **options: Any) -> ModelVersionRef:
        strategy = training.strategy.model_copy(update={"name": name})
        return log_training(
            result,
            strategy=strategy,
            snapshot_id=training.snapshot_id,
            provenance=PROVENANCE,
            **options,
        )

    return log


def crown(ref: ModelVersionRef) -> None:
    """Make a version the champion by hand, whatever the gate would say."""
    from mlflow import MlflowClient

    MlflowClient().set_registered_model_alias(ref.name, "champion", ref.version)


@pytest.fixture
def overwrite(client: Any, tmp_path: Path) -> Callable[[ModelVersionRef, Any], None]:
    """Change predictions or strategy of a run behind tradewind's back."""

    def change(ref: ModelVersionRef, content: Any) -> None:
        if isinstance(content, pl.DataFrame):
            content.write_parquet(tmp_path / "reference.parquet")
            client.log_artifact(ref.run_id, tmp_path / "reference.parquet", "predictions")
        else:
            (tmp_path / "strategy.json").write_text(content)
            client.log_artifact(ref.run_id, tmp_path / "strategy.json")

    return change


def test_a_run_holds_all_that_was_found(
    register: Register, training: Any, tmp_path: Path, client: Any
) -> None:
    ref = register()
    run = client.get_run(ref.run_id)
    assert client.get_experiment(run.info.experiment_id).name == ref.name
    assert run.info.run_name.startswith(f"{ref.name} 20")
    assert run.info.status == "FINISHED"
    assert run.data.params["model.rounds"] == "10"
    assert run.data.params["universe.symbols"] == '["AAPL", "IBM", "MSFT"]'

    result = training.result
    assert {key: run.data.metrics[key] for key in result.metrics} == result.metrics
    history = client.get_metric_history(ref.run_id, "fold/sharpe")
    assert len(result.folds) >= 3
    assert {metric.step: metric.value for metric in history} == {
        fold.index: fold.metrics["sharpe"] for fold in result.folds
    }

    tags = client.get_model_version(ref.name, ref.version).tags
    assert tags == {
        "tradewind.snapshot_id": training.snapshot_id,
        "tradewind.strategy_sha256": training.strategy.model_copy(
            update={"name": ref.name}
        ).content_hash(),
        "tradewind.model_sha256": fingerprint(result.model),
        "tradewind.benchmark": "equal_weight",
        "tradewind.seed": "7",
        "tradewind.trials": "1",
        "tradewind.leakage": "false",
        "tradewind.data_start": "2000-03-01",
        "tradewind.data_end": "2013-03-01",
        "tradewind.git_commit": "c0ffee",
        "tradewind.git_dirty": "false",
        "tradewind.lock_sha256": "10c",
        "tradewind.model_code_sha256": "none",
        "tradewind.python": "3.11.7",
        "tradewind.code_sha256": "unknown",
        "tradewind.features_sha256": "none",
        "tradewind.requirements_sha256": "none",
    }

    # Of a run people see what is short and says something; the version has the evidence.
    shown = {key: value for key, value in run.data.tags.items() if key.startswith("tradewind")}
    assert shown == {
        "tradewind.data": "2000-03-01 to 2013-03-01",
        "tradewind.commit": "c0ffee",
    }
    [data] = run.inputs.dataset_inputs
    assert data.dataset.digest == training.snapshot_id[:12]

    root = Path(client.download_artifacts(ref.run_id, "", str(tmp_path)))
    logged = pl.read_parquet(root / "predictions" / "out_of_sample.parquet")
    assert logged.equals(result.predictions)
    assert pl.read_parquet(root / "backtest" / "equity.parquet").equals(result.equity)
    plot = (root / "backtest" / "equity_and_drawdown.png").read_bytes()
    assert plot.startswith(b"\x89PNG")
    assert len(plot) > 20_000


def test_a_run_says_in_words_what_was_found(register: Register, training: Any, client: Any) -> None:
    ref = register()
    run = client.get_run(ref.run_id)
    note = run.data.tags["mlflow.note.content"]
    first = note.splitlines()[0]
    verdict = show_model(ref.name)[0].verdict
    assert verdict
    sheet = (
        f"#/experiments/{ref.experiment_id}/runs/{ref.run_id}/artifacts/tearsheet/tearsheet.html"
    )
    assert first == f"**{verdict}.** [Tear sheet]({sheet}?workflowType=machine_learning)"
    sharpe, held = (training.result.metrics[name] for name in ("sharpe", "benchmark_sharpe"))
    assert f"| Sharpe ratio, annualised | {sharpe:.2f} | {held:.2f} |" in note
    assert f"- snapshot: `{training.snapshot_id}`" in note
    assert "- git_commit: `c0ffee`" in note


def test_an_experiment_says_what_is_trained_there(
    register: Register, training: Any, client: Any
) -> None:
    ref = register()
    tags = client.get_experiment(ref.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    note = tags["mlflow.note.content"]
    assert note.startswith(" ".join(training.strategy.description.split()))
    key = note.partition("viewStateShareKey=")[2].partition(")")[0]
    columns = json.loads(tags[f"mlflow.sharedViewState.{key}"])["selectedColumns"]
    metrics = {column[9:-1] for column in columns if column.startswith("metrics.")}
    assert metrics
    assert metrics <= training.result.metrics.keys()

    # What a training wrote, the next one writes anew; what a person wrote stays.
    client.set_experiment_tag(ref.experiment_id, "mlflow.note.content", note + " old")
    register()
    assert client.get_experiment(ref.experiment_id).tags["mlflow.note.content"] == note
    client.set_experiment_tag(ref.experiment_id, "mlflow.note.content", "Ask Ada.")
    register()
    assert client.get_experiment(ref.experiment_id).tags["mlflow.note.content"] == "Ask Ada."


def test_the_evidence_is_beside_the_model(
    register: Register, training: Any, tmp_path: Path, client: Any
) -> None:
    day = dt.date(2000, 9, 29)
    findings = [Finding("warning", "AAPL", day, "outlier", -0.519, "fell by half")]
    ref = register(findings=findings)
    root = Path(client.download_artifacts(ref.run_id, "", str(tmp_path)))
    sheet = (root / "tearsheet" / "tearsheet.html").read_text()
    assert sheet == tear_sheet_html(
        training.result,
        findings=findings,
        snapshot_id=training.snapshot_id,
        provenance=asdict(PROVENANCE),
    )
    assert (root / "tearsheet" / "tearsheet.png").read_bytes().startswith(b"\x89PNG")
    validation = json.loads((root / "validation.json").read_text())
    assert (validation["errors"], validation["warnings"]) == (0, 1)
    assert json.loads((root / "importance.json").read_text()) == training.result.importance
    assert not (root / "trials.parquet").exists()  # there was no sweep
    version = client.get_model_version(ref.name, ref.version)
    assert version.tags["tradewind.data_errors"] == "0"

    # what MLflow's own reader makes of the table
    experiment_id = client.get_run(ref.run_id).info.experiment_id
    table = client.load_table(experiment_id, "tables/folds.json", run_ids=[ref.run_id])
    assert list(table["test_start"]) == [str(fold.test_start) for fold in training.result.folds]
    # pandas reads the last digits of a number its own way
    expected = [fold.metrics["sharpe"] for fold in training.result.folds]
    assert list(table["sharpe"]) == pytest.approx(expected, rel=1e-12)


def test_curves_can_be_drawn_over_the_years(register: Register, training: Any, client: Any) -> None:
    ref = register()
    equity = training.result.equity
    history = sorted(client.get_metric_history(ref.run_id, "series/equity"), key=lambda m: m.step)
    assert 200 <= len(history) <= 250
    last = history[-1]
    assert last.value == equity.get_column("equity")[-1]
    assert last.step == equity.height - 1
    day = dt.datetime.fromtimestamp(last.timestamp / 1000, dt.UTC)
    assert day.date() == equity.get_column("session")[-1]
    fallen = client.get_metric_history(ref.run_id, "series/drawdown")
    assert min(metric.value for metric in fallen) == equity.get_column("drawdown").min()
    [version] = show_model(ref.name)
    assert version.metrics == training.result.metrics  # no point of a curve among them


def test_a_model_comes_with_signature_and_example(register: Register, training: Any) -> None:
    ref = register()
    import mlflow.models
    import mlflow.pyfunc

    uri = f"models:/{ref.name}/{ref.version}"
    info = mlflow.models.get_model_info(uri)
    assert set(info.flavors) == {"lightgbm", "python_function"}
    assert info.signature is not None
    assert info.signature.inputs.input_names() == list(training.result.feature_names)
    example: Any = mlflow.models.Model.load(uri).load_input_example(uri)
    assert example is not None
    np.testing.assert_array_equal(example.to_numpy(), training.result.input_example.to_numpy())
    served = mlflow.pyfunc.load_model(uri).predict(example)
    np.testing.assert_array_equal(served, training.result.model.native.predict(example))


def test_the_champion_predicts_what_it_did_in_training(register: Register, training: Any) -> None:
    ref = register()
    crown(ref)
    model = load_registered(ref.name)
    assert model.info.version == 1
    assert model.strategy.name == ref.name
    assert model.strategy.features == training.strategy.features
    assert model.snapshot_id == training.snapshot_id
    booster = model.model.native  # lightgbm.Booster
    assert booster.model_to_string() == training.result.model.native.model_to_string()
    assert verify_round_trip(ref.name, "champion", training.store) == 60


def test_a_changed_prediction_is_found(register: Register, training: Any, overwrite: Any) -> None:
    ref = register()
    crown(ref)
    row = training.result.reference.row(7, named=True)
    bit_off = float(np.nextafter(row["prediction"], np.inf))
    this = (pl.col("symbol") == row["symbol"]) & (pl.col("session") == row["session"])
    changed = training.result.reference.with_columns(
        prediction=pl.when(this).then(bit_off).otherwise(pl.col("prediction"))
    )
    overwrite(ref, changed)
    expected = rf"1 of 60 predictions .* worst by .*for {row['symbol']} on {row['session']} \("
    with pytest.raises(ReproductionError, match=expected):
        verify_round_trip(ref.name, "champion", training.store)


def test_the_worst_difference_is_named(register: Register, training: Any, overwrite: Any) -> None:
    ref = register()
    crown(ref)
    reference = training.result.reference
    shift = pl.Series([0.25 if row == 11 else 0.001 for row in range(reference.height)])
    overwrite(ref, reference.with_columns(prediction=reference["prediction"] - shift))
    row = reference.row(11, named=True)
    expected = rf"60 of 60 .* worst by 0\.25, for {row['symbol']} on {row['session']} "
    with pytest.raises(ReproductionError, match=expected):
        verify_round_trip(ref.name, "champion", training.store)


def test_a_missing_prediction_is_found(register: Register, training: Any, overwrite: Any) -> None:
    ref = register()
    crown(ref)
    first = training.result.reference.row(0, named=True)
    overwrite(ref, training.result.reference.slice(1))
    expected = rf"1 of 60 .* one side only, .* {first['symbol']} on {first['session']} today only"
    with pytest.raises(ReproductionError, match=expected):
        verify_round_trip(ref.name, "champion", training.store)


def test_no_prediction_proves_nothing(register: Register, training: Any, overwrite: Any) -> None:
    ref = register()
    crown(ref)
    overwrite(ref, training.result.reference.clear())
    with pytest.raises(ReproductionError, match="no prediction was logged"):
        verify_round_trip(ref.name, "champion", training.store)


def test_a_changed_strategy_is_found(register: Register, training: Any, overwrite: Any) -> None:
    ref = register()
    crown(ref)
    other = training.strategy.model_copy(update={"name": ref.name, "seed": 8})
    overwrite(ref, other.model_dump_json())
    with pytest.raises(RegistryError, match=r"strategy\.json .* is not the strategy"):
        load_registered(ref.name)


def test_a_snapshot_that_is_gone_is_named(
    register: Register, training: Any, tmp_path: Path
) -> None:
    ref = register()
    crown(ref)
    with pytest.raises(SnapshotError, match=training.snapshot_id):
        verify_round_trip(ref.name, "champion", BarStore(tmp_path))


def test_models_are_listed_with_newest_version(register: Register, training: Any) -> None:
    crown(register())
    ref = register()
    [model] = [model for model in list_models() if model.name == ref.name]
    assert model.aliases == {"champion": 1}
    assert model.latest is not None
    assert (model.latest.version, model.latest.aliases) == (2, ())
    assert model.latest.metrics == training.result.metrics
    assert model.latest.tags["tradewind.snapshot_id"] == training.snapshot_id


def test_a_retry_returns_the_version_of_the_first_try(register: Register) -> None:
    first = register(origin=ORIGIN)
    assert register(origin=ORIGIN) == first
    assert [version.version for version in show_model(first.name)] == [1]
    another_run = register(origin={**ORIGIN, "airflow.run_id": "manual__2"})
    assert another_run.version == "2"


def test_a_retry_replaces_an_interrupted_try(
    register: Register, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InterruptedTryError(Exception):
        pass

    def broken(*_: object, **__: object) -> None:
        raise InterruptedTryError

    with monkeypatch.context() as patched:
        patched.setattr("tradewind.registry.flavours.log_model", broken)
        with pytest.raises(InterruptedTryError):
            register(origin=ORIGIN)
    ref = register(origin=ORIGIN)
    assert ref.version == "1"
    experiment = client.get_experiment_by_name(ref.name)
    assert experiment is not None
    kept = client.search_runs([experiment.experiment_id])
    assert [(run.info.run_id, run.info.status) for run in kept] == [(ref.run_id, "FINISHED")]


def test_a_retry_finishes_a_try_that_had_registered(register: Register, client: Any) -> None:
    ref = register(origin=ORIGIN)
    client.update_run(ref.run_id, "RUNNING")  # the worker died between registry and run
    assert client.get_run(ref.run_id).info.status == "RUNNING"
    assert register(origin=ORIGIN) == ref
    assert client.get_run(ref.run_id).info.status == "FINISHED"


def test_a_model_that_is_not_there_is_named(register: Register) -> None:
    with pytest.raises(RegistryError, match=r"no model 'nothing'.*tradewind train nothing"):
        show_model("nothing")
    with pytest.raises(RegistryError, match=r"no model 'nothing' with the alias 'champion'"):
        load_registered("nothing")
    ref = register()
    with pytest.raises(RegistryError, match=r"no model .* with the alias 'champion'"):
        load_registered(ref.name)


def test_a_server_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9, while listing models"):
        list_models()


def test_no_address_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI is not set"):
        list_models()

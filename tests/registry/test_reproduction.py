"""A version trained again from what the registry holds, against a real MLflow server."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tradewind.errors import RegistryError, SnapshotError
from tradewind.market.store.bar_store import BarStore
from tradewind.registry.provenance import collect
from tradewind.registry.reproduction import Reproduction, reproduce
from tradewind.registry.retrieval import load_registered, verify_round_trip
from tradewind.registry.tracking import ModelVersionRef, log_training
from tradewind.research.models.model import fingerprint
from tradewind.research.strategy.models import Ridge
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train
from tradewind.research.trials.ledger import TrialSummary

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

HOME = Path(__file__).parent  # no checkout, so that it does not matter what is being edited
EVERYTHING = {
    "model", "predictions of the model on all sessions", "reference predictions",
    "out-of-sample predictions", "backtest",
}  # fmt: skip


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.originalname.removeprefix("test_")[:50]


@pytest.fixture
def register(training: Any, name: str) -> Callable[..., ModelVersionRef]:
    def log(result: Any = training.result, strategy: Any = training.strategy) -> ModelVersionRef:
        return log_training(
            result,
            strategy=strategy.model_copy(update={"name": name}),
            snapshot_id=training.snapshot_id,
            provenance=collect(HOME),
        )

    return log


@pytest.fixture
def tamper(client: Any, tmp_path: Path) -> Callable[..., None]:
    """Change the strategy that a run keeps, behind tradewind's back."""

    def change(ref: ModelVersionRef, **fields: Any) -> None:
        path = Path(client.download_artifacts(ref.run_id, "strategy.json", str(tmp_path)))
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        client.log_artifact(ref.run_id, str(path))

    return change


def again(ref: ModelVersionRef, training: Any, read: Any = None) -> Reproduction:
    return reproduce(ref.name, int(ref.version), read or training.store.read, home=HOME)


def test_a_training_is_reproduced_bit_for_bit_and_nothing_is_written(
    register: Any, training: Any, client: Any
) -> None:
    ref = register()
    before = client.get_run(ref.run_id).to_dictionary()
    found = again(ref, training)
    assert found.identical
    assert found.results == ()
    assert found.conditions == ()
    assert found.snapshot_id == training.snapshot_id
    result = training.result
    assert found.compared["reference predictions"] == result.reference.height
    assert found.compared["out-of-sample predictions"] == result.predictions.height
    assert found.compared["backtest"] == result.equity.height
    assert found.compared["predictions of the model on all sessions"] > result.predictions.height
    assert found.compared["metrics"] >= 20
    assert client.get_run(ref.run_id).to_dictionary() == before
    assert len(client.search_runs([ref.experiment_id])) == 1
    assert client.get_registered_model(ref.name).latest_versions[0].version == ref.version


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"kind": "ridge", "alpha": 10.0}},
        {"model": {"kind": "ma_crossover", "fast": 20, "slow": 100}, "features": ()},
    ],
    ids=["ridge", "ma_crossover"],
)
def test_other_kinds_of_models_are_reproduced_too(
    register: Any, training: Any, client: Any, changes: Any
) -> None:
    strategy = Strategy.model_validate({**training.strategy.model_dump(), **changes})
    result = train(training.store.read(training.snapshot_id), strategy)
    ref = register(result, strategy)
    found = again(ref, training)
    assert found.identical, found.results
    held = client.get_model_version(ref.name, ref.version).tags["tradewind.model_sha256"]
    assert held == fingerprint(result.model)


def test_what_no_file_may_say_any_more_is_reproduced_and_read_all_the_same(
    register: Any, training: Any
) -> None:
    """An earlier release took these, and registered a version of them."""
    strategy = training.strategy.model_copy(
        update={
            "owner": "",
            "model": Ridge.model_construct(kind="ridge", alpha=1e-10),
            "gate": training.strategy.gate.model_copy(update={"min_trades": 0}),
        }
    )
    result = train(training.store.read(training.snapshot_id), strategy)
    ref = register(result, strategy)
    found = again(ref, training)
    assert found.identical, found.results
    fetched = load_registered(ref.name, int(ref.version))
    assert fetched.strategy.model == strategy.model
    assert verify_round_trip(ref.name, int(ref.version), training.store) > 0


def test_a_tampered_seed_is_reported_before_what_it_does(
    register: Any, training: Any, tamper: Any
) -> None:
    # Without random choices a seed would change nothing.
    model = {**training.strategy.model.model_dump(), "bagging_fraction": 0.5}
    strategy = Strategy.model_validate({**training.strategy.model_dump(), "model": model})
    ref = register(train(training.store.read(training.snapshot_id), strategy), strategy)
    tamper(ref, seed=8)
    found = again(ref, training)
    assert not found.identical
    assert [difference.what for difference in found.conditions] == ["strategy_sha256", "seed"]
    assert found.conditions[1].detail == "7 then, 8 now"
    whats = {difference.what for difference in found.results}
    assert whats > EVERYTHING
    assert "metric sharpe" in whats


def test_a_tampered_strategy_is_reported(register: Any, training: Any, tamper: Any) -> None:
    ref = register()
    tamper(ref, backtest={"commission_bps": 2.0, "slippage_bps": 4.0})
    found = again(ref, training)
    assert [difference.what for difference in found.conditions] == ["strategy_sha256"]
    whats = {difference.what for difference in found.results}
    assert whats & EVERYTHING == {"backtest"}  # costs change no prediction
    assert "metric annual_cost" in whats


def test_tampered_data_are_reported_with_the_largest_difference(
    register: Any, training: Any
) -> None:
    ref = register()

    def read(snapshot_id: str) -> pl.DataFrame:
        bars = training.store.read(snapshot_id)
        last = (pl.col("symbol") == "IBM") & (pl.col("session") == bars["session"].max())
        return bars.with_columns(
            pl.when(last).then(pl.col("close") * 1.01).otherwise(pl.col("close")).alias("close")
        )

    found = again(ref, training, read)
    assert not found.identical
    by_name = {difference.what: difference for difference in found.results}
    reference = by_name["reference predictions"]
    assert reference.largest is not None
    assert 0.0 < reference.largest < 1.0
    assert "prediction of IBM 2013-03-01" in reference.detail

    def shorter(snapshot_id: str) -> pl.DataFrame:
        bars = training.store.read(snapshot_id)
        return bars.filter(pl.col("session") < bars["session"].max())

    cut = again(ref, training, shorter)
    assert [difference.what for difference in cut.conditions] == ["data_end"]
    details = {difference.what: difference.detail for difference in cut.results}
    assert details["reference predictions"] == "6 of 63 rows exist on one side only"


def test_other_code_is_reported_although_the_results_are_the_same(
    register: Any, training: Any, client: Any
) -> None:
    ref = register()
    for key, value in (("code_sha256", "c0de"), ("python", "3.9.0"), ("git_dirty", "true")):
        client.set_model_version_tag(ref.name, ref.version, f"tradewind.{key}", value)
    # As a version of before has it, when there were no packages of the desk's own.
    client.delete_model_version_tag(ref.name, ref.version, "tradewind.requirements_sha256")
    found = again(ref, training)
    assert found.identical
    details = {difference.what: difference.detail for difference in found.conditions}
    assert details["code_sha256"].startswith("c0de then, ")
    assert details["python"].startswith("3.9.0 then, ")
    assert details["code"] == "files differed from the commit when it was trained"
    assert "requirements_sha256" not in details


def test_what_remains_after_many_trials_is_compared_and_overfitting_is_not(
    register: Any, training: Any
) -> None:
    summary = TrialSummary(
        50, variance=0.0004, alpha_variance=0.0009, pbo=0.4, table=pl.DataFrame()
    )
    result = train(training.store.read(training.snapshot_id), training.strategy, trials=summary)
    deflated = result.metrics["deflated_sharpe_probability"]
    assert deflated < training.result.metrics["deflated_sharpe_probability"]
    bare = replace(result, trials=None)  # the table of trials is not what is looked at here
    found = again(register(bare), training)
    assert found.identical, found.results
    [left_out] = found.not_compared
    assert left_out == "metric pbo: it takes the returns of every trial of the sweep"

    tampered = {**result.metrics, "deflated_sharpe_probability": deflated + 1e-12}
    found = again(register(replace(bare, metrics=tampered)), training)
    [difference] = found.results
    assert difference.what == "metric deflated_sharpe_probability"
    assert difference.largest == pytest.approx(1e-12, rel=1e-2)


def test_without_the_variance_of_the_trials_nothing_is_deflated(
    register: Any, training: Any
) -> None:
    metrics = {**training.result.metrics, "trials": 50.0, "deflated_sharpe_probability": 0.123}
    del metrics["trials_variance"]
    found = again(register(replace(training.result, metrics=metrics)), training)
    assert found.identical, found.results
    assert found.not_compared == tuple(
        f"metric {name}: the other trials are not recorded"
        for name in (
            "deflated_alpha_probability",
            "deflated_mix_alpha_probability",
            "deflated_sharpe_probability",
            "trials",
            "trials_alpha_variance",
        )
    )


def test_figures_that_were_not_recorded_then_are_no_difference(
    register: Any, training: Any
) -> None:
    metrics = dict(training.result.metrics)
    del metrics["untested_sessions"], metrics["undefined_rows"]
    found = again(register(replace(training.result, metrics=metrics)), training)
    assert found.identical, found.results
    assert found.not_compared == ()
    changed = {**training.result.metrics, "untested_sessions": 9999.0}
    found = again(register(replace(training.result, metrics=changed)), training)
    assert [difference.what for difference in found.results] == ["metric untested_sessions"]


def test_a_model_that_learnt_something_else_is_reported(
    register: Any, training: Any, client: Any
) -> None:
    ref = register()
    held = client.get_model_version(ref.name, ref.version).tags["tradewind.model_sha256"]
    assert held == fingerprint(training.result.model)
    client.set_model_version_tag(ref.name, ref.version, "tradewind.model_sha256", "0ther")
    found = again(ref, training)
    assert [difference.what for difference in found.results] == ["model", "model in the registry"]
    assert found.results[0].detail == f"SHA-256 0ther then, {held} now"


def test_what_is_gone_is_named(register: Any, training: Any, tmp_path: Path) -> None:
    ref = register()
    with pytest.raises(SnapshotError, match=training.snapshot_id):
        again(ref, training, BarStore(tmp_path).read)
    with pytest.raises(RegistryError, match=rf"no '{ref.name}' version 9"):
        reproduce(ref.name, 9, training.store.read, home=HOME)


def test_a_version_of_before_there_was_a_benchmark_is_reproduced(
    register: Any, training: Any
) -> None:
    result = training.result
    later = [key for key in result.metrics if "alpha" in key or key == "beta"]
    assert len(later) == 8
    metrics = {key: value for key, value in result.metrics.items() if key not in later}
    equity = result.equity.drop("benchmark_return", "mix_return")
    found = again(register(replace(result, metrics=metrics, equity=equity)), training)
    assert found.identical, found.results
    assert found.not_compared == ()
    spoilt = equity.with_columns(pl.col("net_return") + 1e-9)
    found = again(register(replace(result, metrics=metrics, equity=spoilt)), training)
    assert [difference.what for difference in found.results] == ["backtest"]

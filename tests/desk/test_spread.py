"""Folds that tasks of their own fit: the same training, wherever a fold was fitted."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from airflow.sdk.execution_time.context import set_current_context

from tradewind.desk import spread
from tradewind.errors import FitError, LeakError, ResearchError
from tradewind.orchestration.steps import folds, sweeps, training
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.registry import tracking
from tradewind.research.models.model import fingerprint
from tradewind.research.strategy.files import find_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult
from tradewind.settings import Settings

OWN = """
class Mean:
    def fit(self, features, labels, *, context):
        assert features["session"].max().year < {until}, "no"
        self.mean = labels.mean()

    def predict(self, features):
        return features["return_5"] + self.mean

    def save(self, folder):
        (folder / "mean.txt").write_text(repr(self.mean))

    @classmethod
    def load(cls, folder):
        made = cls()
        made.mean = float((folder / "mean.txt").read_text())
        return made
"""
MODELS: dict[str, dict[str, Any]] = {
    "trees": {"kind": "lightgbm", "rounds": 5, "bagging_fraction": 0.5},
    "own": {"kind": "custom", "class": "spread_models:Mean"},
}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[TrainingResult]:
    """What was to be registered."""
    found: list[TrainingResult] = []

    def log_training(result: Any, **_: Any) -> Any:
        found.append(result)
        return SimpleNamespace(name="spread", version="1", run_id="r", page="/p")

    monkeypatch.setattr(tracking, "log_training", log_training)
    return found


@pytest.fixture(autouse=True)
def _no_folds_of_other_tests(settings: Settings) -> None:
    rows(settings, "DROP TABLE IF EXISTS walk_forward_folds")


def strategy_in(settings: Settings, *, until: int = 2100, **fields: Any) -> Strategy:
    content = {
        "name": "spread", "description": "x", "horizon": 5,
        "universe": {"source": "sample", "symbols": ["AAPL", "IBM", "MSFT"]},
        "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
        "model": MODELS["trees"],
        "walk_forward": {"train": 756, "test": 504, "spread": True},
        "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0}, "seed": 7, **fields,
    }  # fmt: skip
    (settings.strategies_dir / "spread_models.py").write_text(OWN.format(until=until))
    (settings.strategies_dir / "spread.yaml").write_text(yaml.safe_dump(content))
    return find_strategy("spread", settings.strategies_dir)


@contextmanager
def run(run_id: str, ti: Any = None) -> Iterator[None]:
    """Be in a task of a run."""
    dag_run = SimpleNamespace(dag_id="train_spread", run_id=run_id, run_type="manual")
    context: Any = {"dag_run": dag_run, "ti": ti or SimpleNamespace(task_id="train")}
    with set_current_context(context):
        yield


def rows(settings: Settings, statement: str) -> list[Any]:
    engine = sa.create_engine(ledger_url(settings))
    with engine.begin() as connection:
        found = connection.execute(sa.text(statement))
        told = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return told


@pytest.mark.parametrize("kind", MODELS)
def test_spread_folds_make_the_same_training_bit_for_bit(
    settings: Settings, logged: list[TrainingResult], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = strategy_in(settings, model=MODELS[kind])
    alone = strategy.model_copy(
        update={"walk_forward": strategy.walk_forward.model_copy(update={"spread": False})}
    )
    with run(f"alone {kind}"):
        snapshot_id = training.ingest(strategy)
        training.train(alone, snapshot_id)
    with run(f"spread {kind}"):
        parts = folds.plan_folds(strategy, snapshot_id)
        assert parts == [[0], [1], [2], [3]]
        fitted = [folds.run_folds(strategy, snapshot_id, part) for part in reversed(parts)]
        assert fitted == [1, 1, 1, 1]
        # A second try, of a task that was killed after it had handed over its fold.
        assert folds.run_folds(strategy, snapshot_id, [2]) == 0
        fits = "tradewind.research.evaluation.walk_forward.fit"
        monkeypatch.setattr(fits, lambda *_, **__: pytest.fail("a fold was fitted again"))
        training.train(strategy, snapshot_id)
    one, other = logged
    assert other.predictions.equals(one.predictions)
    assert other.equity.equals(one.equity)
    assert other.metrics == one.metrics  # the number of trials among them: it is the same trial
    assert other.folds == one.folds
    assert fingerprint(other.model) == fingerprint(one.model)
    assert other.strategy.content_hash() == one.strategy.content_hash()
    assert rows(settings, "SELECT count(*) FROM walk_forward_folds") == [(0,)]


class Told:
    """What the tasks of a run tell each other by name."""

    task_id = "train"

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.said[key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        assert task_ids == "plan_sweep"
        return self.said.get(key)


def test_after_a_sweep_the_folds_are_those_of_its_best_trial(
    settings: Settings, logged: list[TrainingResult]
) -> None:
    sweep = {"trials": 2, "parameters": {"rounds": {"choices": [3, 6]}}}
    strategy = strategy_in(settings, sweep=sweep)
    with run("swept", Told()):
        snapshot_id = training.ingest(strategy)
        assert sweeps.plan_sweep(strategy, snapshot_id) == [0, 1]
        assert sweeps.run_trials(strategy, snapshot_id, 0) == 2
        for part in folds.plan_folds(strategy, snapshot_id):
            folds.run_folds(strategy, snapshot_id, part)
        chosen = sweeps.chosen_by_sweep(strategy, snapshot_id)
        assert len(chosen.configurations) == 2
        handed = folds.handed_over(chosen.strategy, snapshot_id)
        training.train(strategy, snapshot_id)
    [result] = logged
    assert result.strategy == chosen.strategy
    assert result.strategy.model != strategy.model
    for number, found in handed.items():
        judged = result.predictions.filter(fold=number)["prediction"]
        assert judged.to_numpy().tobytes() == found.tobytes()
    assert sorted(handed) == [0, 1, 2, 3]


def test_a_fold_that_is_missing_or_of_another_file_is_fitted_in_the_training(
    settings: Settings, logged: list[TrainingResult]
) -> None:
    strategy = strategy_in(settings)
    edited = strategy.model_copy(update={"seed": 8})
    with run("edited"):
        snapshot_id = training.ingest(strategy)
        assert folds.run_folds(strategy, snapshot_id, [0, 1]) == 2
        assert folds.run_folds(edited, snapshot_id, [0, 99]) == 1
        assert list(folds.handed_over(edited, snapshot_id)) == [0]
        training.train(edited, snapshot_id)
    with run("another"):
        assert folds.handed_over(edited, snapshot_id) == {}
        training.train(edited, snapshot_id)
    assert logged[0].predictions.equals(logged[1].predictions)


def test_predictions_of_another_length_are_refused_by_fold(settings: Settings) -> None:
    strategy = strategy_in(settings)
    with run("damaged"):
        snapshot_id = training.ingest(strategy)
        folds.run_folds(strategy, snapshot_id, [2])
        rows(settings, "UPDATE walk_forward_folds SET predictions = substr(predictions, 9)")
        with pytest.raises(ResearchError, match=r"1511 predictions .* the 1512 rows of fold 2"):
            training.train(strategy, snapshot_id)


def test_what_a_run_that_failed_has_left_is_removed_after_a_week(settings: Settings) -> None:
    strategy = strategy_in(settings)
    with run("failed"):
        snapshot_id = training.ingest(strategy)
        folds.run_folds(strategy, snapshot_id, [0, 1])
    age = "UPDATE walk_forward_folds SET kept_at = now() - interval '{}' WHERE fold = {}"
    rows(settings, age.format("8 days", 0))
    rows(settings, age.format("6 days", 1))
    with run("next"):
        folds.plan_folds(strategy, snapshot_id)
    assert rows(settings, "SELECT fold FROM walk_forward_folds") == [(1,)]


def test_a_fold_that_cannot_be_fitted_counts_as_a_trial(settings: Settings) -> None:
    strategy = strategy_in(settings, until=2004, model=MODELS["own"], name="spread")
    with run("bad"):
        snapshot_id = training.ingest(strategy)
        with pytest.raises(FitError, match=r"fit failed in line 4"):
            folds.run_folds(strategy, snapshot_id, [3])
    [(failure,)] = rows(
        settings,
        "SELECT failure FROM trial_ledger WHERE strategy = 'spread' AND failure IS NOT NULL",
    )
    assert "fit failed in line 4" in failure


def test_a_leak_is_found_before_any_fold_is_fitted(settings: Settings) -> None:
    ahead = "import polars as pl\n\n\ndef ahead():\n    return pl.col('close').shift(-1)\n"
    (settings.strategies_dir / "ahead.py").write_text(ahead)
    peek = {"custom": {"name": "x", "function": "ahead:ahead"}}
    strategy = strategy_in(settings, features=[peek])
    with run("leak"), pytest.raises(LeakError, match="feature x of"):
        folds.plan_folds(strategy, training.ingest(strategy))


def test_more_folds_than_airflow_maps_share_tasks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "_MOST_PARTS", 3)
    strategy = strategy_in(settings)
    with run("many"):
        parts = folds.plan_folds(strategy, training.ingest(strategy))
    assert parts == [[0, 3], [1], [2]]

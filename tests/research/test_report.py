import datetime as dt
import json
import math
from dataclasses import replace

import polars as pl
import pytest

from tradewind.market.validation.findings import Finding
from tradewind.research.backtest.positions import target_weights
from tradewind.research.statistics.inference import expected_best_sharpe
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.tearsheet.report import report_of
from tradewind.research.training import TrainingResult, train
from tradewind.research.trials.ledger import TrialSummary


def swept(trained: TrainingResult, table: pl.DataFrame) -> TrainingResult:
    """A training after a sweep; the ledger counts more than that sweep."""
    return replace(
        trained,
        trials=TrialSummary(60, variance=0.0004, alpha_variance=0.0009, pbo=0.3, table=table),
    )


def trials_of(trained: TrainingResult) -> pl.DataFrame:
    model = trained.strategy.model.model_dump(mode="json")
    best = trained.metrics["sharpe"]
    tried = [
        ({**model, "rounds": 40}, 0.9),
        (model, best),
        (model, 0.1),  # the same parameters with other features
        ({**model, "rounds": 60}, None),  # failed
        ({**model, "num_leaves": 3}, -0.2),
    ]
    return pl.DataFrame(
        {
            "parameters": [json.dumps(parameters, sort_keys=True) for parameters, _ in tried],
            "sharpe": [sharpe for _, sharpe in tried],
        }
    )


def test_a_training_without_a_sweep_has_a_report(trained: TrainingResult) -> None:
    found = Finding("warning", "AAPL", dt.date(2000, 9, 29), "outlier", -0.5, "fell by half")
    report = report_of(trained, findings=[found], snapshot_id="abc", provenance={"python": "3"})
    assert report.strategy == trained.strategy
    assert (report.data_start, report.data_end) == (trained.data_start, trained.data_end)
    assert report.folds == trained.folds
    assert report.findings == (found,)
    assert (report.snapshot_id, report.provenance) == ("abc", {"python": "3"})
    assert report.trials is None
    assert report.paths == ()
    assert report.metric("sharpe") == trained.metrics["sharpe"]
    assert math.isnan(report.metric("nothing_of_the_kind"))
    assert report.has_benchmark


def test_exposure_is_what_was_decided_a_session_before(trained: TrainingResult) -> None:
    strategy = trained.strategy
    days = report_of(trained).days
    assert days.height == trained.equity.height
    assert days.select(trained.equity.columns).equals(trained.equity)
    weights = target_weights(trained.predictions, strategy.backtest, horizon=strategy.horizon)
    sessions = days.get_column("session")
    assert days.get_column("wanted_gross")[0] == 0.0
    decided = weights.filter(pl.col("session") == sessions[499]).get_column("weight")
    assert days.get_column("wanted_long")[500] == pytest.approx(decided.sum())
    assert days.get_column("wanted_short").to_list() == [0.0] * days.height
    assert days.get_column("wanted_gross").to_list() == days.get_column("wanted_long").to_list()


def test_long_and_short_are_told_apart(bars: pl.DataFrame, strategy: Strategy) -> None:
    both = strategy.model_copy(
        update={
            "backtest": strategy.backtest.model_copy(update={"positions": "long_short"}),
            "walk_forward": strategy.walk_forward.model_copy(update={"test": 700}),
        }
    )
    days = report_of(train(bars, both)).days
    long, short, gross = (
        days.get_column(f"wanted_{side}").to_numpy() for side in ("long", "short", "gross")
    )
    assert short.min() < -0.3
    assert gross == pytest.approx(long - short)
    assert gross.max() <= 1.0 + 1e-9
    assert long + short == pytest.approx(0.0, abs=1e-9)  # as much long as short


def test_trials_are_drawn_worst_first_and_the_chosen_one_is_marked(
    trained: TrainingResult,
) -> None:
    trials = report_of(swept(trained, trials_of(trained))).trials
    assert trials is not None
    assert trials.n_trials == 60
    assert trials.threshold == pytest.approx(expected_best_sharpe(60, 0.0004) * math.sqrt(252))
    assert trials.table.height == 5
    best = trained.metrics["sharpe"]
    assert best < 0.9
    assert trials.points.get_column("sharpe").to_list() == [-0.2, 0.1, best, 0.9]
    assert trials.points.get_column("trial").to_list() == [1, 2, 3, 4]
    assert trials.points.get_column("chosen").to_list() == [False, False, True, False]
    # what is the same in all trials is left out
    assert trials.points.get_column("parameters")[0] == "num_leaves 3, rounds 100"


def test_histories_and_importance_are_taken_over(trained: TrainingResult) -> None:
    table = pl.DataFrame({"path": [0, 1, 2], "sharpe": [0.5, math.nan, -0.1]})
    report = report_of(replace(trained, combinatorial=table, importance={"a": 2.0}))
    assert report.paths == (0.5, -0.1)
    assert report.importance == {"a": 2.0}

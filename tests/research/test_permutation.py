"""What a model leans on that does not say so itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.estimators import ESTIMATORS, of_class
from tradewind.research.evaluation.dataset import Dataset, prepare
from tradewind.research.evaluation.permutation import permutation_importance
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.tearsheet.page import page
from tradewind.research.tearsheet.report import report_of
from tradewind.research.training import TrainingResult, train

RULES = """
import numpy as np


def first(features):
    return features["return_5"]


def past(features):
    return features["history"].to_numpy()[:, 0, 1]


def strict(features):
    assert (features["return_5"] - features["momentum_5_0"]).abs().max() < 1e-12
    return features["return_5"]
"""


@pytest.fixture
def ruled(tmp_path: Path, strategy: Strategy, monkeypatch: pytest.MonkeyPatch) -> Strategy:
    """Two features, and a rule that looks at the first alone."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "rules.py").write_text(RULES)
    fields = {
        **strategy.model_dump(),
        "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
        "model": {"kind": "rule", "function": "rules:first"},
        "walk_forward": {"train": 756, "test": 504},
    }
    return Strategy.model_validate(fields)


def planted(dataset: Dataset, label: pl.Expr) -> Dataset:
    return replace(dataset, rows=dataset.rows.with_columns(label.alias("label")))


def test_a_feature_without_a_say_has_none_and_the_other_all(
    bars: pl.DataFrame, ruled: Strategy
) -> None:
    dataset = planted(prepare(bars, ruled), pl.col("return_5") * 2.0)
    found = permutation_importance(dataset, ruled)
    assert list(found) == ["return_5", "volatility_21"]
    assert found["volatility_21"] == 0.0
    # The order of each session is known without, and mere chance with it.
    assert found["return_5"] == pytest.approx(1.0, abs=0.1)
    assert permutation_importance(dataset, ruled) == found
    reseeded = permutation_importance(dataset, ruled.model_copy(update={"seed": 8}))
    assert reseeded["return_5"] != found["return_5"]


def test_what_makes_a_model_worse_out_of_sample_has_none(
    bars: pl.DataFrame, ruled: Strategy
) -> None:
    dataset = planted(prepare(bars, ruled), pl.col("return_5") * -2.0)
    assert permutation_importance(dataset, ruled)["return_5"] == 0.0


def test_the_past_of_a_feature_is_shuffled_with_it(bars: pl.DataFrame, ruled: Strategy) -> None:
    model = {"kind": "rule", "function": "rules:past", "lookback": 3}
    looking = of_class(ruled, model)
    dataset = prepare(bars, looking)
    oldest = pl.Series("label", dataset.rows["history"].to_numpy()[:, 0, 1])
    found = permutation_importance(
        replace(dataset, rows=dataset.rows.with_columns(oldest)), looking
    )
    assert found["return_5"] == 0.0
    assert found["volatility_21"] == pytest.approx(1.0, abs=0.1)


def test_a_model_that_refuses_rows_that_never_were_is_trained_all_the_same(
    bars: pl.DataFrame, ruled: Strategy
) -> None:
    fields = {
        **ruled.model_dump(),
        "features": [{"return": {"window": 5}}, {"momentum": {"window": 5, "skip": 0}}],
        "model": {"kind": "rule", "function": "rules:strict"},
    }
    strict = Strategy.model_validate(fields)
    assert permutation_importance(prepare(bars, strict), strict) == {}


@pytest.fixture(scope="module")
def boosted(bars: pl.DataFrame, strategy: Strategy) -> TrainingResult:
    fields = {
        **strategy.model_dump(),
        "model": ESTIMATORS["gradient boosting"],
        "walk_forward": {"train": 756, "test": 504},
    }
    return train(bars, Strategy.model_validate(fields))


def test_a_training_asks_models_that_have_none_and_says_how(boosted: TrainingResult) -> None:
    assert boosted.importance_shuffled
    assert tuple(boosted.importance) == boosted.feature_names
    assert all(np.isfinite(value) and value >= 0.0 for value in boosted.importance.values())
    report = report_of(boosted)
    assert "by shuffling one feature at a time in the last test window" in page(report)


def test_a_model_that_says_it_is_not_asked(trained: TrainingResult) -> None:
    assert trained.importance
    assert not trained.importance_shuffled
    assert "of the final model, in sample" in page(report_of(trained))

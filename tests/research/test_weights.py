"""How much each row counts in a fit: by hand, and in each kind of model that can be told."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tests.estimators import estimator, of_class, part
from tradewind.errors import StrategyError
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.walk_forward import score
from tradewind.research.models.model import fingerprint, fit, predict_rows, share
from tradewind.research.models.weights import average_uniqueness, row_weights
from tradewind.research.strategy.fitting import Weights
from tradewind.research.strategy.strategy import Strategy

DAYS = [dt.date(2024, 1, day) for day in range(1, 20)]


def labelled(days: Sequence[int], *, symbol: str = "A", horizon: int = 2) -> pl.DataFrame:
    """Rows of some days, whose labels end `horizon` days later."""
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "session": [DAYS[day] for day in days],
            "label": [0.01 if day % 3 else -0.01 for day in days],
            "label_end": [DAYS[day + horizon] for day in days],
        }
    )


def test_average_uniqueness_is_what_a_hand_count_says() -> None:
    # The labels of days 0, 1 and 2 are made of the days {1, 2}, {2, 3} and {3, 4}.
    found = average_uniqueness(labelled([0, 1, 2]))
    np.testing.assert_allclose(found, [(1 + 1 / 2) / 2, 1 / 2, (1 / 2 + 1) / 2], rtol=1e-15)
    # With a horizon of three: {1, 2, 3}, {2, 3, 4}, {3, 4, 5}; one, two, three, two, one share.
    found = average_uniqueness(labelled([0, 1, 2], horizon=3))
    expected = [(1 + 1 / 2 + 1 / 3) / 3, (1 / 2 + 1 / 3 + 1 / 2) / 3, (1 / 3 + 1 / 2 + 1) / 3]
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_labels_that_share_nothing_are_unique() -> None:
    assert average_uniqueness(labelled([0, 1, 2], horizon=1)).tolist() == [1.0, 1.0, 1.0]
    assert average_uniqueness(labelled([0, 2, 4, 8])).tolist() == [1.0] * 4
    # A gap, as combinatorial folds have: the label of day 1 ends before that of day 8 begins.
    np.testing.assert_allclose(average_uniqueness(labelled([0, 1, 8])), [0.75, 0.75, 1.0])


def test_symbols_share_nothing_with_each_other_and_the_order_of_rows_does_not_matter() -> None:
    one, two = labelled([0, 1, 2]), labelled([1, 2, 3, 9], symbol="B")
    both = pl.concat([one, two])
    apart = np.concatenate([average_uniqueness(one), average_uniqueness(two)])
    np.testing.assert_allclose(average_uniqueness(both), apart, rtol=1e-15)
    mixed = both.with_row_index().sample(fraction=1.0, shuffle=True, seed=3)
    at = mixed["index"].to_numpy()
    assert average_uniqueness(mixed).tobytes() == average_uniqueness(both)[at].tobytes()


def test_a_row_counts_half_after_a_half_life() -> None:
    found = row_weights(labelled([0, 1, 2]), Weights(half_life=1))
    assert found is not None
    np.testing.assert_allclose(found, np.array([1, 2, 4]) / (7 / 3), rtol=1e-15)


def test_both_classes_count_alike_in_all() -> None:
    rows = labelled([1, 2, 4, 5, 3])  # four up, one down
    found = row_weights(rows, Weights(class_weight="balanced"))
    assert found is not None
    np.testing.assert_allclose(found, [0.625] * 4 + [2.5], rtol=1e-15)
    only = row_weights(rows.head(4), Weights(class_weight="balanced"))
    assert only is not None
    assert only.tolist() == [1.0] * 4


def test_what_is_set_is_multiplied_and_one_on_average() -> None:
    rows = labelled([0, 1, 2, 3, 7])
    product = np.ones(rows.height)
    for each in (
        Weights(uniqueness=True), Weights(half_life=3), Weights(class_weight="balanced"),
    ):  # fmt: skip
        alone = row_weights(rows, each)
        assert alone is not None
        product *= alone
    together = Weights(uniqueness=True, half_life=3, class_weight="balanced")
    found = row_weights(rows, together)
    assert found is not None
    np.testing.assert_allclose(found, product / product.mean(), rtol=1e-14)
    assert found.mean() == pytest.approx(1.0)
    assert row_weights(rows, None) is None


OWN = """
class Mean:
    def fit(self, features, labels, *, context, weights):
        self.mean = (labels * weights).sum() / weights.sum()

    def predict(self, features):
        return [self.mean] * len(features)

    def save(self, folder):
        (folder / "mean.txt").write_text(repr(self.mean))

    @classmethod
    def load(cls, folder):
        raise NotImplementedError
"""
FADING = {"half_life": 63}
SCALED = [
    ["scale", part("sklearn.preprocessing:StandardScaler")],
    ["line", part("sklearn.linear_model:Ridge")],
]
KINDS: dict[str, dict[str, Any]] = {
    "trees": {"kind": "lightgbm", "rounds": 20},
    "ranked": {"kind": "lightgbm", "rounds": 20, "objective": "lambdarank"},
    "ridge": {"kind": "ridge"},
    "own": {"kind": "custom", "class": "weighted:Mean"},
    "pipeline": estimator("sklearn.pipeline:Pipeline", steps=SCALED),
    "xgboost": estimator("xgboost:XGBClassifier", n_estimators=10, max_depth=2),
    "catboost": estimator("catboost:CatBoostRegressor", iterations=10),
    "lightgbm": estimator("lightgbm:LGBMRegressor", n_estimators=10),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "weighted.py").write_text(OWN)
    return tmp_path / "strategies"


@pytest.fixture(scope="module")
def known(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    return prepare(bars, strategy).latest_rows().tail(1600)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_believes_the_rows_that_count(
    known: pl.DataFrame, strategy: Strategy, name: str
) -> None:
    """The first half of the rows says the opposite of the second, which counts far more."""
    newest = known["session"] > known["session"][known.height // 2]
    size = pl.when(pl.col("return_1") > 0.0).then(0.03).otherwise(-0.01)
    rows = known.with_columns(pl.when(newest).then(size).otherwise(-size).alias("label"))
    asked = rows.tail(400)
    fading = of_class(strategy, {**KINDS[name], "weights": FADING})
    found = predict_rows(fit(rows, fading), asked, fading)
    if name == "own":
        weights = row_weights(rows, Weights(half_life=63))
        assert weights is not None
        expected = np.average(rows["label"].to_numpy(), weights=weights)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        return
    up = asked["return_1"].to_numpy() > 0.0
    assert found[up].mean() > found[~up].mean() + 1e-6
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=2)
    assert fingerprint(fit(mixed, fading)) == fingerprint(fit(rows, fading))
    plain = of_class(strategy, KINDS[name])
    assert fingerprint(fit(rows, plain)) != fingerprint(fit(rows, fading))


def test_trials_that_share_their_rows_share_the_weights(
    known: pl.DataFrame, strategy: Strategy
) -> None:
    model = {"kind": "lightgbm", "rounds": 20, "weights": FADING, "early_stopping": {"rounds": 5}}
    this = of_class(strategy, model)
    shared = share(this)
    for leaves in (7, 15):
        trial = this.with_parameters({"num_leaves": leaves})
        alone = predict_rows(fit(known, trial), known, trial)
        together = predict_rows(fit(known, trial, shared=shared), known, trial)
        assert together.tobytes() == alone.tobytes()


def test_a_ridge_is_the_one_of_the_weighted_squares(
    known: pl.DataFrame, strategy: Strategy
) -> None:
    this = of_class(strategy, {"kind": "ridge", "alpha": 3.0, "weights": {"uniqueness": True}})
    model = fit(known, this).native
    weights = row_weights(known, Weights(uniqueness=True))
    assert weights is not None
    columns = known.select(this.feature_names).to_numpy()
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    centred = scaled - np.average(scaled, axis=0, weights=weights)
    label = known["label"].to_numpy()
    label = label - np.average(label, weights=weights)
    squares = (centred * weights[:, None]).T @ centred + 3.0 * np.eye(len(this.feature_names))
    expected = np.linalg.solve(squares, (centred * weights[:, None]).T @ label)
    np.testing.assert_allclose(model["ridge"].coef_, expected, rtol=1e-8)


def test_a_walk_forward_weights_each_window_by_itself(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    weights = {"uniqueness": True, "half_life": 252}
    windows = {"train": 756, "test": 504}
    model = {"kind": "ridge", "weights": weights}
    this = Strategy.model_validate(
        {**strategy.model_dump(), "model": model, "walk_forward": windows}
    )
    dataset = prepare(bars, this)
    found = score(dataset, this).predictions
    alone = fit(dataset.train_rows(dataset.windows[1]), this)
    expected = predict_rows(alone, dataset.test_rows(dataset.windows[1]), this)
    assert found.filter(fold=1)["prediction"].to_numpy().tobytes() == expected.tobytes()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a rule": ({"kind": "ma_crossover", "fast": 5, "slow": 9, "weights": FADING}, "weights"),
    "nothing": ({"kind": "ridge", "weights": {}}, "say how rows are weighted"),
    "never": ({"kind": "ridge", "weights": {"half_life": 0}}, "half_life"),
    "no classes": (
        {"kind": "lightgbm", "weights": {"class_weight": "balanced"}},
        "is for classifiers of the kind estimator, and not for the model lightgbm",
    ),
    "a regressor": (
        estimator("lightgbm:LGBMRegressor") | {"weights": {"class_weight": "balanced"}},
        "is for classifiers, and LGBMRegressor is none",
    ),
    "no sample_weight": (
        estimator("sklearn.neighbors:KNeighborsRegressor") | {"weights": FADING},
        "the fit of KNeighborsRegressor takes no sample_weight",
    ),
    "a ranker": (
        estimator("lightgbm:LGBMRanker") | {"weights": FADING},
        "LGBMRanker learns an order within a session",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_weights_are_refused_by_name_where_they_have_no_use(strategy: Strategy, why: str) -> None:
    model, said = REFUSED[why]
    fields = {**strategy.model_dump(), "model": model}
    if why == "a rule":
        fields["features"] = []
    with pytest.raises(ValidationError, match=said):
        Strategy.model_validate(fields)


def test_a_class_that_takes_none_is_told_so(
    known: pl.DataFrame, strategy: Strategy, folder: Path
) -> None:
    (folder / "weighted.py").write_text(OWN.replace(", weights):", "):"))
    this = of_class(strategy, {**KINDS["own"], "weights": FADING})
    with pytest.raises(StrategyError, match=r"fit takes no weights, which model\.weights"):
        fit(known, this)


def test_a_strategy_without_weights_is_the_one_of_before(strategy: Strategy) -> None:
    assert "weights" not in strategy.told_apart_by()["model"]
    weighted = of_class(strategy, {**strategy.model.model_dump(), "weights": {"uniqueness": True}})
    assert weighted.content_hash() != strategy.content_hash()
    recorded = weighted.model_dump_json()
    assert Strategy.recorded(recorded) == weighted

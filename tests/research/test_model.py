import numpy as np
import polars as pl
import pytest

from tests.support import typed
from tradewind.errors import FitError, ResearchError
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.models.crossover import Rule
from tradewind.research.models.model import (
    FittedModel,
    fingerprint,
    fit,
    importance,
    predict_rows,
)
from tradewind.research.strategy.strategy import Strategy

TREES = {"kind": "lightgbm", "rounds": 10, "bagging_fraction": 0.7, "feature_fraction": 0.7}
KINDS = {
    "regression": TREES,
    "lambdarank": TREES | {"objective": "lambdarank"},
    "ridge": {"kind": "ridge", "alpha": 2.0},
    "rule": {"kind": "ma_crossover", "fast": 50, "slow": 200},
}
LEARNERS = ["regression", "lambdarank", "ridge"]


def of_kind(strategy: Strategy, kind: str) -> Strategy:
    fields = {**strategy.model_dump(), "model": KINDS[kind]}
    return Strategy.model_validate(fields | ({"features": ()} if kind == "rule" else {}))


@pytest.fixture(scope="module")
def rows(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    features, labels = compute_features(bars, strategy), compute_labels(bars, strategy)
    return features.join(labels, on=["symbol", "session"]).sort("session", "symbol").tail(1500)


def planted(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose label follows one of the features."""
    label = pl.when(pl.col("return_1") > 0.0).then(0.01).otherwise(-0.01)
    return rows.with_columns(label.alias("label"))


@pytest.mark.parametrize("kind", LEARNERS)
def test_the_number_of_cores_changes_no_bit(
    rows: pl.DataFrame, strategy: Strategy, kind: str
) -> None:
    this = of_kind(strategy, kind)
    found = [
        predict_rows(fit(rows, this, num_threads=cores), rows, this, num_threads=cores).tobytes()
        for cores in (1, 2, 1)
    ]
    assert found[0] == found[1] == found[2]
    assert np.unique(np.frombuffer(found[0])).size > 10


@pytest.mark.parametrize("kind", LEARNERS)
def test_the_order_of_rows_changes_no_bit(
    rows: pl.DataFrame, strategy: Strategy, kind: str
) -> None:
    this = of_kind(strategy, kind)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=4)
    models = [fit(rows, this), fit(shuffled, this)]
    found = [predict_rows(model, rows, this).tobytes() for model in models]
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_predicted_alike_in_any_company(
    bars: pl.DataFrame, rows: pl.DataFrame, strategy: Strategy, kind: str
) -> None:
    this = of_kind(strategy, kind)
    asked = compute_features(bars, this).tail(1500)
    model = fit(rows, this)
    together = predict_rows(model, asked, this)
    for size in (1, 2, 3, 5, 7, 20):
        alone = [predict_rows(model, asked[at : at + size], this) for at in range(0, 200, size)]
        assert np.concatenate(alone)[:200].tobytes() == together[:200].tobytes()


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_planted_signal_is_learnt(rows: pl.DataFrame, strategy: Strategy, kind: str) -> None:
    this, learnt = of_kind(strategy, kind), planted(rows)
    model = fit(learnt.head(1000), this)
    rest = learnt.tail(500).with_columns(
        pl.Series("prediction", predict_rows(model, learnt.tail(500), this))
    )
    ranks = rest.select(
        pl.corr("prediction", "label", method="spearman").over("session").alias("ic")
    ).drop_nans()
    assert typed(ranks["ic"].mean(), float) > 0.7
    weights = importance(model, this.feature_names)
    assert tuple(weights) == this.feature_names
    assert max(weights, key=lambda name: weights[name]) == "return_1"
    assert all(weight >= 0.0 for weight in weights.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_fingerprint_is_that_of_what_was_learnt(
    rows: pl.DataFrame, strategy: Strategy, kind: str
) -> None:
    this = of_kind(strategy, kind)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=4)
    model = fit(rows, this)
    alike = {fingerprint(model), fingerprint(fit(shuffled, this, num_threads=2))}
    assert len(alike) == 1
    assert len(alike.pop()) == 64
    if kind == "rule":
        assert fingerprint(FittedModel(this.model, Rule("ma_ratio_50_201"))) != fingerprint(model)
        return
    before = fingerprint(model)
    predict_rows(model, rows, this)  # being asked teaches it nothing
    assert fingerprint(model) == before
    assert fingerprint(fit(rows.tail(1490), this)) != before


def test_kinds_of_models_never_share_a_fingerprint(rows: pl.DataFrame, strategy: Strategy) -> None:
    found = [fingerprint(fit(rows, of_kind(strategy, kind))) for kind in KINDS]
    assert len(set(found)) == len(KINDS)


def test_every_number_of_a_ridge_counts(rows: pl.DataFrame, strategy: Strategy) -> None:
    found = set()
    for step, attribute in (
        ("scale", "mean_"), ("scale", "scale_"), ("ridge", "coef_"), ("ridge", "intercept_"),
    ):  # fmt: skip
        model = fit(rows, of_kind(strategy, "ridge"))
        part = model.native.named_steps[step]
        setattr(part, attribute, np.nextafter(getattr(part, attribute), np.inf))
        found.add(fingerprint(model))
    assert len(found | {fingerprint(fit(rows, of_kind(strategy, "ridge")))}) == 5


def test_ridge_is_the_textbook_solution(rows: pl.DataFrame, strategy: Strategy) -> None:
    this = of_kind(strategy, "ridge")
    inputs, labels = rows.select(this.feature_names).to_numpy(), rows["label"].to_numpy()
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    gram = scaled.T @ scaled + 2.0 * np.eye(scaled.shape[1])
    weights = np.linalg.solve(gram, scaled.T @ (labels - labels.mean()))
    model = fit(rows, this)
    expected = scaled @ weights + labels.mean()
    np.testing.assert_allclose(predict_rows(model, rows, this), expected, atol=1e-12)
    np.testing.assert_allclose(
        list(importance(model, this.feature_names).values()), np.abs(weights), atol=1e-12
    )


def test_ranking_uses_nothing_but_the_order_within_a_session(
    rows: pl.DataFrame, strategy: Strategy
) -> None:
    this = of_kind(strategy, "lambdarank")
    # each session's labels moved and stretched: another return, the same order
    market = pl.col("session").rank("dense") * 0.001
    moved = rows.with_columns(pl.col("label") * 3.0 + market)
    found = [predict_rows(fit(each, this), rows, this) for each in (rows, moved)]
    assert found[0].tobytes() == found[1].tobytes()
    turned = rows.with_columns(-pl.col("label"))
    assert predict_rows(fit(turned, this), rows, this).tobytes() != found[0].tobytes()


def test_a_rule_predicts_its_only_feature(
    bars: pl.DataFrame, rows: pl.DataFrame, strategy: Strategy
) -> None:
    this = of_kind(strategy, "rule")
    features = compute_features(bars, this)
    model = fit(rows.clear(), this)
    assert model.native == Rule("ma_ratio_50_200")
    assert np.array_equal(
        predict_rows(model, features, this), features["ma_ratio_50_200"].to_numpy()
    )
    assert importance(model, this.feature_names) == {}
    with pytest.raises(ValueError, match="too many values"):
        model.native.predict(np.zeros((3, 2)))


@pytest.mark.parametrize("kind", LEARNERS)
def test_no_rows_are_refused(rows: pl.DataFrame, strategy: Strategy, kind: str) -> None:
    with pytest.raises(ResearchError, match="strategy momentum: no row"):
        fit(rows.clear(), of_kind(strategy, kind))


def test_parameters_that_leave_no_row_are_refused_by_name(
    rows: pl.DataFrame, strategy: Strategy
) -> None:
    starved = of_kind(strategy, "regression").with_parameters({"bagging_fraction": 1e-4})
    with pytest.raises(FitError, match=r"bagging_fraction=0.0001.*num_data"):
        fit(rows, starved)

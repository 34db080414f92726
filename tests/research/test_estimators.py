"""Any scikit-learn estimator as a model: read, fitted, asked and swept."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from tests.estimators import COMMITTEE, ESTIMATORS, PIPELINE, estimator, of_class, part
from tradewind.errors import FitError, StrategyError
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.models.model import fingerprint, fit, importance, predict_rows
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train
from tradewind.research.trials.parameter_sets import draw

CLASSIFIERS = ["xgboost classifier", "forest", "logistic"]
RANKERS = ["xgboost ranker", "lightgbm ranker", "ranker at the end of a pipeline"]
# Of others the seed decides nothing.
DRAWN = [
    "xgboost", "xgboost ranker", "catboost", "lightgbm", "lightgbm ranker", "forest", "committee",
]  # fmt: skip


@pytest.fixture(scope="module")
def rows(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    features, labels = compute_features(bars, strategy), compute_labels(bars, strategy)
    return features.join(labels, on=["symbol", "session"]).sort("session", "symbol").tail(1200)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_same_bits_for_the_same_rows(rows: pl.DataFrame, strategy: Strategy, name: str) -> None:
    this = of_class(strategy, ESTIMATORS[name])
    model = fit(rows, this)
    found = predict_rows(model, rows, this)
    mark = fingerprint(model)
    assert np.isfinite(found).all()
    assert np.unique(found).size > 10

    other = fit(rows.sample(fraction=1.0, shuffle=True, seed=4), this, num_threads=2)
    assert predict_rows(other, rows, this, num_threads=2).tobytes() == found.tobytes()
    assert fingerprint(other) == mark

    for size in (1, 3, 20):  # in any company
        alone = [predict_rows(model, rows[at : at + size], this) for at in range(0, 60, size)]
        assert np.concatenate(alone)[:60].tobytes() == found[:60].tobytes()
    assert fingerprint(model) == mark  # being asked teaches it nothing

    assert fingerprint(fit(rows.tail(1190), this)) != mark
    if name in DRAWN:
        reseeded = this.model_copy(update={"seed": strategy.seed + 1})
        assert fingerprint(fit(rows, reseeded)) != mark


def test_more_than_one_block_of_rows_is_asked_for(rows: pl.DataFrame, strategy: Strategy) -> None:
    this = of_class(strategy, PIPELINE)
    model = fit(rows, this)
    whole = predict_rows(model, rows, this)
    assert rows.height > 1024
    for at in (0, 1023, 1024, rows.height - 1):
        alone = predict_rows(model, rows[at : at + 1], this)
        assert alone.tobytes() == whole[at : at + 1].tobytes()
    assert predict_rows(model, rows.clear(), this).size == 0


def planted(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose label follows one of the features."""
    label = pl.when(pl.col("return_1") > 0.0).then(0.01).otherwise(-0.01)
    return rows.with_columns(label.alias("label"))


@pytest.mark.parametrize("name", [*CLASSIFIERS, *RANKERS, "catboost", "gradient boosting"])
def test_a_planted_signal_is_learnt(rows: pl.DataFrame, strategy: Strategy, name: str) -> None:
    this, learnt = of_class(strategy, ESTIMATORS[name]), planted(rows)
    model = fit(learnt.head(900), this)
    rest = learnt.tail(300)
    found = predict_rows(model, rest, this)
    up = rest["label"].to_numpy() > 0.0
    if name in RANKERS:
        assert found[up].mean() > found[~up].mean()
    else:
        assert ((found > 0.0) == up).mean() > 0.8  # the sign is the direction
    if name in CLASSIFIERS:
        assert np.abs(found).max() <= 1.0
    weights = importance(model, this.feature_names)
    if name == "gradient boosting":  # scikit-learn's own has none
        assert weights == {}
    else:
        assert tuple(weights) == this.feature_names
        assert all(weight >= 0.0 for weight in weights.values())
        if name != "lightgbm ranker":  # which counts splits, and one is enough for this signal
            assert max(weights, key=lambda each: weights[each]) == "return_1"


def test_a_classifier_that_saw_one_direction_alone_is_sure_of_it(
    rows: pl.DataFrame, strategy: Strategy
) -> None:
    this = of_class(strategy, ESTIMATORS["forest"])
    for label in (-0.01, 0.01):
        model = fit(rows.with_columns(label=pl.lit(label)), this)
        assert set(predict_rows(model, rows, this)) == {np.sign(label)}


def test_weights_of_a_pipeline_that_makes_other_columns_mean_nothing(
    rows: pl.DataFrame, strategy: Strategy
) -> None:
    steps = [
        ["turn", part("sklearn.decomposition:PCA")],
        ["line", part("sklearn.linear_model:Ridge")],
    ]
    this = of_class(strategy, estimator("sklearn.pipeline:Pipeline", steps=steps))
    assert importance(fit(rows, this), this.feature_names) == {}


def test_lists_are_what_the_class_has(rows: pl.DataFrame, strategy: Strategy) -> None:
    scale = part("sklearn.preprocessing:MinMaxScaler", feature_range=[-1, 1])
    kernel = part("sklearn.gaussian_process.kernels:RBF", length_scale=2.0)
    process = part(
        "sklearn.gaussian_process:GaussianProcessRegressor",
        kernel=kernel,
        optimizer=None,
        alpha=1.0,
    )
    steps = [["scale", scale], ["process", process]]
    this = of_class(strategy, estimator("sklearn.pipeline:Pipeline", steps=steps))
    model = fit(rows.tail(200), this)
    assert model.native["scale"].feature_range == (-1, 1)
    assert np.unique(predict_rows(model, rows, this)).size > 10


def test_the_seed_is_everywhere_where_the_file_leaves_it_unset(
    rows: pl.DataFrame, strategy: Strategy
) -> None:
    model = fit(rows, of_class(strategy, COMMITTEE)).native
    assert model.get_params()["trees__random_state"] == strategy.seed
    said = estimator("sklearn.ensemble:ExtraTreesRegressor", n_estimators=2, random_state=77)
    assert fit(rows, of_class(strategy, said)).native.random_state == 77


def test_what_only_the_library_refuses_is_told_in_one_line(
    rows: pl.DataFrame, strategy: Strategy
) -> None:
    this = of_class(strategy, estimator("sklearn.linear_model:Ridge", alpha="much"))
    with pytest.raises(FitError) as refused:
        fit(rows, this)
    said = str(refused.value)
    assert said.startswith(
        f"strategy {strategy.name}: sklearn.linear_model:Ridge cannot be fitted to 1200 rows: "
    )
    assert "'alpha' parameter of Ridge must be a float" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raise", "Odd cannot predict: ZeroDivisionError: in the middle; change the model"),
        ("wide", "Odd predicted 2048 values for 1024 rows"),
        (
            "nan",
            r"Odd predicted no number for \w+ on \d{4}-\d\d-\d\d, and for 2 rows of 1200 in all",
        ),
    ],
)
def test_predictions_that_cannot_be_used_are_told(
    rows: pl.DataFrame, strategy: Strategy, how: str, why: str
) -> None:
    this = of_class(strategy, estimator("tests.estimators:Odd", how=how))
    model = fit(rows, this)
    with pytest.raises(FitError, match=f"strategy {strategy.name}: {why}"):
        predict_rows(model, rows, this)


def test_an_order_of_one_symbol_is_none(rows: pl.DataFrame, strategy: Strategy) -> None:
    this = of_class(strategy, ESTIMATORS["xgboost ranker"])
    with pytest.raises(FitError, match="no session has two symbols"):
        fit(rows.filter(pl.col("symbol") == "IBM"), this)


@pytest.mark.parametrize("name", RANKERS)
def test_a_ranker_needs_two_symbols(strategy: Strategy, name: str) -> None:
    fields = {**strategy.model_dump(), "model": ESTIMATORS[name]}
    fields["universe"] = {**fields["universe"], "symbols": ("IBM",)}
    fields["backtest"] = {**fields["backtest"], "positions": "long_flat"}
    with pytest.raises(ValidationError, match="needs two symbols or more"):
        Strategy.model_validate(fields)


# What a file says wrong, where, and what is answered.
WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        estimator("xgboost:XGBRegressor", max_dept=4),
        "model.parameters.max_dept",
        "xgboost:XGBRegressor has no such parameter. Did you mean max_depth?",
    ),
    (
        estimator("lightgbm:LGBMRanker", num_leafs=4),
        "model.parameters.num_leafs",
        "Did you mean num_leaves?",
    ),
    (
        estimator("catboost:CatBoostRegressor", iteration=4),
        "model.parameters.iteration",
        "Did you mean iterations?",
    ),
    (
        estimator(
            "sklearn.pipeline:Pipeline",
            steps=[["ridge", part("sklearn.linear_model:Ridge", alhpa=1.0)]],
        ),
        "model.parameters.steps.0.1.parameters.alhpa",
        "Did you mean alpha?",
    ),
    (
        estimator("sklearn.linear_model:Rigde"),
        "model.class",
        "sklearn.linear_model has no Rigde. Did you mean Ridge?",
    ),
    (
        estimator("sklearn.linear_modell:Ridge"),
        "model.class",
        "sklearn.linear_modell cannot be imported: ModuleNotFoundError",
    ),
    (
        estimator("ngboost_of_nobody:NGBRegressor"),
        "model.class",
        "there is no installed package ngboost_of_nobody. Often used are: catboost, lightgbm,",
    ),
    (
        estimator("xgbost:XGBRegressor"),
        "model.class",
        "there is no installed package xgbost. Did you mean xgboost? Any other must be installed",
    ),
    (estimator("subprocess:Popen"), "model.class", "subprocess is part of Python"),
    (estimator("sklearn.metrics:r2_score"), "model.class", "is no class"),
    (estimator("polars:DataFrame"), "model.class", "is no estimator"),
    (estimator("sklearn.preprocessing:StandardScaler"), "model.class", "has no fit and predict"),
    (estimator("sklearn.cluster:KMeans"), "model.class", "is a clusterer"),
    (estimator("sklearn.svm:LinearSVC"), "model.class", "has no predict_proba"),
    (
        estimator("sklearn.ensemble:RandomForestRegressor", n_jobs=4),
        "model.parameters.n_jobs",
        "leave it out",
    ),
    (
        estimator(
            "sklearn.ensemble:StackingRegressor",
            estimators=[["ridge", part("sklearn.linear_model:Ridge")]],
            cv=part("sklearn.model_selection:KFold", n_splits=1),
        ),
        "model.parameters.cv.parameters",
        "sklearn.model_selection:KFold refuses them: ValueError: k-fold cross-validation requires",
    ),
    (
        estimator("sklearn.ensemble:VotingRegressor", estimators=[["a", {"class": 3}]]),
        "model.parameters.estimators.0.1.class",
        "must be module:Class, such as xgboost:XGBRegressor, not 3",
    ),
    (
        estimator(
            "sklearn.ensemble:BaggingRegressor",
            estimator={"class": "sklearn.linear_model:Ridge", "alpha": 1.0},
        ),
        "model.parameters.estimator.alpha",
        "unknown field of an estimator. Known are: class, parameters",
    ),
    (
        estimator("sklearn.linear_model:Ridge", alpha=float("inf")),
        "model.parameters.alpha",
        "must be a number, not inf",
    ),
]

FILE = """name: mine
description: An estimator of a package.
universe: {source: sample, symbols: [AAPL, IBM, MSFT]}
horizon: 5
features: [{return: {window: 5}}, {volatility: {window: 21}}]
model: %s
walk_forward: {train: 756, test: 504}
backtest: {positions: long_flat, commission_bps: 1, slippage_bps: 4}
"""
Written = Callable[[dict[str, Any], str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a strategy file with a model."""
    import yaml

    def write(model: dict[str, Any], more: str = "") -> Path:
        flow = yaml.safe_dump(model, default_flow_style=True, width=10_000).strip()
        file = tmp_path / "mine.yaml"
        file.write_text(FILE % flow + more)
        return file

    return write


@pytest.mark.parametrize(("model", "field", "why"), WRONG)
def test_what_is_wrong_is_told_when_the_file_is_read(
    written: Written, model: dict[str, Any], field: str, why: str
) -> None:
    file = written(model, "")
    with pytest.raises(StrategyError) as refused:
        load_strategy(file)
    assert str(refused.value).startswith(f"{file}:6: {field}: ")
    assert why in str(refused.value)


def test_a_reader_that_must_not_import_reads_without(written: Written) -> None:
    swept = "sweep: {trials: 2, parameters: {parameters.max_dept: {low: 1, high: 9}}}\n"
    file = written(estimator("xgboost:XGBRegressor", max_dept=4), swept)
    script = f"""
import sys
from pathlib import Path
from tradewind.research.strategy.files import load_strategy
found = load_strategy(Path({str(file)!r}), imports=False)
assert found.model.parameters == {{"max_dept": 4}}
assert not found.model.compares_symbols
heavy = {{"xgboost", "sklearn", "numpy", "scipy", "pandas"}} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    with pytest.raises(StrategyError, match="there is no installed package nobody"):
        load_strategy(written(estimator("nobody:Model"), ""), imports=False)


def test_a_training_refuses_at_its_start_what_was_read_without_imports(
    written: Written, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = load_strategy(written(estimator("xgboost:XGBRegressor", max_dept=4), ""), imports=False)
    monkeypatch.setattr("tradewind.research.training.refuse_lookahead", None)  # it gets not so far
    with pytest.raises(StrategyError, match=r"mine: model\.parameters\.max_dept: .*max_depth\?"):
        train(bars, this)


def test_a_record_is_read_without_its_packages(strategy: Strategy) -> None:
    this = of_class(strategy, ESTIMATORS["xgboost"])
    record = this.model_dump_json().replace("xgboost:XGB", "of_the_past:XGB")
    read = Strategy.recorded(record)
    assert read.model.model_dump()["class"] == "of_the_past:XGBRegressor"
    assert Strategy.recorded(this.model_dump_json()) == this
    assert Strategy.recorded(this.model_dump_json()).content_hash() == this.content_hash()


def swept(strategy: Strategy, model: dict[str, Any], parameters: dict[str, Any]) -> Strategy:
    sweep = {"trials": 3, "parameters": parameters}
    return Strategy.model_validate({**strategy.model_dump(), "model": model, "sweep": sweep})


def test_parameters_at_any_depth_are_swept(rows: pl.DataFrame, strategy: Strategy) -> None:
    ways = {
        "parameters.estimators.linear.steps.ridge.alpha": {"low": 0.1, "high": 10.0},
        "parameters.estimators.1.max_depth": {"choices": [2, 3]},
        "parameters.weights": {"low": 1, "high": 2},  # the file leaves it out
    }
    this = swept(strategy, COMMITTEE, ways)
    [first, *_] = draw(this)
    made = this.with_parameters(first).model.model_dump()["parameters"]
    [linear, trees] = made["estimators"]
    assert linear[1]["parameters"]["steps"][1][1]["parameters"] == {
        "alpha": first["parameters.estimators.linear.steps.ridge.alpha"]
    }
    assert trees[1]["parameters"]["max_depth"] == first["parameters.estimators.1.max_depth"]
    assert made["weights"] == first["parameters.weights"]
    assert this.model.model_dump() == of_class(strategy, COMMITTEE).model.model_dump()
    alpha = {"parameters.steps.ridge.alpha": {"low": 0.1, "high": 10.0}}
    piped = swept(strategy, PIPELINE, alpha)
    found = {fingerprint(fit(rows, piped.with_parameters(each))) for each in draw(piped)}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("alpha", "must begin with parameters"),
        ("class", "must begin with parameters"),
        ("parameters.steps.rigde.alpha", "leads nowhere: there is no rigde in the list, but scale"),
        ("parameters.steps.ridge.alhpa", r"has no such parameter\. Did you mean alpha"),
        ("parameters.memory.at", "leads nowhere: there is nothing in which at could be"),
    ],
)
def test_a_sweep_of_what_is_not_there_is_refused(strategy: Strategy, way: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        swept(strategy, PIPELINE, {way: {"low": 1.0, "high": 2.0}})


def test_arguments_that_libraries_document_but_do_not_name_are_known() -> None:
    """Held here, so that a release that drops one is seen: the library warns of what it ignores."""
    from tradewind.research.strategy.estimator_classes import _FURTHER

    features: NDArray[np.float64] = np.arange(40.0).reshape(20, 2)
    import lightgbm
    import xgboost

    assert not set(_FURTHER["xgboost"]) & set(xgboost.XGBModel().get_params())
    for name in ("lambdarank_num_pair_per_sample", "ndcg_exp_gain"):
        assert name in _FURTHER["xgboost"]
        model = xgboost.XGBRanker(n_estimators=1, n_jobs=1, **{name: 1})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(features, np.tile([0, 1], 10), qid=np.repeat(np.arange(10), 2))
    assert not set(_FURTHER["lightgbm"]) & set(lightgbm.LGBMModel().get_params())
    aliases = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    assert set(_FURTHER["lightgbm"]) <= set(aliases)

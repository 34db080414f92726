"""Rounds of boosting that are found on the newest sessions of a training window."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tests.estimators import PIPELINE, estimator, of_class
from tradewind.errors import FitError
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.models.model import fingerprint, fit, predict_rows, rounds_taken
from tradewind.research.models.stopping import head_and_tail
from tradewind.research.strategy.fitting import EarlyStopping
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train

SOON = {"rounds": 5, "share": 0.25}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "trees": ({"kind": "lightgbm", "rounds": 80, "feature_fraction": 0.5}, "rounds"),
    "ranked": ({"kind": "lightgbm", "rounds": 80, "objective": "lambdarank"}, "rounds"),
    "xgboost": (
        estimator("xgboost:XGBRegressor", n_estimators=80, max_depth=2, subsample=0.5),
        "parameters.n_estimators",
    ),
    "xgboost classifier": (
        estimator("xgboost:XGBClassifier", n_estimators=80, max_depth=2),
        "parameters.n_estimators",
    ),
    "catboost": (
        estimator("catboost:CatBoostRegressor", num_trees=80, learning_rate=0.3),
        "parameters.num_trees",
    ),
    "lightgbm": (
        estimator("lightgbm:LGBMClassifier", n_estimators=80, num_leaves=7),
        "parameters.n_estimators",
    ),
}


@pytest.fixture(scope="module")
def known(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    return prepare(bars, strategy).latest_rows().tail(1600)


def test_the_rows_to_fit_end_where_no_label_reaches_the_rest(strategy: Strategy) -> None:
    days = [dt.date(2024, 1, day) for day in range(1, 15)]
    rows = pl.DataFrame(
        {
            "symbol": ["A"] * 10,
            "session": days[:10],
            "label": [0.0] * 10,
            "label_end": days[3:13],  # a horizon of three
        }
    )
    head, tail = head_and_tail(rows, EarlyStopping(share=0.2), strategy)
    assert tail["session"].to_list() == days[8:10]
    assert head["session"].to_list() == days[:5]  # the label of the sixth is made of the ninth
    head, tail = head_and_tail(rows, EarlyStopping(share=0.21), strategy)
    assert (tail.height, head.height) == (3, 4)
    with pytest.raises(FitError, match="3 sessions of training cannot be cut for early stopping"):
        head_and_tail(rows.head(3), EarlyStopping(), strategy)


@pytest.mark.parametrize("name", KINDS)
def test_the_model_is_that_of_as_many_rounds_on_all_rows(
    known: pl.DataFrame, strategy: Strategy, name: str
) -> None:
    fields, way = KINDS[name]
    this = of_class(strategy, {**fields, "early_stopping": SOON})
    model = fit(known, this)
    taken = rounds_taken(model)
    assert taken is not None
    assert 1 <= taken < 80  # on prices little is to be learnt
    plain = of_class(strategy, fields)
    same = fit(known, plain.with_parameters({way: taken}))
    assert rounds_taken(same) is None
    assert predict_rows(model, known, this).tobytes() == predict_rows(same, known, this).tobytes()
    assert fingerprint(model) == fingerprint(same)
    mixed = known.sample(fraction=1.0, shuffle=True, seed=2)
    assert fingerprint(fit(mixed, this, num_threads=2)) == fingerprint(model)


def test_the_rounds_are_those_of_the_least_error_on_the_newest_sessions(
    known: pl.DataFrame, strategy: Strategy
) -> None:
    this = of_class(strategy, {"kind": "lightgbm", "rounds": 40, "early_stopping": SOON})
    head, tail = head_and_tail(known, EarlyStopping.model_validate(SOON), strategy)
    errors = []
    for rounds in range(1, 41):
        one = of_class(strategy, {"kind": "lightgbm", "rounds": rounds})
        missed = predict_rows(fit(head, one), tail, one) - tail["label"].to_numpy()
        errors.append(float(np.mean(missed**2)))
    best = 0
    while best < 40 and min(errors[best + 1 : best + 6], default=np.inf) < errors[best]:
        best = int(np.argmin(errors[: best + 6]))
    assert rounds_taken(fit(known, this)) == best + 1


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost:XGBRegressor"])
def test_weights_count_in_the_search_too(
    known: pl.DataFrame, strategy: Strategy, kind: str
) -> None:
    fields = {"kind": kind, "rounds": 30} if kind == "lightgbm" else estimator(kind)
    this = of_class(strategy, {**fields, "early_stopping": SOON, "weights": {"half_life": 20}})
    model = fit(known, this)
    taken = rounds_taken(model)
    way = "rounds" if kind == "lightgbm" else "parameters.n_estimators"
    plain = of_class(strategy, {**fields, "weights": {"half_life": 20}})
    assert fingerprint(fit(known, plain.with_parameters({way: taken}))) == fingerprint(model)


def test_a_training_says_how_many_rounds_its_model_has(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    fields = {
        **strategy.model_dump(),
        "model": {"kind": "lightgbm", "rounds": 30, "early_stopping": SOON},
        "walk_forward": {"train": 756, "test": 504},
    }
    result = train(bars, Strategy.model_validate(fields))
    assert result.metrics["rounds"] == result.model.native.num_trees() == rounds_taken(result.model)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no boosting": ({"kind": "ridge", "early_stopping": SOON}, "early_stopping"),
    "a forest": (
        estimator("sklearn.ensemble:RandomForestRegressor") | {"early_stopping": SOON},
        "is for the boosting of catboost, lightgbm, xgboost, by itself",
    ),
    "a pipeline": (PIPELINE | {"early_stopping": SOON}, "in no pipeline"),
    "a ranker": (
        estimator("xgboost:XGBRanker") | {"early_stopping": SOON},
        "XGBRanker learns an order",
    ),
    "twice": (
        estimator("xgboost:XGBRegressor", early_stopping_rounds=3) | {"early_stopping": SOON},
        "early_stopping beside the parameters says it",
    ),
    "all of it": ({"kind": "lightgbm", "early_stopping": {"share": 0.9}}, "share"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_it_is_refused_by_name_where_nothing_could_stop(strategy: Strategy, why: str) -> None:
    model, said = REFUSED[why]
    with pytest.raises(ValidationError, match=said):
        of_class(strategy, model)


def test_a_strategy_without_it_is_the_one_of_before(strategy: Strategy) -> None:
    assert "early_stopping" not in strategy.told_apart_by()["model"]
    soon = of_class(strategy, {**strategy.model.model_dump(), "early_stopping": SOON})
    assert soon.content_hash() != strategy.content_hash()
    assert Strategy.recorded(soon.model_dump_json()) == soon

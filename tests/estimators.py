"""Models of the kind `estimator`, small enough for tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.research.strategy.strategy import Strategy


def part(name: str, **parameters: Any) -> dict[str, Any]:
    """Return an estimator as it stands within another."""
    return {"class": name, "parameters": parameters}


def estimator(name: str, **parameters: Any) -> dict[str, Any]:
    """Return a model."""
    return {"kind": "estimator", **part(name, **parameters)}


def of_class(strategy: Strategy, model: dict[str, Any]) -> Strategy:
    """Return a strategy with a model."""
    return Strategy.model_validate({**strategy.model_dump(), "model": model})


_SCALE = part("sklearn.preprocessing:StandardScaler")
PIPELINE = estimator(
    "sklearn.pipeline:Pipeline",
    steps=[["scale", _SCALE], ["ridge", part("sklearn.linear_model:Ridge", alpha=2.0)]],
)
COMMITTEE = estimator(
    "sklearn.ensemble:VotingRegressor",
    estimators=[
        ["linear", {name: PIPELINE[name] for name in ("class", "parameters")}],
        ["trees", part("xgboost:XGBRegressor", n_estimators=5, subsample=0.7)],
    ],
)
ESTIMATORS = {
    "xgboost": estimator("xgboost:XGBRegressor", n_estimators=10, max_depth=3, subsample=0.7),
    "xgboost classifier": estimator("xgboost:XGBClassifier", n_estimators=10, max_depth=3),
    "xgboost ranker": estimator("xgboost:XGBRanker", n_estimators=10, max_depth=3, subsample=0.7),
    "catboost": estimator("catboost:CatBoostRegressor", iterations=20, learning_rate=0.3),
    "lightgbm": estimator("lightgbm:LGBMRegressor", n_estimators=10, colsample_bytree=0.7),
    "lightgbm ranker": estimator("lightgbm:LGBMRanker", n_estimators=10, colsample_bytree=0.7),
    "gradient boosting": estimator("sklearn.ensemble:HistGradientBoostingRegressor", max_iter=10),
    "forest": estimator("sklearn.ensemble:RandomForestClassifier", n_estimators=10, max_depth=4),
    "pipeline": PIPELINE,
    "logistic": estimator(
        "sklearn.pipeline:Pipeline",
        steps=[["scale", _SCALE], ["line", part("sklearn.linear_model:LogisticRegression")]],
    ),
    "ranker at the end of a pipeline": estimator(
        "sklearn.pipeline:Pipeline",
        steps=[["scale", _SCALE], ["rank", part("xgboost:XGBRanker", n_estimators=5)]],
    ),
    "stack": estimator(
        "sklearn.ensemble:StackingRegressor",
        estimators=[
            ["line", part("sklearn.linear_model:Ridge")],
            ["trees", part("lightgbm:LGBMRegressor", n_estimators=5)],
        ],
        final_estimator=part("sklearn.linear_model:LinearRegression"),
        cv=part("sklearn.model_selection:KFold", n_splits=3),
    ),
    "committee": COMMITTEE,
}


class Odd:
    """An estimator that predicts what cannot be used."""

    def __init__(self, how: str) -> None:
        self.how = how

    def fit(self, features: Any, labels: Any) -> "Odd":  # noqa: ARG002
        return self

    def predict(self, features: Any) -> NDArray[np.float64]:
        if self.how == "raise":
            raise ZeroDivisionError("in the\nmiddle")
        if self.how == "wide":
            return np.zeros((len(features), 2))
        found = np.zeros(len(features))
        found[3] = np.nan
        return found

"""Models of each kind, set up so that the same rows and seed give the same model bit for bit.

`fit`, `predict_rows`, `importance` and `fingerprint` are all that other modules use of a model.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import FitError, ResearchError
from tradewind.research.models._bins import Bins
from tradewind.research.strategy.models import LightGbm, MaCrossover, Ridge
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    import lightgbm

__all__ = [
    "GRADES",
    "Bins",
    "Predictor",
    "Rule",
    "fingerprint",
    "fit",
    "importance",
    "matrix",
    "predict_rows",
]

GRADES: Final = 5
"""Grades of relevance that lambdarank tells apart within a session: fifths of its labels."""


class Predictor(Protocol):
    """A model: ``lightgbm.Booster``, ``sklearn.pipeline.Pipeline`` or `Rule`."""

    def predict(self, data: Any) -> Any:  # noqa: ANN401 - each library has types of its own
        """Return one prediction a row of `data`, shape (n_rows,)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A model that learns nothing: its prediction is the feature itself.

    Attributes
    ----------
    feature : str
        Name of its only input, such as ``ma_ratio_50_200``.
    """

    feature: str

    def predict(self, data: ArrayLike) -> NDArray[np.float64]:
        """Return the only column of `data`, shape (n_rows, 1), as it is."""
        [column] = np.asarray(data, dtype=np.float64).T
        return np.array(column)


def fit(
    rows: pl.DataFrame, strategy: Strategy, *, num_threads: int = 1, bins: Bins | None = None
) -> Predictor:
    """Fit the model of a strategy to rows of features and labels.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        symbol, session, the strategy's feature columns and label; in any order, nothing null.
    strategy : Strategy
        Its `model` says what is fitted: gradient-boosted trees by least squares or by
        lambdarank, a linear regression, or a rule that needs no rows.
    num_threads : int
        Cores used. Results do not depend on it.
    bins : Bins, optional
        Binned rows that fits share: one for all fits on the same rows of strategies that have the
        same features and differ in their model only. Predictions do not depend on it. One line of a
        model's text does, and so its `fingerprint`; registered models are fitted without it.

    Returns
    -------
    lightgbm.Booster, sklearn.pipeline.Pipeline or Rule

    Raises
    ------
    FitError
        If LightGBM refuses the parameters, such as a fraction of the rows that leaves none.
    ResearchError
        If there is no row to learn from.

    References
    ----------
    Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree. Burges
    (2010), From RankNet to LambdaRank to LambdaMART. Hoerl and Kennard (1970), Ridge
    Regression: Biased Estimation for Nonorthogonal Problems.
    """
    parameters = strategy.model
    if isinstance(parameters, MaCrossover):
        [feature] = strategy.feature_names
        return Rule(feature)
    if rows.is_empty():
        raise ResearchError(f"strategy {strategy.name}: no row to fit a model on")
    match parameters:
        case LightGbm():
            return _fit_trees(rows, strategy, parameters, num_threads, bins)
        case Ridge():
            return _fit_ridge(rows.sort("session", "symbol"), strategy, parameters)
        case _:
            assert_never(parameters)


def predict_rows(
    model: Predictor, features: NDArray[np.float64], *, num_threads: int = 1
) -> NDArray[np.float64]:
    """Return one prediction a row, the same whatever other rows are asked for with it.

    Parameters
    ----------
    model : Predictor
        As returned by `fit`, or the same model fetched from a registry.
    features : ndarray of shape (n_rows, n_features)
        Columns in the order the model was fitted on.
    num_threads : int
        Cores used. Results do not depend on it.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    if steps := _steps(model):
        scaler, ridge = steps["scale"], steps["ridge"]
        # Not Pipeline.predict: BLAS rounds a row differently in a batch of another length, but a
        # prediction made alone must equal the one made in training. Sums along each row are always
        # the same.
        scaled = (features - scaler.mean_) / scaler.scale_
        linear: NDArray[np.float64] = (scaled * ridge.coef_).sum(axis=1) + ridge.intercept_
        return linear
    with _threads_limited_to(num_threads):
        return np.asarray(model.predict(features), dtype=np.float64)


def importance(model: Predictor, feature_names: Sequence[str]) -> dict[str, float]:
    """Return how much a model relies on each feature.

    Parameters
    ----------
    model : Predictor
    feature_names : sequence of str, length n_features
        Columns of the model's input, in order.

    Returns
    -------
    dict of str to float
        By feature, in the order given. Trees: how much splits on it reduced the loss, in all
        (gain). Ridge: size of its weight on standardised features, in units of the label. Empty
        for a rule.
    """
    if isinstance(model, Rule):
        return {}
    if steps := _steps(model):
        figures = np.abs(steps["ridge"].coef_)
    else:
        booster: Any = model
        figures = booster.feature_importance(importance_type="gain")
    return dict(zip(feature_names, map(float, figures), strict=True))


def fingerprint(model: Predictor) -> str:
    """Return the SHA-256 of the learnt content of a model, in hexadecimal.

    The same rows, strategy and seed give the same hash on one machine, with any number of cores; so
    does the same model fetched from a registry. On another machine sums may round differently.

    Parameters
    ----------
    model : Predictor
        As returned by `fit`, or the same model fetched from a registry.

    Returns
    -------
    str
        Trees: of LightGBM's own text, without the line that says on how many cores they were
        grown. Ridge: of means, scales, weights and intercept, to the bit. Rule: of its feature.
    """
    digest = hashlib.sha256()
    if isinstance(model, Rule):
        digest.update(f"rule\n{model.feature}\n".encode())
    elif steps := _steps(model):
        scaler, ridge = steps["scale"], steps["ridge"]
        learnt = {
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "weights": ridge.coef_,
            "intercept": ridge.intercept_,
        }
        for name, numbers in learnt.items():
            array = np.asarray(numbers, dtype="<f8")
            digest.update(f"{name} {array.shape}\n".encode() + array.tobytes())
    else:
        booster: Any = model
        for line in booster.model_to_string().splitlines(keepends=True):
            if not line.startswith("[num_threads:"):
                digest.update(line.encode())
    return digest.hexdigest()


def matrix(rows: pl.DataFrame, strategy: Strategy) -> NDArray[np.float64]:
    """Return the model's input, shape (n_rows, n_features), row by row in memory."""
    return np.ascontiguousarray(rows.select(strategy.feature_names).to_numpy())


def _fit_trees(
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: LightGbm,
    num_threads: int,
    bins: Bins | None,
) -> Predictor:
    # Imported here: its OpenMP threads must not exist before a worker forks.
    import lightgbm

    settings: dict[str, Any] = {
        "objective": parameters.objective,
        "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves,
        "min_data_in_leaf": parameters.min_data_in_leaf,
        "feature_fraction": parameters.feature_fraction,
        "bagging_fraction": parameters.bagging_fraction,
        "bagging_freq": int(parameters.bagging_fraction < 1.0),
        "lambda_l2": parameters.lambda_l2,
        "seed": strategy.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }
    if parameters.objective == "lambdarank":
        # The gain of a grade is its number, and every pair of a session counts: for a portfolio
        # that is long and short, the worst symbol matters as much as the best.
        settings["label_gain"] = list(range(GRADES))
        settings["lambdarank_truncation_level"] = int(_sizes(rows).max())
    booster: Predictor

    def make(settings: Mapping[str, Any]) -> "lightgbm.Dataset":
        return _tree_rows(rows.sort("session", "symbol"), strategy, settings)

    with _threads_limited_to(num_threads):
        try:
            if bins is None:
                data = make(settings)
            else:
                data, settings = bins.binned(settings, make)
            booster = lightgbm.train(
                settings,
                data,
                num_boost_round=parameters.rounds,
                # Else LightGBM writes the model as text and reads it again to release the rows,
                # which are kept here.
                keep_training_booster=bins is not None,
            )
        except lightgbm.basic.LightGBMError as error:
            raise FitError(
                f"strategy {strategy.name}: LightGBM cannot fit {rows.height} rows with "
                f"{parameters!r}: {' '.join(str(error).split())}; change the model's parameters"
            ) from error
    return booster


def _tree_rows(
    rows: pl.DataFrame, strategy: Strategy, settings: Mapping[str, Any]
) -> "lightgbm.Dataset":
    """Return rows sorted by session as LightGBM needs them, not binned yet."""
    import lightgbm

    ranked = settings["objective"] == "lambdarank"
    labels = rows.select(_grade()).to_series() if ranked else rows.get_column("label")
    return lightgbm.Dataset(
        matrix(rows, strategy),
        labels.to_numpy(),
        group=_sizes(rows) if ranked else None,
        feature_name=list(strategy.feature_names),
        params=dict(settings),
    )


def _sizes(rows: pl.DataFrame) -> NDArray[np.uint32]:
    """Return how many rows each session has, in the order in which sessions first come."""
    sizes = rows.group_by("session", maintain_order=True).len()
    return sizes.get_column("len").to_numpy()


def _grade() -> pl.Expr:
    """Return the quintile of each label in its session, from 0; equal labels have the same."""
    below = pl.col("label").rank("min").cast(pl.Int64) - 1
    return (below * GRADES // pl.len()).over("session")


def _fit_ridge(rows: pl.DataFrame, strategy: Strategy, parameters: Ridge) -> Predictor:
    from sklearn.linear_model import Ridge as SklearnRidge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("ridge", SklearnRidge(alpha=parameters.alpha, solver="cholesky")),
        ]
    )
    # One core: BLAS would add up in another order on several, and the sums are short.
    with _threads_limited_to(1):
        pipeline.fit(matrix(rows, strategy), rows.get_column("label").to_numpy())
    # The columns of a table are checked, as LightGBM does it.
    pipeline["scale"].feature_names_in_ = np.array(strategy.feature_names, dtype=object)
    model: Predictor = pipeline
    return model


def _steps(model: Predictor) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Return the named steps of a pipeline, None for other models; imports no scikit-learn."""
    return getattr(model, "named_steps", None)


def _threads_limited_to(num_threads: int) -> AbstractContextManager[object]:
    """Limit OpenMP and BLAS to some cores; a model fetched from a registry has no limit."""
    pools = _thread_pools(frozenset({"lightgbm", "sklearn"} & sys.modules.keys()))
    limits: AbstractContextManager[object] = pools.limit(limits=num_threads)
    return limits


@cache
def _thread_pools(_: frozenset[str]) -> Any:  # noqa: ANN401 - threadpoolctl ships no types
    """Find the thread pools of loaded libraries; again only if more are, as it takes 4 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

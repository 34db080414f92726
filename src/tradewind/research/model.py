"""LightGBM, set up so that the same rows and seed give the same model bit for bit."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tradewind.research.strategy import LightGbm

if TYPE_CHECKING:
    import lightgbm

__all__ = ["Predictor", "fit", "predict_rows"]


class Predictor(Protocol):
    """Anything that predicts from rows of features, such as ``lightgbm.Booster``."""

    def predict(self, data: NDArray[np.float64]) -> object:
        """Return one prediction a row of `data`, shape (n_rows,)."""


def fit(
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    *,
    parameters: LightGbm,
    feature_names: Sequence[str],
    seed: int,
    num_threads: int = 1,
) -> "lightgbm.Booster":
    """Fit gradient-boosted trees to labels by least squares.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
    labels : ndarray of shape (n_rows,)
    parameters : LightGbm
        From the strategy file.
    feature_names : sequence of str, length n_features
    seed : int
        Of every random choice LightGBM makes.
    num_threads : int
        Cores used. Results do not depend on it.

    Returns
    -------
    lightgbm.Booster

    References
    ----------
    Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree.
    """
    # Imported here: its OpenMP threads must not exist before a worker forks.
    import lightgbm

    settings = {
        "objective": "regression",
        "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves,
        "min_data_in_leaf": parameters.min_data_in_leaf,
        "feature_fraction": parameters.feature_fraction,
        "bagging_fraction": parameters.bagging_fraction,
        "bagging_freq": int(parameters.bagging_fraction < 1.0),
        "lambda_l2": parameters.lambda_l2,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }
    with _openmp_limited_to(num_threads):
        rows = lightgbm.Dataset(features, labels, feature_name=list(feature_names), params=settings)
        return lightgbm.train(settings, rows, num_boost_round=parameters.rounds)


def predict_rows(
    model: Predictor, features: NDArray[np.float64], *, num_threads: int = 1
) -> NDArray[np.float64]:
    """Return one prediction a row.

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
    with _openmp_limited_to(num_threads):
        return np.asarray(model.predict(features), dtype=np.float64)


def _openmp_limited_to(num_threads: int) -> AbstractContextManager[object]:
    """Hold OpenMP to some cores; a booster fetched from a registry forgets its own limit."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[object] = threadpool_limits(num_threads, user_api="openmp")
    return limits

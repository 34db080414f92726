"""How much a model that says nothing of itself relies on each feature: by shuffling one at a time.

References
----------
Breiman (2001), Random Forests, Machine Learning 45: permutation importance.
"""

import logging
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import FitError
from tradewind.research.evaluation.dataset import Dataset
from tradewind.research.models.model import FittedModel, fit, predict_rows
from tradewind.research.statistics.performance import information_coefficient
from tradewind.research.strategy.models import HISTORY
from tradewind.research.strategy.strategy import Strategy

__all__ = ["permutation_importance"]

log = logging.getLogger(__name__)

_TIMES: Final = 3  # each takes one call for predictions; one shuffle is one draw of luck


def permutation_importance(
    dataset: Dataset, strategy: Strategy, *, num_threads: int = 1
) -> dict[str, float]:
    """Return how much worse the last fold's test is predicted with each feature shuffled.

    Parameters
    ----------
    dataset : Dataset
    strategy : Strategy
        Its seed draws the shuffles.
    num_threads : int
        Cores used for fitting. Results do not depend on it.

    Returns
    -------
    dict of str to float
        By feature: the information coefficient on the last fold's test less the mean of those
        with the feature's values, and what the model sees of their past, given to other rows; zero
        where it is no worse. Empty with one feature, and where the model refuses shuffled rows.

    Raises
    ------
    FitError
        If the model cannot be fitted or asked.
    """
    names = strategy.feature_names
    if len(names) == 1:
        return {}
    window = dataset.windows[-1]
    model = fit(dataset.train_rows(window), strategy, num_threads=num_threads)
    tested = dataset.test_rows(window).drop_nulls("label")
    whole = _skill(model, tested, strategy, num_threads)
    draw = np.random.default_rng(strategy.seed)
    found = {}
    for place, name in enumerate(names):
        drops = []
        for _ in range(_TIMES):
            mixed = _shuffled(tested, name, place, draw.permutation(tested.height))
            try:
                drops.append(whole - _skill(model, mixed, strategy, num_threads))
            except FitError as error:  # rows that there never were are not the model's business
                log.warning("no importance of features: with %s shuffled, %s", name, error)
                return {}
        found[name] = max(0.0, float(np.mean(drops)))
    return found


def _skill(model: FittedModel, rows: pl.DataFrame, strategy: Strategy, num_threads: int) -> float:
    predicted = predict_rows(model, rows, strategy, num_threads=num_threads)
    skill = information_coefficient(rows.with_columns(pl.Series("prediction", predicted)))
    return skill if np.isfinite(skill) else 0.0  # a constant tells nothing apart


def _shuffled(rows: pl.DataFrame, name: str, place: int, order: NDArray[np.intp]) -> pl.DataFrame:
    """Return rows in which each has another one's value of a feature, and its past."""
    mixed = rows.with_columns(rows.get_column(name).gather(order))
    if HISTORY not in rows.columns:
        return mixed
    seen = rows.get_column(HISTORY).to_numpy().copy()
    seen[:, :, place] = seen[order, :, place]
    return mixed.with_columns(pl.Series(HISTORY, seen))

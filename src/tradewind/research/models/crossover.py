"""A rule that learns nothing: its prediction is its only feature."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from tradewind.research.models.rows import matrix
from tradewind.research.strategy.models import MaCrossover
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "FLAVOUR", "LEARNS", "PACKAGES", "Rule", "fit", "importance", "learnt", "predict", "share",
]  # fmt: skip

FLAVOUR: Final = "rule"
PACKAGES: Final = ("numpy", "pandas")
LEARNS: Final = False


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of one feature.

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


def share() -> None:
    """Return nothing: fits share nothing."""


def fit(
    rows: pl.DataFrame,  # noqa: ARG001 - it learns nothing
    strategy: Strategy,
    parameters: MaCrossover,  # noqa: ARG001 - its feature has them
    *,
    num_threads: int,  # noqa: ARG001
    shared: None,  # noqa: ARG001
) -> Rule:
    """Name the feature."""
    [feature] = strategy.feature_names
    return Rule(feature)


def predict(
    model: Rule,
    rows: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int,  # noqa: ARG001
) -> NDArray[np.float64]:
    """Return the feature, shape (n_rows,)."""
    return model.predict(matrix(rows, strategy))


def importance(model: Rule) -> Sequence[float]:  # noqa: ARG001
    """Return nothing: there is one feature."""
    return ()


def learnt(model: Rule) -> Iterator[bytes]:
    """Yield the name of the feature."""
    yield f"rule\n{model.feature}\n".encode()

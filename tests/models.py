"""A kind of model of the tests' own: whatever predicts by itself."""

from typing import Any, ClassVar, Final, Literal

import polars as pl

from tradewind.research.models.model import FittedModel
from tradewind.research.models.rows import matrix
from tradewind.research.strategy.models import ModelFields
from tradewind.research.strategy.strategy import Strategy

FLAVOUR: Final = "none"
PACKAGES: Final = ()
LEARNS: Final = False


class Plain(ModelFields):
    code: ClassVar[str] = "tests.models"
    kind: Literal["plain"] = "plain"


def fitted(native: Any) -> FittedModel:
    """Return what has a method `predict` as a fitted model."""
    return FittedModel(Plain(), native)


def share() -> None:
    """Return nothing: fits share nothing."""


def fit(*_: Any, **__: Any) -> Any:
    raise AssertionError("it is made, not fitted")


def importance(_: Any) -> tuple[float, ...]:
    return ()


def learnt(_: Any) -> tuple[bytes, ...]:
    return ()


def predict(model: Any, rows: pl.DataFrame, strategy: Strategy, *, num_threads: int) -> Any:  # noqa: ARG001
    return model.predict(matrix(rows, strategy))

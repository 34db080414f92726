"""Models of every kind, set up so that the same rows and seed give the same model bit for bit.

`fit`, `predict_rows`, `importance` and `fingerprint` are all that other modules use of a model.
What a kind does is in the module that its fields name: see `Code`.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import ResearchError
from tradewind.research.strategy.models import ModelFields
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "Code",
    "FittedModel",
    "code_of",
    "fingerprint",
    "fit",
    "importance",
    "predict_rows",
    "rounds_taken",
    "share",
    "without_unpredicted",
]


class Code(Protocol):
    """The module of a kind.

    Attributes
    ----------
    FLAVOUR : str
        How the registry keeps what is fitted: see `tradewind.registry.flavours`.
    PACKAGES : tuple of str, or callable
        What loading and asking it takes, beside MLflow; a function where that depends on the
        fields.
    LEARNS : bool
        Whether it needs rows to learn from.
    """

    @property
    def FLAVOUR(self) -> str: ...  # noqa: N802, D102 - a constant of a module

    @property
    def PACKAGES(self) -> tuple[str, ...] | Callable[[Any], tuple[str, ...]]: ...  # noqa: N802, D102

    @property
    def LEARNS(self) -> bool: ...  # noqa: N802, D102

    def share(self) -> Any:  # noqa: ANN401
        """Return what all fits on the same rows can share; None if nothing."""

    def fit(
        self,
        rows: pl.DataFrame,
        strategy: Strategy,
        parameters: Any,  # noqa: ANN401 - the kind's fields
        *,
        num_threads: int,
        shared: Any,  # noqa: ANN401 - what `share` has returned, or None
    ) -> Any:  # noqa: ANN401 - what its library makes
        """Return what is fitted to rows in any order; the same bit for bit on any number of cores.

        Raises
        ------
        FitError
            If the rows and the parameters do not go together.
        """

    def predict(
        self,
        model: Any,  # noqa: ANN401
        rows: pl.DataFrame,
        strategy: Strategy,
        *,
        num_threads: int,
    ) -> Any:  # noqa: ANN401
        """Return one prediction a row, whatever rows are asked for with it."""

    def importance(self, model: Any) -> Sequence[float]:  # noqa: ANN401
        """Return how much it relies on each feature, in order; nothing if that has no meaning."""

    def learnt(self, model: Any) -> Iterable[bytes]:  # noqa: ANN401
        """Yield all that was learnt, the same for the same model fetched from a registry."""


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What was fitted, with the fields it was fitted by.

    Attributes
    ----------
    fields : ModelFields
        Of the strategy.
    native
        What the kind's library makes, such as ``lightgbm.Booster``.
    """

    fields: ModelFields
    native: Any


def code_of(fields: ModelFields) -> Code:
    """Import the functions of a model's kind.

    Raises
    ------
    ResearchError
        If the module that the kind names cannot be imported, or lacks one of them.
    """
    return _imported(fields.kind, fields.code)


@cache
def _imported(kind: str, module: str) -> Code:
    what = f"the model {kind} is computed by the module {module!r}, which"
    try:
        found = import_module(module)
    except Exception as error:  # a stranger's module may raise anything
        raise ResearchError(
            f"{what} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    wanted = [name for name in vars(Code) if not name.startswith("_")]
    if missing := [name for name in wanted if not hasattr(found, name)]:
        raise ResearchError(f"{what} lacks {', '.join(missing)}")
    return cast("Code", found)


def share(strategy: Strategy) -> Any:  # noqa: ANN401 - each kind's own
    """Return what fits on the same rows can share, which `fit` takes; None if nothing.

    It suits strategies that have the same features and differ in their model's parameters only.
    """
    return code_of(strategy.model).share()


def fit(
    rows: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int = 1,
    shared: Any = None,  # noqa: ANN401 - each kind's own
) -> FittedModel:
    """Fit the model of a strategy to rows of features and labels.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        symbol, session, the strategy's feature columns and label; label_end, too, where the model
        weights its rows. In any order, nothing null.
    strategy : Strategy
        Its `model` says what is fitted.
    num_threads : int
        Cores used. Results do not depend on it.
    shared : optional
        What `share` returned: one for all fits on the same rows. Predictions do not depend on it.
        A `fingerprint` may; registered models are fitted without it.

    Returns
    -------
    FittedModel

    Raises
    ------
    FitError
        If the model's library refuses the parameters.
    ResearchError
        If there is no row to learn from.
    """
    code = code_of(strategy.model)
    if code.LEARNS and rows.is_empty():
        raise ResearchError(f"strategy {strategy.name}: no row to fit a model on")
    native = code.fit(rows, strategy, strategy.model, num_threads=num_threads, shared=shared)
    return FittedModel(strategy.model, native)


def predict_rows(
    model: FittedModel, rows: pl.DataFrame, strategy: Strategy, *, num_threads: int = 1
) -> NDArray[np.float64]:
    """Return one prediction a row, the same whatever other rows are asked for with it.

    Parameters
    ----------
    model : FittedModel
        As returned by `fit`, or the same model fetched from a registry.
    rows : DataFrame of shape (n_rows, n_columns)
        symbol, session and the strategy's feature columns; nothing null.
    strategy : Strategy
        The one that the model was fitted for.
    num_threads : int
        Cores used. Results do not depend on it.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    code = code_of(model.fields)
    return np.asarray(
        code.predict(model.native, rows, strategy, num_threads=num_threads), dtype=np.float64
    )


def without_unpredicted(predictions: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Leave out rows that an external model has not predicted yet.

    Other models predict each row that they are given, and NaN of theirs is refused where it is
    traded.
    """
    if not strategy.model.external:
        return predictions
    return predictions.filter(pl.col("prediction").is_not_nan())


def importance(model: FittedModel, feature_names: Sequence[str]) -> dict[str, float]:
    """Return how much a model relies on each feature.

    Parameters
    ----------
    model : FittedModel
    feature_names : sequence of str, length n_features
        Columns of the model's input, in order.

    Returns
    -------
    dict of str to float
        By feature, in the order given. Trees: how much splits on it reduced the loss, in all
        (gain). Ridge: size of its weight on standardised features, in units of the label. Empty
        where the model says nothing of it.
    """
    figures = code_of(model.fields).importance(model.native)
    if len(figures) == 0:
        return {}
    return dict(zip(feature_names, map(float, figures), strict=True))


def rounds_taken(model: FittedModel) -> int | None:
    """Return how many rounds of boosting a model has that stops early; None of any other."""
    if getattr(model.fields, "early_stopping", None) is None:
        return None
    kind: Any = code_of(model.fields)
    return int(kind.rounds(model.native))


def fingerprint(model: FittedModel) -> str:
    """Return the SHA-256 of the learnt content of a model, in hexadecimal.

    The same rows, strategy and seed give the same hash on one machine, with any number of cores; so
    does the same model fetched from a registry. On another machine sums may round differently.
    """
    digest = hashlib.sha256()
    for part in code_of(model.fields).learnt(model.native):
        digest.update(part)
    return digest.hexdigest()

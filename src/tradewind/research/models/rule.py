"""A function of the desk's own from features to predictions; nothing is fitted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.code.own import OwnCode, code_of_model
from tradewind.research.models.guard import SECONDS_TO_PREDICT, checked, guarded
from tradewind.research.models.own import OwnFiles
from tradewind.research.models.rows import by_session, frame
from tradewind.research.strategy.own_models import RuleModel
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "FLAVOUR", "LEARNS", "PACKAGES", "Ruled", "check", "fit", "importance", "learnt", "predict",
    "share", "unpacked",
]  # fmt: skip

FLAVOUR: Final = "files"
PACKAGES: Final = ("numpy", "pandas", "polars", "pyarrow")
LEARNS: Final = False


@dataclass(frozen=True, slots=True)
class Ruled:
    """A function with its parameters, and the code that it is from."""

    function: Callable[..., Any]
    parameters: Mapping[str, Any]
    code: OwnCode
    path: Path
    source: bytes

    def packed(self) -> OwnFiles:
        """Return it as the registry keeps it."""
        return OwnFiles(self.code, self.source, {}, self.parameters)


def share() -> None:
    """Return nothing: fits share nothing."""


def fit(
    rows: pl.DataFrame,  # noqa: ARG001 - it learns nothing
    strategy: Strategy,
    parameters: RuleModel,
    *,
    num_threads: int,  # noqa: ARG001
    shared: None,  # noqa: ARG001
) -> Ruled:
    """Load the function.

    Raises
    ------
    StrategyError
        If it cannot be loaded.
    """
    code = code_of_model(strategy)
    function, path, source = code.load()
    return Ruled(function, parameters.parameters, code, path, source)


def check(strategy: Strategy, parameters: RuleModel) -> None:
    """Refuse a function that cannot be called.

    Raises
    ------
    StrategyError
        If it cannot be loaded, or does not take rows and the parameters of the file.
    """
    code = code_of_model(strategy)
    function, path, _ = code.load()
    try:
        taken = signature(function)
    except (TypeError, ValueError):  # of a callable that tells nobody
        return
    try:
        taken.bind(pl.DataFrame(), **parameters.parameters)
    except TypeError as error:
        raise code.refusal(
            f"{path}: {code.attribute}{taken} is called with the rows and the parameters "
            f"{', '.join(parameters.parameters) or 'of the file, which are none'}: {error}"
        ) from error


def predict(
    model: Ruled,
    rows: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int,  # noqa: ARG001
) -> NDArray[np.float64]:
    """Return what the function returns, one number a row, asked for session by session.

    So no later session can have a say, and a prediction is the same in a backtest and on the day.

    Raises
    ------
    FitError
        If it fails, or returns anything else than a finite number a row.
    """
    name = model.code.attribute
    with guarded(model.code, model.path, name, seconds=SECONDS_TO_PREDICT):
        return by_session(
            lambda part: checked(
                model.code, model.path, name, model.function(part, **model.parameters), part
            ),
            frame(rows, strategy),
        )


def importance(model: Ruled) -> Sequence[float]:  # noqa: ARG001
    """Return nothing: a rule has learnt nothing."""
    return ()


def learnt(model: Ruled) -> Iterator[bytes]:
    """Yield its parameters and its code."""
    yield from model.packed().content()


def unpacked(kept: OwnFiles) -> Ruled:
    """Return a rule that a registry has kept, by the code that is kept with it.

    Raises
    ------
    FitError
        If the code cannot be run.
    """
    with guarded(kept.code, kept.path, kept.code.attribute, seconds=SECONDS_TO_PREDICT):
        function = kept.named()
    return Ruled(function, kept.parameters, kept.code, kept.path, kept.source)

"""A class of the desk's own: fitted, asked, saved and loaded by its own methods.

docs/own-models.md says what it must have.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import FitError
from tradewind.research.code.own import OwnCode, code_of_model
from tradewind.research.models.guard import SECONDS_TO_PREDICT, checked, guarded
from tradewind.research.models.own import OwnFiles
from tradewind.research.models.rows import by_session, frame
from tradewind.research.models.threads import threads_limited_to
from tradewind.research.models.weights import row_weights
from tradewind.research.strategy.own_models import CustomModel
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "FLAVOUR", "LEARNS", "PACKAGES", "Context", "Fitted", "check", "fit", "importance", "learnt",
    "predict", "share", "unpacked",
]  # fmt: skip

FLAVOUR: Final = "files"
PACKAGES: Final = ("numpy", "pandas", "polars", "pyarrow")
LEARNS: Final = True

_METHODS: Final = ("fit", "predict", "save", "load")
_MORE: Final = "; model.fit_seconds in the strategy file says how long it may take"


@dataclass(frozen=True, slots=True)
class Context:
    """What a fit is told besides its rows.

    Attributes
    ----------
    seed : int
        Of the strategy file. All that is drawn at random must come from it.
    threads : int
        Cores that the fit may use. The result must not depend on it.
    horizon : int
        Sessions that a label looks ahead.
    lookback : int
        Sessions in each row's history.
    features : tuple of str
        The columns of features, in order.
    symbols : tuple of str
        Of the rows, sorted.
    sessions : Series of Date
        Of the rows, sorted.
    log : logging.Logger
        Its lines are in the task's log.
    """

    seed: int
    threads: int
    horizon: int
    lookback: int
    features: tuple[str, ...]
    symbols: tuple[str, ...]
    sessions: pl.Series
    log: logging.Logger


@dataclass(frozen=True, slots=True)
class Fitted:
    """An object of the class, with the code that it was made by.

    Attributes
    ----------
    instance
        As its `fit` or its `load` left it.
    code : OwnCode
    path : Path
        Of the class' file, at the time of the fit.
    source : bytes
        Of that file.
    parameters : mapping
        That it was made with.
    saved : dict of str to bytes
        What it has saved, by path; empty until it is asked for.
    """

    instance: Any
    code: OwnCode
    path: Path
    source: bytes
    parameters: Mapping[str, Any]
    saved: dict[str, bytes] = field(default_factory=dict)

    def files(self) -> Mapping[str, bytes]:
        """Return what the model saves of itself, by path.

        Raises
        ------
        FitError
            If it cannot be saved, or saves nothing.
        """
        if not self.saved:
            with tempfile.TemporaryDirectory(prefix="tradewind-") as name:
                folder = Path(name)
                with guarded(self.code, self.path, "save", seconds=SECONDS_TO_PREDICT):
                    self.instance.save(folder)
                found = sorted(each for each in folder.rglob("*") if each.is_file())
                self.saved.update((str(p.relative_to(folder)), p.read_bytes()) for p in found)
            if not self.saved:
                raise FitError(str(self.code.refusal(f"{self.path}: save wrote no file")))
        return self.saved

    def packed(self) -> OwnFiles:
        """Return it as the registry keeps it."""
        return OwnFiles(self.code, self.source, self.files(), self.parameters)


def share() -> None:
    """Return nothing: fits share nothing."""


def fit(
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: CustomModel,
    *,
    num_threads: int,
    shared: None,  # noqa: ARG001
) -> Fitted:
    """Make an object of the class and have it fit itself to rows sorted by session and symbol.

    Raises
    ------
    StrategyError
        If the class cannot be loaded, or lacks a method.
    FitError
        If it fails, or takes longer than the file allows.
    """
    code, made, path, source = _loaded(strategy, parameters)
    rows = rows.sort("session", "symbol")
    weights = row_weights(rows, parameters.weights)
    asked = {} if weights is None else {"weights": pl.Series("weights", weights)}
    context = Context(
        seed=strategy.seed,
        threads=num_threads,
        horizon=strategy.horizon,
        lookback=parameters.lookback,
        features=strategy.feature_names,
        symbols=tuple(rows.get_column("symbol").unique().sort()),
        sessions=rows.get_column("session").unique().sort(),
        log=logging.getLogger(f"tradewind.models.{strategy.name}"),
    )
    with threads_limited_to(num_threads):
        with guarded(code, path, "__init__", seconds=parameters.fit_seconds, mend=_MORE):
            instance = made(**parameters.parameters)
        with guarded(code, path, "fit", seconds=parameters.fit_seconds, mend=_MORE):
            labels = rows.get_column("label").clone()
            instance.fit(frame(rows, strategy), labels, context=context, **asked)
    return Fitted(instance, code, path, source, parameters.parameters)


def check(strategy: Strategy, parameters: CustomModel) -> None:
    """Refuse a class of which no object can be made.

    Raises
    ------
    StrategyError
        If the class cannot be loaded, or lacks a method.
    FitError
        If it cannot be made with the parameters of the file.
    """
    code, made, path, _ = _loaded(strategy, parameters)
    with guarded(code, path, "__init__", seconds=parameters.fit_seconds, mend=_MORE):
        made(**parameters.parameters)


def _loaded(
    strategy: Strategy, parameters: CustomModel
) -> tuple[OwnCode, Callable[..., Any], Path, bytes]:
    code = code_of_model(strategy)
    made, path, source = code.load("class")
    if missing := [name for name in _METHODS if not callable(getattr(made, name, None))]:
        raise code.refusal(
            f"{path}: {code.attribute} has no {', no '.join(missing)}: a model has the methods "
            f"{', '.join(_METHODS)}"
        )
    if parameters.weights is not None and not _takes_weights(made):
        raise code.refusal(
            f"{path}: fit takes no weights, which model.weights in the strategy file asks for; "
            "write def fit(self, features, labels, *, context, weights)"
        )
    return code, made, path, source


def _takes_weights(made: Any) -> bool:  # noqa: ANN401 - a stranger's class
    parameters = signature(made.fit).parameters.values()
    return any(each.name == "weights" or each.kind is each.VAR_KEYWORD for each in parameters)


def predict(
    model: Fitted, rows: pl.DataFrame, strategy: Strategy, *, num_threads: int
) -> NDArray[np.float64]:
    """Return one prediction a row, shape (n_rows,), asked for session by session.

    So no later session can have a say, and a prediction is the same in a backtest and on the day.

    Raises
    ------
    FitError
        If it fails, or returns anything else than a finite number a row.
    """
    with (
        threads_limited_to(num_threads),
        guarded(model.code, model.path, "predict", seconds=SECONDS_TO_PREDICT),
    ):
        return by_session(
            lambda part: checked(
                model.code, model.path, "predict", model.instance.predict(part), part
            ),
            frame(rows, strategy),
        )


def importance(model: Fitted) -> Sequence[float]:
    """Return what its own `importance` says, one figure a feature; nothing if it has none.

    Raises
    ------
    FitError
        If it fails.
    """
    if not callable(getattr(model.instance, "importance", None)):
        return ()
    with guarded(model.code, model.path, "importance", seconds=SECONDS_TO_PREDICT):
        figures: list[float] = np.asarray(model.instance.importance(), dtype=np.float64).tolist()
    return figures


def learnt(model: Fitted) -> Iterator[bytes]:
    """Yield its code and what it has saved."""
    yield from model.packed().content()


def unpacked(kept: OwnFiles) -> Fitted:
    """Return a model that a registry has kept, made by the code that is kept with it.

    Raises
    ------
    FitError
        If the code cannot be run, or `load` fails.
    """
    with guarded(kept.code, kept.path, "load", seconds=SECONDS_TO_PREDICT):
        made = kept.named()
        with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
            kept.write(Path(folder))
            instance = made.load(Path(folder))
    return Fitted(instance, kept.code, kept.path, kept.source, kept.parameters, dict(kept.files))

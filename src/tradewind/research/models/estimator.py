"""Any estimator with scikit-learn's `fit` and `predict`, the same bit for bit on any cores.

What it learns follows from its class. A regressor learns the label; a classifier whether the label
is above zero, and predicts twice the probability of that, minus one; a ranker the order of the
symbols within a session, by the grades that `lambdarank` of the kind ``lightgbm`` has.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import FitError, StrategyError
from tradewind.research.models.estimator_state import content_of
from tradewind.research.models.rows import grade, matrix, session_sizes
from tradewind.research.models.stopping import head_and_tail, told
from tradewind.research.models.threads import threads_limited_to
from tradewind.research.models.weights import row_weights
from tradewind.research.strategy.estimator_classes import (
    THREADS,
    Refusal,
    build,
    distributions_of,
    group_argument,
    kind_of,
    top_of,
)
from tradewind.research.strategy.estimator_fits import BOOSTING, SAMPLE_WEIGHT, last_step
from tradewind.research.strategy.estimators import Estimator
from tradewind.research.strategy.fitting import EarlyStopping
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FLAVOUR", "LEARNS", "PACKAGES", "fit", "importance", "learnt", "predict", "rounds", "share",
]  # fmt: skip

FLAVOUR: Final = "estimator"
LEARNS: Final = True

_BLOCK: Final = 1024
_SAID: Final = 500  # characters of a library's message


def PACKAGES(fields: Estimator) -> tuple[str, ...]:  # noqa: N802 - a constant of other kinds
    """Return the packages of its classes as registries call them, with what all of them take."""
    theirs = {name for top in fields.tops for name in distributions_of(top)}
    pickles = {"cloudpickle"} if fields.pickled else set()
    return tuple(sorted(theirs | pickles | {"numpy", "pandas", "scikit-learn", "skops"}))


def share() -> None:
    """Return nothing: fits share nothing."""


def fit(
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: Estimator,
    *,
    num_threads: int,
    shared: None,  # noqa: ARG001
) -> Any:  # noqa: ANN401 - of the class that the file names
    """Make the estimator that the file describes, and fit it.

    Raises
    ------
    FitError
        If the library refuses the rows or the parameters.
    StrategyError
        If the library cannot be used at all.
    """
    try:
        model = build(parameters.written, seed=strategy.seed, threads=num_threads)
    except Refusal as error:
        raise StrategyError(f"strategy {strategy.name}: model.{error.field}: {error}") from error
    rows = rows.sort("session", "symbol")
    by, groups = _groups(model, rows)
    if groups and int(session_sizes(rows).max()) < 2:  # noqa: PLR2004 - a pair
        raise FitError(
            f"strategy {strategy.name}: {parameters.class_} learns an order, and no session has "
            "two symbols to compare; add symbols to the universe"
        )
    weights = row_weights(rows, parameters.weights)
    more = groups if weights is None else {last_step(model)[0] + SAMPLE_WEIGHT: weights}
    try:
        # One core for OpenMP and BLAS, which add up in another order on several. Threads that the
        # estimators have of their own are not limited by it.
        with threads_limited_to(1), _threads_instead_of_processes():
            if parameters.early_stopping is not None:
                _stop_early(model, rows, strategy, parameters, parameters.early_stopping)
            model.fit(_frame(matrix(rows, strategy), strategy), _labels(model, rows, by), **more)
    except FitError:
        raise
    except Exception as error:  # a stranger's library may raise anything
        raise FitError(
            f"strategy {strategy.name}: {parameters.class_} cannot be fitted to {rows.height} "
            f"rows: {_one_line(error)}; change the model's parameters"
        ) from error
    _use_one_thread(model)
    return model


def predict(
    model: Any,  # noqa: ANN401
    rows: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int,  # noqa: ARG001 - libraries add up what their threads find in any order
) -> NDArray[np.float64]:
    """Return one prediction a row, shape (n_rows,).

    Rows are asked for in blocks of one length, the last filled up: BLAS rounds a row differently in
    a batch of another length, but a prediction made alone must equal the one made in training.

    Raises
    ------
    FitError
        If the library refuses, or the model does not return one finite number a row.
    """
    asked = matrix(rows, strategy)
    found = np.empty(len(asked))
    what = f"strategy {strategy.name}: {type(model).__name__}"
    with threads_limited_to(1):
        for start in range(0, len(asked), _BLOCK):
            part = asked[start : start + _BLOCK]
            block = np.concatenate([part, np.repeat(part[-1:], _BLOCK - len(part), axis=0)])
            try:
                values = _predicted(model, _frame(block, strategy))
            except Exception as error:  # a stranger's library may raise anything
                said = _one_line(error)
                raise FitError(f"{what} cannot predict: {said}; change the model") from error
            if values.size != _BLOCK:
                raise FitError(
                    f"{what} predicted {values.size} values for {_BLOCK} rows; one a row is needed"
                )
            found[start : start + _BLOCK] = values.reshape(_BLOCK)[: len(part)]
    if not np.isfinite(found).all():
        [row] = rows[int(np.argmin(np.isfinite(found)))].select("symbol", "session").rows()
        raise FitError(
            f"{what} predicted no number for {row[0]} on {row[1]}, and for "
            f"{int((~np.isfinite(found)).sum())} rows of {len(found)} in all; change the model"
        )
    return found


def importance(model: Any) -> Sequence[float]:  # noqa: ANN401
    """Return its own importances, or the size of its weights; nothing if it has neither.

    Of a pipeline those of its last step, if the steps before keep the columns as they are.
    """
    names = getattr(model, "feature_names_in_", None)
    last, columns = model, names
    if hasattr(model, "named_steps"):
        try:
            before = model[:-1]
            columns = before.get_feature_names_out() if len(before) else names
        except (AttributeError, ValueError, TypeError):  # a step does not say what it makes
            return ()
        last = model[-1]
        if names is None or columns is None or list(columns) != list(names):
            return ()
    for name in ("feature_importances_", "coef_"):
        try:
            figures = np.abs(np.asarray(getattr(last, name), dtype=np.float64))
        except (AttributeError, TypeError, ValueError):  # it has none of this kind
            continue
        if figures.ndim == 0 or not np.isfinite(figures).all():
            continue
        flat: list[float] = figures.ravel().tolist()
        if len(flat) == _n_features(model):
            return flat
    return ()


def rounds(model: Any) -> int:  # noqa: ANN401
    """Return how many rounds of boosting it has, if it is stopped early."""
    return int(model.get_params()[_name_of_rounds(model)])


def learnt(model: Any) -> Iterator[bytes]:  # noqa: ANN401
    """Yield what it learnt, by its library's own format or part by part, to the bit."""
    return content_of(model)


def _stop_early(
    model: Any,  # noqa: ANN401
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: Estimator,
    asked: EarlyStopping,
) -> None:
    """Set the number of rounds to as many as the newest sessions are predicted better for."""
    head, tail = head_and_tail(rows, asked, strategy)
    known, judged = (
        (_frame(matrix(part, strategy), strategy), _labels(model, part, None))
        for part in (head, tail)
    )
    trial = build(parameters.written, seed=strategy.seed, threads=1)
    more: dict[str, Any] = {"eval_set": [judged]}
    if "eval_X" in signature(trial.fit).parameters:  # LightGBM, for which a set is deprecated
        more = dict(zip(("eval_X", "eval_y"), judged, strict=True))
    weights = row_weights(head, parameters.weights)
    if weights is not None:
        more[SAMPLE_WEIGHT] = weights
    match parameters.tops:
        case ("xgboost",):
            trial.set_params(early_stopping_rounds=asked.rounds)
            trial.fit(*known, **more, verbose=False)
            best = trial.best_iteration + 1
        case ("lightgbm",):
            import lightgbm

            stop = lightgbm.early_stopping(asked.rounds, first_metric_only=True, verbose=False)
            trial.fit(*known, **more, callbacks=[stop])
            best = trial.best_iteration_
        case _:  # catboost
            trial.fit(*known, **more, early_stopping_rounds=asked.rounds)
            best = trial.get_best_iteration() + 1
    most = trial.get_params().get(_name_of_rounds(trial))
    told(best, most or best, tail)
    model.set_params(**{_name_of_rounds(model): best})


def _name_of_rounds(model: Any) -> str:  # noqa: ANN401
    """Return what an estimator of boosting calls its rounds: CatBoost has names to choose from."""
    names = BOOSTING[top_of(type(model).__module__)]
    said = model.get_params()
    return next((each for each in names if said.get(each) is not None), names[0])


def _one_line(error: Exception) -> str:
    said = " ".join(str(error).split())[:_SAID]
    return f"{type(error).__name__}: {said}"


def _frame(features: NDArray[np.float64], strategy: Strategy) -> "pd.DataFrame":
    """Return the matrix with the names of its columns, which the libraries keep; not copied."""
    import pandas as pd

    return pd.DataFrame(features, columns=list(strategy.feature_names), copy=False)


def _labels(model: Any, rows: pl.DataFrame, by: str | None) -> NDArray[Any]:  # noqa: ANN401
    if by is not None:
        return rows.select(grade()).to_series().to_numpy()
    labels = rows.get_column("label").to_numpy()
    return (labels > 0.0).astype(np.int64) if kind_of(model) == "classifier" else labels


def _groups(model: Any, rows: pl.DataFrame) -> tuple[str | None, dict[str, Any]]:  # noqa: ANN401
    """Return how a ranker is told which rows are of one session; nothing for any other."""
    prefix, last = last_step(model)
    by = group_argument(last)
    if by is None:
        return None, {}
    sizes = session_sizes(rows)
    return by, {prefix + by: sizes if by == "group" else np.repeat(np.arange(len(sizes)), sizes)}


def _predicted(model: Any, block: "pd.DataFrame") -> NDArray[np.float64]:  # noqa: ANN401
    if kind_of(model) == "classifier":
        chances = _asked(model.predict_proba, block)
        up = [index for index, each in enumerate(model.classes_) if each == 1]
        # Where no label of the training window was above zero, it knows of no such class.
        chance = chances[:, up[0]] if up else np.zeros(len(chances))
        return 2.0 * chance - 1.0
    return _asked(model.predict, block)


def _asked(predict: Callable[..., Any], block: "pd.DataFrame") -> NDArray[np.float64]:
    # CatBoost is told here; all others were when they were made, or hear it from OpenMP.
    threads = {"thread_count": 1} if "thread_count" in signature(predict).parameters else {}
    return np.asarray(predict(block, **threads), dtype=np.float64)


def _n_features(model: Any) -> int | None:  # noqa: ANN401
    found = getattr(model, "n_features_in_", None)
    if found is None:  # as CatBoost calls them
        found = len(getattr(model, "feature_names_", ()))
    return int(found)


def _threads_instead_of_processes() -> AbstractContextManager[Any]:
    """Let joblib start no processes: a task has its own, which would not end with it."""
    from joblib import parallel_config

    config: AbstractContextManager[Any] = parallel_config(backend="threading", n_jobs=1)
    return config


def _use_one_thread(value: Any, seen: set[int] | None = None) -> None:  # noqa: ANN401
    """Set the number of threads of an estimator, and of all that are in it, to one.

    Forests add up what trees say as their threads end. So predictions are made by one.
    """
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        inner = list(value.ravel())
    elif hasattr(value, "get_params") and hasattr(value, "__dict__"):
        for name in THREADS & vars(value).keys():
            if vars(value)[name] is not None:
                setattr(value, name, 1)
        inner = list(vars(value).values())
    else:
        return
    for each in inner:
        _use_one_thread(each, seen)

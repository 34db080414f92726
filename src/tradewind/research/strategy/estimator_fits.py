"""What the `fit` of an installed estimator can be told beside rows and labels."""

from collections.abc import Mapping
from contextlib import suppress
from inspect import signature
from typing import Any, Final

from tradewind.research.strategy.estimator_classes import (
    CLASS,
    PARAMETERS,
    Refusal,
    build,
    group_argument,
    kind_of,
    top_of,
)
from tradewind.research.strategy.fitting import Weights

__all__ = ["BOOSTING", "SAMPLE_WEIGHT", "check_early_stopping", "check_weights", "last_step"]

SAMPLE_WEIGHT: Final = "sample_weight"
BOOSTING: Final[Mapping[str, tuple[str, ...]]] = {
    "catboost": ("iterations", "n_estimators", "num_boost_round", "num_trees"),
    "lightgbm": ("n_estimators",),
    "xgboost": ("n_estimators",),
}
"""Packages whose estimators can be judged after each round, and what they call the rounds."""

_ONCE: Final = "early_stopping_rounds"


def last_step(made: Any) -> tuple[str, Any]:  # noqa: ANN401 - any library's
    """Return the last step of a pipeline, and what its arguments begin with; else itself."""
    prefix = ""
    while hasattr(made, "steps"):  # a pipeline passes arguments on to the steps that they name
        name, made = made.steps[-1]
        prefix += f"{name}__"
    return prefix, made


def _takes(made: Any, argument: str) -> bool:  # noqa: ANN401
    with suppress(ValueError, TypeError):  # a signature that cannot be read
        return argument in signature(made.fit).parameters
    return False


def check_weights(model: Mapping[str, Any], weights: Weights) -> None:
    """Refuse weights where an estimator has no use for them.

    Parameters
    ----------
    model : mapping
        With ``class`` and ``parameters``.
    weights : Weights

    Raises
    ------
    Refusal
    """
    _, last = last_step(build(model, seed=0, threads=1))
    named = type(last).__name__
    if group_argument(last) is not None:
        raise Refusal(
            "weights",
            f"{named} learns an order within a session, where libraries do not agree what the "
            "weight of a row is; leave weights out, or take kind: lightgbm with the objective "
            "lambdarank",
        )
    if not _takes(last, SAMPLE_WEIGHT):
        raise Refusal("weights", f"the fit of {named} takes no {SAMPLE_WEIGHT}; leave weights out")
    if weights.class_weight is not None and kind_of(last) != "classifier":
        raise Refusal("weights.class_weight", f"is for classifiers, and {named} is none")


def check_early_stopping(model: Mapping[str, Any]) -> None:
    """Refuse early stopping where an estimator cannot be judged after each round.

    Parameters
    ----------
    model : mapping
        With ``class`` and ``parameters``.

    Raises
    ------
    Refusal
    """
    made = build(model, seed=0, threads=1)
    named = model[CLASS]
    if top_of(named) not in BOOSTING or not _takes(made, "eval_set"):
        raise Refusal(
            "early_stopping",
            f"is for the boosting of {', '.join(BOOSTING)}, by itself and in no pipeline, and "
            f"{named} is something else; leave it out",
        )
    if group_argument(made) is not None:
        raise Refusal(
            "early_stopping",
            f"{named} learns an order, which cannot be stopped early here; leave it out, or take "
            "kind: lightgbm with the objective lambdarank",
        )
    if _ONCE in model.get(PARAMETERS, {}):
        raise Refusal(
            f"{PARAMETERS}.{_ONCE}", "leave it out: early_stopping beside the parameters says it"
        )

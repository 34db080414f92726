"""Any estimator of an installed package as the model of a strategy, by the name of its class."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from tradewind.errors import StrategyError
from tradewind.research.strategy.estimator_classes import (
    CLASS,
    PARAMETERS,
    Refusal,
    check_imported,
    check_written,
    estimators_in,
    takes_groups,
    top_of,
)
from tradewind.research.strategy.estimator_fits import check_early_stopping, check_weights
from tradewind.research.strategy.fitting import EarlyStopping
from tradewind.research.strategy.models import WeightedRows

__all__ = ["Estimator"]

ClassName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Z_a-z]\w*$", max_length=200)
]


class Estimator(WeightedRows):
    """Any estimator with scikit-learn's `fit` and `predict`, by the name of its class.

    A mapping with the key `class` within `parameters` is an estimator of its own.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    code: ClassVar[str] = "tradewind.research.models.estimator"
    learns_classes: ClassVar[bool] = True  # some do

    kind: Literal["estimator"]
    class_: ClassName = Field(alias=CLASS)
    parameters: dict[str, Any] = Field(default={})
    pickle: Literal["refuse", "accept"] = "refuse"
    early_stopping: EarlyStopping | None = None

    @property
    def written(self) -> dict[str, Any]:
        """The outermost estimator, as inner ones are written."""
        return {CLASS: self.class_, PARAMETERS: self.parameters}

    @property
    def tops(self) -> tuple[str, ...]:
        """Top packages of all classes, sorted, such as ``sklearn``."""
        return tuple(sorted({top_of(spec[CLASS]) for _, spec in estimators_in(self.written)}))

    @property
    def title(self) -> str:
        """Its class."""
        return self.class_

    @property
    def pickled(self) -> bool:
        """Whether the file accepts a pickle."""
        return self.pickle == "accept"

    @property
    def compares_symbols(self) -> str:
        """The class, if it learns an order, or a pipeline's last step does."""
        return CLASS if takes_groups(_last(self.written)[CLASS]) else ""

    def check_code(self, strategy: str) -> None:
        """Refuse classes and parameters that the packages do not have.

        Parameters
        ----------
        strategy : str
            Name of its strategy, for the error.

        Raises
        ------
        StrategyError
            Which names the field.
        """
        try:
            check_written(self.written)
            self._check_imported()
        except Refusal as error:
            raise StrategyError(f"strategy {strategy}: model.{error.field}: {error}") from error

    def why_not_swept(self, name: str) -> str:
        """Return why a sweep cannot have a parameter of this name; empty if it can.

        It begins with ``parameters``. What follows are names of parameters; in a list, the name of
        a step, or its position. `class` and `parameters` of inner estimators are left out.
        """
        first, *rest = name.split(".")
        if first != PARAMETERS or not rest:
            return "must begin with parameters, such as parameters.max_depth"
        try:
            _replaced(self.written, rest, None)
        except LookupError as error:
            return f"leads nowhere: {error.args[0]}"
        return ""

    def replaced(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields with some parameters replaced, by their ways: see `why_not_swept`."""
        written = self.written
        for name, value in values.items():
            written = _replaced(written, name.split(".")[1:], value)
        return {**self.model_dump(), **written}

    def _check_imported(self) -> None:
        check_imported(self.written)
        if self.weights is not None:
            check_weights(self.written, self.weights)
        if self.early_stopping is not None:
            check_early_stopping(self.written)

    @model_validator(mode="after")
    def _can_be_made(self, info: ValidationInfo) -> Self:
        try:
            check_written(self.written)
            if (info.context or {}).get("imports", True):
                self._check_imported()
        except Refusal as error:
            raise PydanticCustomError(
                "estimator", "{why}", {"field": error.field, "why": str(error)}
            ) from None
        return self


def _last(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the last step of a pipeline; of any other estimator, itself."""
    steps = spec.get(PARAMETERS, {}).get("steps")
    while isinstance(steps, list | tuple) and steps:
        steps = steps[-1]
    if isinstance(steps, Mapping) and isinstance(steps.get(CLASS), str):
        return _last(steps)
    return spec


def _replaced(value: Any, way: list[str], new: object) -> Any:  # noqa: ANN401 - part of a file
    """Return a part of the file in which the value at the end of a way is another.

    Raises
    ------
    LookupError
        If there is no such way.
    """
    if not way:
        return new
    name, *rest = way
    if isinstance(value, Mapping) and CLASS in value:
        inside = value.get(PARAMETERS, {})
        changed = _replaced(inside.get(name), rest, new)
        return {**value, PARAMETERS: {**inside, name: changed}}
    if isinstance(value, Mapping):
        if name not in value:
            raise LookupError(f"there is no {name} in it, but {', '.join(value) or 'nothing'}")
        return {**value, name: _replaced(value[name], rest, new)}
    if isinstance(value, list | tuple):
        at = _position(value, name)
        item = value[at]
        if isinstance(item, list | tuple) and len(item) > 1 and isinstance(item[0], str):
            # A step is its name and its estimator.
            inner = [item[0], _replaced(item[1], rest, new), *item[2:]]
        else:
            inner = _replaced(item, rest, new)
        return [*value[:at], inner, *value[at + 1 :]]
    raise LookupError(f"there is nothing in which {name} could be")


def _position(items: Any, name: str) -> int:  # noqa: ANN401 - a list of the file
    names = [item[0] if isinstance(item, list | tuple) and item else None for item in items]
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(items):
        return int(name)
    there = ", ".join(str(each) for each in names if each is not None)
    raise LookupError(f"there is no {name} in the list{there and f', but {there}'}")

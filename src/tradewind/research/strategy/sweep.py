"""A strategy file's sweep: the number of trials, and the model's parameters to search."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tradewind.research.strategy.fields import Part
from tradewind.research.strategy.models import ModelFields

__all__ = ["Choices", "Range", "Sweep"]

Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]


class Range(Part):
    """Numbers from `low` to `high`, both included; whole ones if both ends are whole.

    With `log`, steps are equal in the logarithm.
    """

    low: Number
    high: Number
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The smallest and the largest value that can be tried."""
        return self.low, self.high

    @model_validator(mode="after")
    def _low_is_lower(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range starts above zero, not at {self.low}")
        return self


class Choices(Part):
    """Some values, in no order."""

    choices: tuple[Number | Annotated[str, Field(max_length=100)], ...] = Field(
        min_length=2, max_length=1000
    )

    @property
    def ends(self) -> tuple[Any, ...]:
        """The bounds of what can be tried: all of the values."""
        return self.choices

    @model_validator(mode="after")
    def _choices_differ(self) -> "Choices":
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("a choice is listed more than once")
        return self


class Sweep(Part):
    """A search over parameters of the model, every trial of which enters the ledger.

    Attributes
    ----------
    trials : int
        Sets of parameters tried. Each makes the statistics stricter.
    batches : int
        Tasks that share the work; more than there are cores make it slower.
    objective : {"sharpe", "information_coefficient"}
        The figure by which the best trial is chosen, out of sample over all folds.
    parameters : dict of str to Range or Choices
        By the names of the model's fields, or of what is in them: `ModelFields.replaced`.
    """

    trials: int = Field(strict=True, ge=2, le=10_000)
    batches: int = Field(default=2, strict=True, ge=1, le=256)
    objective: Literal["sharpe", "information_coefficient"] = "sharpe"
    parameters: dict[str, Range | Choices] = Field(min_length=1, max_length=20)

    def check_against(self, model: ModelFields, context: Any = None) -> None:  # noqa: ANN401
        """Refuse parameters that the model does not have or could not take.

        Parameters
        ----------
        model : ModelFields
        context : optional
            What the file is validated with.

        Raises
        ------
        PydanticCustomError
            Which names the parameter.
        """
        from tradewind.specs.problems import problems  # only needed for what is wrong

        for name, values in self.parameters.items():
            where = {"field": f"sweep.parameters.{name}"}
            if why := model.why_not_swept(name):
                raise PydanticCustomError("parameter", "{why}", {**where, "why": why})
            for value in values.ends:
                fields = model.replaced({name: value})
                try:
                    type(model).model_validate(fields, context=context)
                except ValidationError as error:
                    if self._suits_another(model, name, value, context):
                        continue
                    [problem, *_] = problems(error, type(model), fields, {})
                    why = f"the model cannot take {value!r}: {problem.message}"
                    raise PydanticCustomError("parameter", "{why}", {**where, "why": why}) from None

    def _suits_another(
        self,
        model: ModelFields,
        name: str,
        value: object,
        context: Any,  # noqa: ANN401
    ) -> bool:
        """Whether the model takes a value together with an end of another swept parameter.

        Each trial replaces the file's value of that other parameter, so the file's value must not
        refuse anything.
        """
        for other, values in self.parameters.items():
            for end in values.ends if other != name else ():
                fields = model.replaced({name: value, other: end})
                try:
                    type(model).model_validate(fields, context=context)
                except ValidationError:
                    continue
                return True
        return False

"""Models and rules of the desk's own, as strategy files name them.

Nothing here runs what is named: Airflow reads strategy files in a process that they share.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from tradewind.research.strategy.models import ModelFields, WeightedRows

__all__ = ["CLASS", "CustomModel", "OwnModel", "RuleModel"]

_FUNCTION: Final = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
CLASS: Final = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w]*$"
"""How a class is named; written in another way than a function is, for words to tell them apart."""

_Plain = bool | int | float | str | None


class OwnModel(ModelFields):
    """What models and rules of the desk's own have in common.

    Attributes
    ----------
    parameters : dict of str to plain values, or lists of them
        Given by name. A sweep calls them ``parameters.NAME``.
    lookback : int
        Sessions of its symbol that each prediction sees, the row's own among them. With more than
        one, the frame of features has a column ``history``.
    """

    # No default that may change: `parameters` are part of the strategy's identity.
    parameters: dict[str, _Plain | tuple[_Plain, ...]] = Field(default={}, max_length=100)
    lookback: int = Field(default=1, strict=True, ge=1, le=2520)

    @property
    def title(self) -> str:
        """Its class or function."""
        return self.own_code[1] if self.own_code else self.kind

    def why_not_swept(self, name: str) -> str:
        """Return why a sweep cannot have a parameter of this name; empty if it can."""
        first, _, rest = name.partition(".")
        if first == "parameters" and rest.isidentifier():
            return ""
        return "must begin with parameters, such as parameters.neighbours"

    def replaced(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields with some parameters replaced."""
        new = {name.partition(".")[2]: value for name, value in values.items()}
        return {**self.model_dump(), "parameters": {**self.parameters, **new}}

    @property
    def sessions_seen(self) -> int:
        """Sessions of its symbol that each prediction sees."""
        return self.lookback


class CustomModel(WeightedRows, OwnModel):
    """A class of the desk's own, such as ``my_models:Mine``; see docs/own-models.md.

    Attributes
    ----------
    fit_seconds : float
        How long one fit may take.
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
    code: ClassVar[str] = "tradewind.research.models.custom"

    kind: Literal["custom"]
    class_name: str = Field(alias="class", pattern=CLASS, max_length=200)
    fit_seconds: float = Field(default=3600.0, ge=1.0, le=86_400.0)

    @property
    def own_code(self) -> tuple[Literal["class"], str]:
        """The class."""
        return "class", self.class_name


class RuleModel(OwnModel):
    """A function of the desk's own from features to predictions; nothing is fitted."""

    code: ClassVar[str] = "tradewind.research.models.rule"

    kind: Literal["rule"]
    function: str = Field(pattern=_FUNCTION, max_length=200)

    @property
    def own_code(self) -> tuple[Literal["function"], str]:
        """The function."""
        return "function", self.function

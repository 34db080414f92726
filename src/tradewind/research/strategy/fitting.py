"""What a strategy file may say of how a model is fitted, for the kinds that can be told it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tradewind.research.strategy.fields import Part, Sessions

__all__ = ["Weights"]


class Weights(Part):
    """How much each row of a training window counts; what is set is multiplied.

    Attributes
    ----------
    uniqueness : bool
        By the average uniqueness of its label: labels of one symbol over sessions in common tell
        the same in part.
    half_life : int, optional
        Half as much for each so many sessions that a row is older than the newest.
    class_weight : {"balanced"}, optional
        As much for all rows of one class as for all of the other; for classifiers.
    """

    uniqueness: bool = Field(default=False, strict=True)
    half_life: Sessions | None = None
    class_weight: Literal["balanced"] | None = None

    @model_validator(mode="after")
    def _something_is_said(self) -> Self:
        if not self.uniqueness and self.half_life is None and self.class_weight is None:
            raise ValueError(
                "say how rows are weighted: uniqueness: true, half_life or class_weight; or leave "
                "weights out, and all rows count alike"
            )
        return self

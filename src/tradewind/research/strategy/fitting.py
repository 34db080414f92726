"""What a strategy file may say of how a model is fitted, for the kinds that can be told it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tradewind.research.strategy.fields import Part, Sessions

__all__ = ["EarlyStopping", "Weights"]


class EarlyStopping(Part):
    """How many rounds of boosting to take, found on the newest sessions of the training window.

    Attributes
    ----------
    rounds : int
        Rounds without a better prediction after which it stops; the best one counts.
    share : float
        Of the window's sessions, the newest: by these it is judged. The rounds are found on the
        rows whose labels end before, and all rows are then fitted with so many.
    """

    rounds: int = Field(default=50, strict=True, ge=1, le=10_000)
    share: float = Field(default=0.2, strict=True, ge=0.01, le=0.5)


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

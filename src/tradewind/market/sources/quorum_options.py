"""What a source of kind ``quorum`` is told."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tradewind.market.spec_types import SpecName

__all__ = ["QuorumOptions", "QuorumTolerance"]

_FOR_A_MEDIAN: Final = 3


class QuorumTolerance(BaseModel):
    """How far apart sources may be and still say the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tick: float = Field(default=0.01, ge=0.0, le=1000.0)
    relative: float = Field(default=1e-4, ge=0.0, le=0.05)
    volume: float = Field(default=0.05, ge=0.0, le=1.0)
    dividend: float = Field(default=0.05, ge=0.0, le=0.5)


class QuorumOptions(BaseModel):
    """What a source of kind ``quorum`` is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: tuple[SpecName, ...] = Field(min_length=2, max_length=9)
    rule: Literal["nobody", "first", "median"] = "nobody"
    at_least: int | None = Field(default=None, ge=1, le=9)
    tolerance: QuorumTolerance = QuorumTolerance()

    @field_validator("of")
    @classmethod
    def _each_once(cls, of: tuple[str, ...]) -> tuple[str, ...]:
        if again := sorted({one for one in of if of.count(one) > 1}):
            raise ValueError(f"named more than once: {', '.join(again)}")
        return of

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.at_least is not None and self.at_least > len(self.of):
            raise ValueError(
                f"at_least is {self.at_least}, and there are {len(self.of)} sources under of"
            )
        if self.rule == "median" and len(self.of) < _FOR_A_MEDIAN:
            raise ValueError(
                "the median of two values is neither of them: name a third source under of, or "
                "write rule: first, or nobody"
            )
        return self

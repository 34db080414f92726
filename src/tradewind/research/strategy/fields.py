"""What the parts of a strategy file are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CostBps", "Part", "Probability", "Sessions", "Share"]

Sessions = Annotated[int, Field(strict=True, ge=1, le=25_200)]  # a century
CostBps = Annotated[float, Field(strict=True, ge=0.0, le=1000.0)]
Share = Annotated[float, Field(strict=True, ge=0.0001, le=1.0)]
Probability = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]


class Part(BaseModel):
    """A part of a strategy file: frozen, and of what it does not know it makes an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

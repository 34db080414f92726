"""Models that a strategy file may name."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tradewind.research.strategy.fields import Part, Share

__all__ = ["LightGbm", "MaCrossover", "ModelSpec", "Ridge"]


class LightGbm(Part):
    """Gradient-boosted trees; names as in LightGBM, `rounds` is its number of iterations.

    With the objective ``lambdarank`` the trees learn the order of the symbols within a session;
    predictions are then scores without a unit.
    """

    kind: Literal["lightgbm"]
    objective: Literal["regression", "lambdarank"] = "regression"
    rounds: int = Field(default=100, strict=True, ge=1, le=10_000)
    learning_rate: float = Field(default=0.05, strict=True, ge=1e-6, le=1.0)
    num_leaves: int = Field(default=15, strict=True, ge=2, le=1024)
    min_data_in_leaf: int = Field(default=50, strict=True, ge=1, le=1_000_000)
    feature_fraction: Share = 1.0
    bagging_fraction: Share = 1.0
    lambda_l2: float = Field(default=0.0, strict=True, ge=0.0, le=1e6)


class Ridge(Part):
    """Linear regression on standardised features, `alpha` times the squared weights added."""

    kind: Literal["ridge"]
    alpha: float = Field(default=1.0, strict=True, ge=1e-9, le=1e12)


class MaCrossover(Part):
    """A rule without a model: long while the fast moving average stands above the slow one.

    It brings its one feature, so the file lists none.
    """

    kind: Literal["ma_crossover"]
    fast: int = Field(strict=True, ge=1, le=2520, description="sessions of the fast average")
    slow: int = Field(strict=True, ge=2, le=2520, description="sessions of the slow average")

    @model_validator(mode="after")
    def _fast_is_shorter(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


ModelSpec = Annotated[LightGbm | Ridge | MaCrossover, Field(discriminator="kind")]

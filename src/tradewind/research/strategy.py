"""What a strategy file may say, as frozen models whose errors name the field.

Importing this module loads neither numpy nor polars: Airflow parses it with every DAG
file.
"""

import hashlib
import json
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tradewind.research.feature_specs import FeatureSpec

__all__ = ["Backtest", "LightGbm", "Strategy", "Universe", "WalkForward"]

Sessions = Annotated[int, Field(strict=True, ge=1)]
CostBps = Annotated[float, Field(strict=True, ge=0.0, le=1000.0)]
Share = Annotated[float, Field(strict=True, gt=0.0, le=1.0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Universe(_Model):
    """Which bars the strategy trades.

    `start` and `end` cut the bars before anything is computed, so that features need some
    sessions after `start` to warm up. Leave `end` out for a strategy that is to trade.
    """

    source: str = Field(min_length=1, description="name of a source of bars")
    symbols: tuple[Annotated[str, Field(min_length=1, max_length=32)], ...] = Field(min_length=1)
    calendar: str = Field(default="XNYS", description="exchange calendar of the sessions")
    start: date | None = Field(default=None, description="first day used")
    end: date | None = Field(default=None, description="last day used")

    @field_validator("symbols")
    @classmethod
    def _symbols_are_unique(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return symbols

    @model_validator(mode="after")
    def _start_precedes_end(self) -> Self:
        if self.start and self.end and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must lie after start ({self.start})")
        return self


class LightGbm(_Model):
    """Gradient-boosted trees; names as in LightGBM, `rounds` is its number of iterations."""

    kind: Literal["lightgbm"]
    rounds: int = Field(default=100, strict=True, ge=1, le=10_000)
    learning_rate: float = Field(default=0.05, strict=True, gt=0.0, le=1.0)
    num_leaves: int = Field(default=15, strict=True, ge=2, le=1024)
    min_data_in_leaf: int = Field(default=50, strict=True, ge=1)
    feature_fraction: Share = 1.0
    bagging_fraction: Share = 1.0
    lambda_l2: float = Field(default=0.0, strict=True, ge=0.0)


class WalkForward(_Model):
    """Lengths of the rolling windows, in sessions."""

    train: Sessions = Field(description="sessions a model is fitted on")
    test: Sessions = Field(description="sessions it is then judged on")
    purge: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        description="sessions left out between train and test; the horizon if not given",
    )


class Backtest(_Model):
    """How predictions become positions, and what trading costs.

    Attributes
    ----------
    positions : {"long_flat", "long_short"}
        ``long_flat`` holds an equal share of each symbol with a positive prediction.
        ``long_short`` holds shares in proportion to the rank of the prediction within the
        session, as much short as long, 1.0 in total.
    commission_bps, slippage_bps : float
        Basis points of the traded notional, each way.
    max_weight : float
        Largest share of equity in one symbol, long or short.
    """

    positions: Literal["long_flat", "long_short"] = "long_flat"
    commission_bps: CostBps
    slippage_bps: CostBps
    max_weight: Share = 1.0


class Strategy(_Model):
    """A strategy: what is predicted, from what, by which model, and how it is judged."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=50)
    description: str = Field(min_length=1)
    owner: str | None = None
    schedule: str | None = Field(default=None, description="cron expression, in UTC")
    universe: Universe
    horizon: int = Field(strict=True, ge=1, le=252, description="sessions a label looks ahead")
    label: Literal["forward_return"] = "forward_return"
    features: tuple[FeatureSpec, ...] = Field(min_length=1)
    model: LightGbm
    walk_forward: WalkForward
    backtest: Backtest
    seed: int = Field(default=0, strict=True, ge=0, le=2**31 - 1)

    @property
    def purge(self) -> int:
        """Sessions left out between training and test; never less than the horizon."""
        purge = self.walk_forward.purge
        return self.horizon if purge is None else purge

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns of the features, in the order of the file."""
        return tuple(spec.column for spec in self.features)

    def content_hash(self) -> str:
        """Return the SHA-256 of the strategy's canonical JSON, in hexadecimal.

        Comments, order of keys and defaults left out of the file do not change it.
        """
        fields = self.model_dump(mode="json")
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @field_validator("schedule")
    @classmethod
    def _schedule_has_five_fields(cls, schedule: str | None) -> str | None:
        cron_fields = 5
        if schedule is not None and len(schedule.split()) != cron_fields:
            raise ValueError(
                f"{schedule!r} is no cron expression: minute hour day month weekday, "
                'such as "0 22 * * 1-5"'
            )
        return schedule

    @field_validator("features")
    @classmethod
    def _features_are_unique(cls, features: tuple[Any, ...]) -> tuple[Any, ...]:
        columns = [spec.column for spec in features]
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return features

    @field_validator("walk_forward")
    @classmethod
    def _labels_end_before_the_test(cls, value: WalkForward, info: ValidationInfo) -> WalkForward:
        horizon = info.data.get("horizon")
        if horizon is not None and value.purge is not None and value.purge < horizon:
            raise PydanticCustomError(
                "leak",
                "{purge} is less than the horizon of {horizon} sessions: the last training "
                "labels would be made of prices from the test window; use {horizon} or more, "
                "or leave purge out",
                {"field": "purge", "purge": value.purge, "horizon": horizon},
            )
        return value

    @model_validator(mode="after")
    def _ranks_need_company(self) -> Self:
        if len(self.universe.symbols) > 1:
            return self
        for index, spec in enumerate(self.features):
            if spec.kind == "rank":
                raise PydanticCustomError(
                    "rank", "a rank needs two symbols or more", {"field": f"features.{index}"}
                )
        if self.backtest.positions == "long_short":
            raise PydanticCustomError(
                "positions",
                "long_short needs two symbols or more",
                {"field": "backtest.positions"},
            )
        return self

"""Which bars a strategy trades."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tradewind.market.spec_types import CalendarName, Day, SpecName, Symbol
from tradewind.research.strategy.fields import Part

__all__ = ["Universe"]


class Universe(Part):
    """Which bars the strategy trades.

    `start` and `end` cut the bars before anything is computed, so that features need some
    sessions after `start` to warm up. Leave `end` out for a strategy that is to trade.
    """

    source: SpecName = Field(description="name of a source of bars")
    symbols: tuple[Symbol, ...] = Field(min_length=1, max_length=5000)
    calendar: CalendarName = Field(default="XNYS", description="exchange calendar of the sessions")
    start: Day | None = Field(default=None, description="first day used")
    end: Day | None = Field(default=None, description="last day used")

    @field_validator("symbols")
    @classmethod
    def _symbols_are_unique(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted(symbol for symbol, times in Counter(symbols).items() if times > 1)
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return symbols

    @model_validator(mode="after")
    def _start_precedes_end(self) -> Self:
        if self.start and self.end and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must lie after start ({self.start})")
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
        if self.start and self.start > tomorrow:
            raise PydanticCustomError(
                "future",
                "{start} is still to come, so that no bar is left; name a day of the bars",
                {"field": "start", "start": str(self.start)},
            )
        return self

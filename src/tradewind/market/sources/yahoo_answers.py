"""What Yahoo's chart interface answers; nobody documents it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from tradewind.market.sources.vendor_bars import Count, Positive

__all__ = ["CHART", "Chart", "Session"]

_YEAR_2200: Final = 7_258_118_400
_Moment = Annotated[int, Field(gt=-2_208_988_800, lt=_YEAR_2200)]
"""Seconds since 1970."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("must be a time zone such as America/New_York") from None
    return name


class _Model(BaseModel):
    """A part of an answer; more fields may come."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Meta(_Model):
    symbol: str
    dataGranularity: Literal["1d"]  # noqa: N815 - the vendor's name; others for long spans
    exchangeTimezoneName: Annotated[str, AfterValidator(_zone)]  # noqa: N815


class _Dividend(_Model):
    date: _Moment
    amount: Positive


class _Split(_Model):
    date: _Moment
    numerator: Positive
    denominator: Positive


class _Events(_Model):
    dividends: dict[str, _Dividend] = {}
    splits: dict[str, _Split] = {}


class _Quote(_Model):
    open: list[Positive | None] = []
    high: list[Positive | None] = []
    low: list[Positive | None] = []
    close: list[Positive | None] = []
    volume: list[Count | None] = []


class _Adjusted(_Model):
    adjclose: list[Positive | None] = []


class _Indicators(_Model):
    quote: Annotated[list[_Quote], Field(min_length=1, max_length=1)]
    adjclose: list[_Adjusted] = []


@dataclass(frozen=True)
class Session:
    """One row: prices and volume as if all splits since had been before it."""

    day: date
    prices: tuple[float, float, float, float]
    volume: int
    adjusted: float | None


class Chart(_Model):
    """The answer about one symbol."""

    meta: _Meta
    timestamp: list[_Moment] = []
    events: _Events = Field(default_factory=_Events)
    indicators: _Indicators

    @model_validator(mode="after")
    def _as_long_as_each_other(self) -> Self:
        rows = len(self.timestamp)
        quote = self.indicators.quote[0]
        for name in ("open", "high", "low", "close", "volume"):
            if (come := len(getattr(quote, name))) != rows:
                raise ValueError(f"{rows} timestamps and {come} values of {name} came")
        if any(len(each.adjclose) != rows for each in self.indicators.adjclose):
            raise ValueError(f"the adjusted closes are not as many as the {rows} timestamps")
        return self

    def _day(self, moment: int) -> date:
        zone = ZoneInfo(self.meta.exchangeTimezoneName)
        return datetime.fromtimestamp(moment, UTC).astimezone(zone).date()

    def sessions(self) -> Iterator[Session]:
        """Yield each row that has a price; one without any is none, and a rule will miss it.

        Raises
        ------
        ValueError
            If a row has some prices and not others; it says which.
        """
        quote = self.indicators.quote[0]
        adjusted = self.indicators.adjclose[0].adjclose if self.indicators.adjclose else []
        for place, moment in enumerate(self.timestamp):
            row = [each[place] for each in (quote.open, quote.high, quote.low, quote.close)]
            prices = [price for price in row if price is not None]
            volume = quote.volume[place]
            if not prices:
                continue
            if len(prices) < len(row) or volume is None:
                raise ValueError(f"the bar of {self._day(moment)} lacks a price or its volume")
            first, high, low, close = prices
            yield Session(
                self._day(moment), (first, high, low, close), volume,
                adjusted[place] if adjusted else None,
            )  # fmt: skip

    def splits(self) -> list[tuple[date, float]]:
        """Return each split with the shares after it for each one before, oldest first."""
        found = self.events.splits.values()
        return sorted((self._day(one.date), one.numerator / one.denominator) for one in found)

    def dividends(self) -> list[tuple[date, float]]:
        """Return each dividend, for a share of today's size, oldest first."""
        return sorted((self._day(one.date), one.amount) for one in self.events.dividends.values())


class _Told(_Model):
    result: Annotated[list[Chart], Field(min_length=1, max_length=1)]


class _Answer(_Model):
    chart: _Told


CHART: Final = TypeAdapter(_Answer)

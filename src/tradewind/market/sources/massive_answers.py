"""What Massive answers, as its documents (https://massive.com/docs) describe it.

A record of one symbol that is broken is an error of that symbol, and of no other in the answer.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from tradewind.market.sources.vendor_bars import Positive, Unread
from tradewind.market.validation.schema_rules import MOST_VOLUME

__all__ = [
    "BARS", "DAY", "DIVIDENDS", "EVENTS", "SPLITS", "TICKERS", "Bar", "DayBar", "Dividend",
    "Split", "address_of",
]  # fmt: skip

_NEW_YORK: Final = ZoneInfo("America/New_York")
_YEAR_2200: Final = 7_258_118_400_000


class _Model(BaseModel):
    """A part of an answer; more fields may come."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class Bar(_Model):
    """One session of a symbol."""

    t: Annotated[int, Field(gt=0, lt=_YEAR_2200)]
    """Milliseconds since 1970, in the session's day in New York."""
    o: Positive
    h: Positive
    l: Positive  # noqa: E741 - the vendor's name
    c: Positive
    v: Annotated[float, Field(ge=0.0, le=MOST_VOLUME)]

    @property
    def moment(self) -> datetime:
        """What `t` says, in New York."""
        return datetime.fromtimestamp(self.t / 1000.0, UTC).astimezone(_NEW_YORK)


class DayBar(Bar):
    """One session of a symbol, among those of all symbols."""

    ticker: str = Field(validation_alias="T")


class Split(_Model):
    """A split, or a dividend in shares."""

    ticker: str
    execution_date: date
    split_from: Positive
    split_to: Positive

    @property
    def ratio(self) -> float:
        """Shares after it for each one before."""
        return self.split_to / self.split_from


class Dividend(_Model):
    """A dividend in cash, for a share as it was on the ex-date."""

    ticker: str
    ex_dividend_date: date
    cash_amount: Positive
    currency: str
    declaration_date: date | None = None
    distribution_type: str | None = None


class _Answer(_Model):
    """What every answer has. ``DELAYED`` is that of a plan whose quotes come a while later."""

    status: Literal["OK", "DELAYED"]
    next_url: str | None = None


class _Counted(_Answer):
    """Bars that are not adjusted, and how many there are."""

    adjusted: Literal[False] = False
    resultsCount: int  # noqa: N815 - the vendor's name


_Counting = TypeVar("_Counting", bound=_Counted)


def _refuse_fewer(answer: _Counting, came: int) -> _Counting:
    if answer.resultsCount != came:
        raise ValueError(f"resultsCount is {answer.resultsCount}, and {came} bars came")
    return answer


class _Bars(_Counted):
    ticker: str
    results: list[Bar] = []

    @model_validator(mode="after")
    def _all_there(self) -> Self:
        return _refuse_fewer(self, len(self.results))


_OneOf = Field(union_mode="left_to_right")


class _Day(_Counted):
    results: list[Annotated[DayBar | Unread, _OneOf]] = []

    @model_validator(mode="after")
    def _all_there(self) -> Self:
        return _refuse_fewer(self, len(self.results))


class _Splits(_Answer):
    results: list[Annotated[Split | Unread, _OneOf]] = []


class _Dividends(_Answer):
    results: list[Annotated[Dividend | Unread, _OneOf]] = []


class _NewName(_Model):
    ticker: str


class _Event(_Model):
    date: date
    ticker_change: _NewName | None = None


class _Events(_Model):
    events: list[_Event] = []


class _Named(_Model):
    status: Literal["OK", "DELAYED"]
    results: _Events

    def names(self) -> list[tuple[date, str]]:
        """Return each name that a company has had with its first day, oldest first."""
        changes = ((each.date, each.ticker_change) for each in self.results.events)
        return sorted((day, change.ticker) for day, change in changes if change is not None)


class _Ticker(_Model):
    ticker: str
    delisted_utc: datetime | None = None


class _Tickers(_Answer):
    results: list[_Ticker] = []


BARS: Final = TypeAdapter(_Bars)
"""All bars of one symbol."""
DAY: Final = TypeAdapter(_Day)
"""One bar of all symbols."""
SPLITS: Final = TypeAdapter(_Splits)
DIVIDENDS: Final = TypeAdapter(_Dividends)
EVENTS: Final = TypeAdapter(_Named)
TICKERS: Final = TypeAdapter(_Tickers)


def address_of(url: str) -> tuple[str, Mapping[str, str]]:
    """Return path and parameters of the next page; its host is not told the key."""
    parts = urlsplit(url)
    return parts.path, dict(parse_qsl(parts.query))

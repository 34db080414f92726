"""What Databento answers, as its documents (https://databento.com/docs) describe it."""

from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from tradewind.market.sources.vendor_bars import Positive, Unread

__all__ = [
    "COUNT", "DOLLARS", "FACTORS", "RANGE", "ROWS", "UNDEFINED", "Factor", "Row",
]  # fmt: skip

UNDEFINED: Final = 2**63 - 1
"""What stands for a price that there is none of."""

_UNIT: Final = 1e9  # of a price
_LONGEST: Final = 19  # digits of a whole number of 64 bits


def _whole(text: object) -> object:
    """Return a whole number of 64 bits, which the vendor writes as text."""
    if isinstance(text, str) and text.isdecimal() and len(text) <= _LONGEST:
        return int(text)
    raise ValueError("must be a whole number, as text")


_Whole = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=UNDEFINED)]
_Price = Annotated[_Whole, Field(gt=0)]


class _Model(BaseModel):
    """A part of an answer; more fields may come."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class _Header(_Model):
    ts_event: _Whole
    """Nanoseconds since 1970."""


class Row(_Model):
    """A session of a symbol; prices in units of 1e-9."""

    hd: _Header
    symbol: str
    open: _Price
    high: _Price
    low: _Price
    close: _Price
    volume: _Whole

    @property
    def session(self) -> date:
        """Its day, which the vendor counts in UTC."""
        return datetime.fromtimestamp(self.hd.ts_event // 1_000_000_000, UTC).date()

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """Open, high, low and close."""
        whole = (self.open, self.high, self.low, self.close)
        return tuple(price / _UNIT for price in whole)  # type: ignore[return-value]

    @property
    def is_defined(self) -> bool:
        """Whether it has all prices."""
        return UNDEFINED not in {self.open, self.high, self.low, self.close}


class Factor(_Model):
    """By what prices before a corporate action are multiplied."""

    symbol: str
    event_id: str
    event: str
    status: Literal["A", "R", "P"]
    """Whether it applies, was rescinded, or is pending."""
    ex_date: date
    factor: Positive
    gross_dividend: float | None = None
    option: int
    ts_created: AwareDatetime


class _Span(_Model):
    start: AwareDatetime
    end: AwareDatetime


class _Range(_Span):
    schemas: dict[str, _Span] = Field(default={}, validation_alias="schema")


_OneOf = Field(union_mode="left_to_right")

RANGE: Final = TypeAdapter(_Range)
"""From when to when a dataset can be had."""
COUNT: Final = TypeAdapter(Annotated[int, Field(ge=0, strict=True)])
DOLLARS: Final = TypeAdapter(Annotated[float, Field(ge=0.0, allow_inf_nan=False, strict=True)])
ROWS: Final = TypeAdapter(list[Annotated[Row | Unread, _OneOf]])
FACTORS: Final = TypeAdapter(list[Annotated[Factor | Unread, _OneOf]])

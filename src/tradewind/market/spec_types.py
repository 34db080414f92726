"""Types of fields that files of strategies and of sources share, each with what it admits."""

from datetime import date
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tradewind.market.calendar_names import why_no_calendar
from tradewind.market.symbols import LONGEST, why_no_symbol

__all__ = ["FIRST_DAY", "LAST_DAY", "CalendarName", "Day", "SpecName", "Symbol", "Words"]

FIRST_DAY: Final = date(1800, 1, 1)
LAST_DAY: Final = date(2199, 12, 31)


def _as_written(value: object) -> object:
    """Refuse numbers, which pydantic takes for seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and "-" not in value.strip()[1:]):
        raise PydanticCustomError("date_type", "no date")  # told by who reads the file
    return value


def _calendar(name: str) -> str:
    if problem := why_no_calendar(name):
        raise ValueError(problem)
    return name


def _symbol(symbol: str) -> str:
    if problem := why_no_symbol(symbol):
        raise ValueError(f"{problem}: {symbol!r}")
    return symbol


Day = Annotated[date, BeforeValidator(_as_written), Field(ge=FIRST_DAY, le=LAST_DAY)]
"""A day of a file of bars."""

CalendarName = Annotated[str, AfterValidator(_calendar)]
"""An exchange calendar that there is."""

Symbol = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_symbol)]
"""A symbol; see `tradewind.market.symbols`."""

SpecName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=50)]
"""The name of a strategy or of a source, which is its file's."""

Words = Annotated[str, Field(max_length=5000)]
"""What somebody says about something."""

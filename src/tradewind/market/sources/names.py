"""Symbols over time: which company a vendor's symbol meant, and when.

A company is renamed, its old ticker goes to another, and each vendor writes share classes in its
own way. A source's file says so, by the symbol that strategies use today::

    names:
      - {symbol: META, vendor: FB, to: 2022-06-08}
      - {symbol: META, vendor: META, from: 2022-06-09}
      - {symbol: BRK.B, vendor: BRK-B}

or a CSV file that ``names_file`` names, with the columns symbol, vendor, from, to and split. What a
vendor's symbol was before and after is left out, so that two companies never become one series.

Importing this module loads no polars: Airflow reads it with every DAG file.
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tradewind.errors import SourceError
from tradewind.market.spec_types import Day, Symbol
from tradewind.specs.folders import refusal

__all__ = ["Name", "contradiction", "read_names"]

_COLUMNS: Final = ("symbol", "vendor", "from", "to", "split")
_MOST: Final = 100_000  # lines of a file
_BYTES: Final = 16 * 1024 * 1024


class Name(BaseModel):
    """What a vendor's symbol means, always or for some time.

    Attributes
    ----------
    symbol : str
        As strategies name it: today's.
    vendor : str
        As the vendor writes it.
    from_, to : date, optional
        Written ``from`` and ``to``: first and last session, both included; without one, from the
        beginning, or until now.
    split : float
        Shares for each one before, where the first session is also that of a split: across a change
        of names, the vendor's factors cannot tell it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    symbol: Symbol
    vendor: Symbol
    from_: Day | None = Field(default=None, alias="from")
    to: Day | None = None
    split: float = Field(default=1.0, ge=1e-4, le=1e4)

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.from_ and self.to and self.to < self.from_:
            raise ValueError(f"to ({self.to}) lies before from ({self.from_})")
        return self

    @property
    def first(self) -> date:
        """The first day it is about."""
        return self.from_ or date.min

    @property
    def last(self) -> date:
        """The last day it is about."""
        return self.to or date.max

    def __str__(self) -> str:
        days = [f"from {self.from_}" if self.from_ else "", f"to {self.to}" if self.to else ""]
        return " ".join([f"{self.vendor} as {self.symbol}", *filter(None, days)])


def contradiction(names: Sequence[Name]) -> str:
    """Return what contradicts itself in a map of names; empty if nothing does.

    One symbol can mean one company at a time, on either side.
    """
    for side in ("symbol", "vendor"):
        ordered = sorted(names, key=lambda one: (getattr(one, side), one.first))
        for one, other in pairwise(ordered):
            if getattr(one, side) == getattr(other, side) and other.first <= one.last:
                return (
                    f"{one} and {other} are about the same days, so that two companies would "
                    "become one; write from: and to: so that they do not overlap"
                )
    return ""


def read_names(file: Path) -> tuple[Name, ...]:
    """Read a CSV file of names.

    Raises
    ------
    SourceError
        If it cannot be read, a line is wrong, or it contradicts itself; the message has the line.
    """
    try:
        if file.stat().st_size > _BYTES:
            raise SourceError(f"{file}: names have {_BYTES // 2**20} MiB at most; split the source")
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{file}: cannot be read: {error}; mend names_file in the source's file (relative "
            "paths start at the workspace), or write the file as UTF-8"
        ) from error
    lines = csv.DictReader(text.splitlines(), strict=True)
    try:
        names = tuple(_checked(file, lines))
    except csv.Error as error:
        raise SourceError(f"{file}:{lines.line_num}: is no CSV: {error}; mend the line") from error
    if problem := contradiction(names):
        raise SourceError(f"{file}: {problem}")
    return names


def _checked(file: Path, lines: "csv.DictReader[str]") -> Iterable[Name]:
    header = tuple(lines.fieldnames or ())
    if unknown := set(header) - set(_COLUMNS) or {"symbol", "vendor"} - set(header):
        raise SourceError(
            f"{file}:1: the header has to name some of {', '.join(_COLUMNS)}, symbol and vendor "
            f"among them; see {', '.join(sorted(unknown))}"
        )
    for count, line in enumerate(lines):
        where = f"{file}:{lines.line_num}"
        if count >= _MOST:
            raise SourceError(f"{where}: a file has {_MOST} names at most; split the source")
        if None in line or None in line.values():
            raise SourceError(f"{where}: the line has not as many fields as the header; mend it")
        given = {name: text.strip() for name, text in line.items() if text.strip()}
        try:
            yield Name.model_validate(given)
        except ValidationError as error:
            raise SourceError(refusal(where, error, Name, given)) from error

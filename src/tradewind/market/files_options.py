"""What a source of kind `files` can be told; every choice that changes a bar must be made."""

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

__all__ = ["AS_WRITTEN", "Columns", "CsvDialect", "FilesOptions", "SessionColumn", "SymbolFrom"]

AS_WRITTEN = "as_written"
"""The time zone of timestamps whose date is the session, whatever their time of day."""

Name = Annotated[str, Field(min_length=1)]
_UNIX = {"unix_s", "unix_ms"}
# Directives of strftime that hold a time of day or an offset.
_TIME = re.compile(r"%-?(?:[HIkMSTRfXrcs+]|\.?[369]?f|:*z)")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SymbolFrom(_Model):
    """Where a bar's symbol stands: in a column, or in the name of the file.

    Attributes
    ----------
    column : str
        Name of the column.
    file_name : str
        ``stem`` for the file's name up to its first known suffix (``IBM.csv.gz`` is IBM), or a
        regular expression that must match the whole name and has one group, the symbol.
    """

    column: Name | None = None
    file_name: Name | None = None

    @field_validator("file_name")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern in {None, "stem"}:
            return pattern
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(
                f"must have one group, the symbol, but has {groups}; such as '(\\w+)_daily\\.csv'"
            )
        return pattern

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.column is None) == (self.file_name is None):
            raise ValueError("give either column or file_name")
        return self


class SessionColumn(_Model):
    """The column that dates a bar.

    Attributes
    ----------
    column : str
        Name of the column.
    format : str, optional
        How text is read, in the directives of strftime; or ``unix_s`` or ``unix_ms``, seconds or
        milliseconds since 1970. Not needed for dates and timestamps in Parquet.
    time_zone : str, optional
        Zone that timestamps are in, such as ``UTC``. They are turned into the exchange's local
        date. ``as_written``: the date is the session, whatever the time of day. Dates need none,
        nor do timestamps that carry their offset or are counted since 1970.
    """

    column: Name = "session"
    format: Name | None = None
    time_zone: Name | None = None

    @property
    def holds_time(self) -> bool:
        """Whether text in this format is a timestamp, not a date."""
        return self.format is not None and bool(self.unix or _TIME.search(self.format))

    @property
    def unix(self) -> bool:
        """Whether timestamps are counted since 1970."""
        return self.format in _UNIX

    @property
    def holds_offset(self) -> bool:
        """Whether the format reads an offset from UTC; what is counted since 1970 is UTC."""
        return self.format is not None and bool(self.unix or re.search(r"%:*[z+]", self.format))

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        if zone not in {None, AS_WRITTEN}:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f"no time zone named {zone!r}; use a name such as UTC or America/New_York, or "
                    f"{AS_WRITTEN} if the date is the session whatever the time of day"
                ) from None
        return zone

    @model_validator(mode="after")
    def _zone_suits_the_format(self) -> Self:
        if self.holds_offset:
            if self.time_zone is not None and not (self.unix and self.time_zone == AS_WRITTEN):
                raise _problem("time_zone", f"leave it out: {self.format} says it by itself")
        elif self.holds_time and self.time_zone is None:
            raise _problem(
                "time_zone",
                f"{self.format} holds a time of day; name its zone, such as UTC, or "
                f"{AS_WRITTEN} if the date is the session whatever the time",
            )
        elif self.format is not None and not self.holds_time and self.time_zone is not None:
            raise _problem("time_zone", f"leave it out: {self.format} reads dates without a time")
        return self


class Columns(_Model):
    """Names that the file gives to prices, volume and factors; the defaults are our own."""

    open: Name = "open"
    high: Name = "high"
    low: Name = "low"
    close: Name = "close"
    volume: Name = "volume"
    adj_close: Name | None = None
    split_factor: Name | None = None
    adjustment_factor: Name | None = None


class CsvDialect(_Model):
    """How numbers and fields of a CSV file are written.

    Attributes
    ----------
    separator, quote : str
        One character each.
    decimal : {".", ","}
        Sign before the fraction.
    thousands : str, optional
        Sign between groups of three digits; refused if it is not in such a place.
    encoding : str
        Name of an encoding of Python, such as ``utf-8`` or ``cp1252``.
    null_values : tuple of str
        Fields that mean a missing value, beside the empty one. They end as findings of validation.
    skip_lines : int
        Lines before the header.
    """

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", "'", " ", "_"] | None = None
    encoding: Name = "utf-8"
    null_values: tuple[str, ...] = ()
    skip_lines: int = Field(default=0, strict=True, ge=0, le=1000)

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError(
                f"no encoding named {encoding!r}; such as utf-8, utf-16, cp1252 or latin-1"
            ) from None
        return encoding

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.thousands == self.decimal:
            raise _problem("thousands", f"{self.thousands!r} is the decimal sign, too")
        if not self.separator.isascii() or not self.quote.isascii():
            raise _problem("separator", "separator and quote must be ASCII characters")
        return self


class FilesOptions(_Model):
    """Options of a source of kind `files`.

    Attributes
    ----------
    path : str
        One file, or a pattern with ``*``, ``?``, ``[]`` and ``**``; from the checkout.
    format : {"csv", "parquet"}, optional
        What the files are where their suffix (``.csv``, ``.csv.gz``, ``.parquet``) does not say.
    adjustment : {"adj_close", "factors", "splits", "already_adjusted", "none"}
        What is known of splits and dividends, and from where:

        - ``adj_close``: the column `adj_close` has the close adjusted for both. Splits are the
          steps of its quotient with the close that equal a simple ratio, unless the column
          `split_factor` says.
        - ``factors``: the columns `split_factor` and `adjustment_factor` have factors that a raw
          price is multiplied with. Only their ratios matter.
        - ``splits``: the column `split_factor` does; dividends are left out, so returns are
          price returns.
        - ``already_adjusted``: the prices of the file are adjusted. Raw prices are then unknown,
          and each later split or dividend revises the whole history.
        - ``none``: the prices are raw, and there was neither split nor dividend.
    """

    path: Name
    format: Literal["csv", "parquet"] | None = None
    symbol: SymbolFrom
    session: SessionColumn
    columns: Columns = Columns()
    adjustment: Literal["adj_close", "factors", "splits", "already_adjusted", "none"]
    csv: CsvDialect = CsvDialect()

    @property
    def numbers(self) -> dict[str, str]:
        """Columns of the file that hold prices, volume and factors, by our names."""
        return {name: column for name, column in self.columns if column is not None}

    @model_validator(mode="after")
    def _adjustment_has_its_columns(self) -> Self:
        needed = {"adj_close": {"adj_close"}, "factors": {"split_factor", "adjustment_factor"}}
        needed["splits"] = {"split_factor"}
        optional = {"split_factor"} if self.adjustment == "adj_close" else set[str]()
        wanted = needed.get(self.adjustment, set[str]())
        given = {"adj_close", "split_factor", "adjustment_factor"} & self.numbers.keys()
        for name in sorted(wanted - given):
            raise _problem(f"columns.{name}", f"adjustment {self.adjustment!r} needs this column")
        for name in sorted(given - wanted - optional):
            raise _problem(
                f"columns.{name}", f"adjustment {self.adjustment!r} does not use it; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        named = [*self.numbers.items(), ("session.column", self.session.column)]
        if self.symbol.column is not None:
            named.append(("symbol.column", self.symbol.column))
        seen: dict[str, str] = {}
        for field, column in named:
            if column in seen:
                raise _problem(
                    field if "." in field else f"columns.{field}",
                    f"column {column!r} is {seen[column]} already",
                )
            seen[column] = field
        return self


def _problem(field: str, reason: str) -> PydanticCustomError:
    return PydanticCustomError("files", "{reason}", {"field": field, "reason": reason})

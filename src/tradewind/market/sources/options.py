"""Options of a source of kind `files`. Every choice that changes a bar must be made."""

import itertools
import os
import re
from collections import Counter
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tradewind.market.sources.name_patterns import why_no_name_pattern

__all__ = [
    "AS_WRITTEN",
    "THOUSANDS",
    "UNIX",
    "Columns",
    "CsvDialect",
    "FilesOptions",
    "SessionColumn",
    "SymbolFrom",
]

AS_WRITTEN = "as_written"
"""The time zone of timestamps whose date is the session, whatever their time of day."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
UNIX = {"unix_s": 1, "unix_ms": 10**3, "unix_us": 10**6, "unix_ns": 10**9}
"""How often each unit of time since 1970 fits into a second."""

THOUSANDS = (",", ".", "'", "\u2019", " ", "\u00a0", "\u202f", "_")
"""Signs between groups of three digits; among them an apostrophe and spaces of typesetters."""

_ONE_PRICE = "the file has one price a session: write bars: closes, and name columns.close alone"
# Directives of strftime that hold a time of day or an offset.
_TIME = re.compile(r"%-?(?:[HIkMSTRfXrcs+]|\.?[369]?f|:*z)")


_LONGEST_NAME = 255


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SymbolFrom(_Model):
    """Where a bar's symbol is: in a column, in the name of the file, or in the header.

    Attributes
    ----------
    column : str
        Name of the column.
    columns : "all" or tuple of str
        Columns named after a symbol, which hold its closes (a wide file); ``all`` means all but the
        session's. An empty field is no bar.
    file_name : str
        ``stem`` for the file's name up to its first known suffix (``IBM.csv.gz`` is IBM), or a
        regular expression that must match the whole name and has one group, the symbol.
    """

    column: Name | None = None
    columns: Literal["all"] | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    file_name: Name | None = None

    @field_validator("file_name")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is None or pattern == "stem":
            return pattern
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(
                f"must have one group, the symbol, but has {groups}; such as '(\\w+)_daily\\.csv'"
            )
        if problem := why_no_name_pattern(pattern):
            raise ValueError(problem)
        return pattern

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if [self.column, self.columns, self.file_name].count(None) != 2:  # noqa: PLR2004 - one is given
            raise ValueError("give either column or file_name, or columns for a wide file")
        return self


class SessionColumn(_Model):
    """The column with a bar's session.

    Attributes
    ----------
    column : str
        Name of the column; empty for the one without a name, as data frames write their index.
    format : str, optional
        How text is read, in the directives of strftime (``%z`` reads a ``Z``, too); or ``unix_s``,
        ``unix_ms``, ``unix_us`` or ``unix_ns``, units of time since 1970. Not needed for dates and
        timestamps in Parquet.
    time_zone : str, optional
        Zone that timestamps are in, such as ``UTC``. They are turned into the exchange's local
        date. ``as_written``: the date is the session, whatever the time of day. Dates need none,
        nor do timestamps that carry their offset or are counted since 1970.
    """

    column: str = Field(default="session", max_length=200)
    format: Name | None = None
    time_zone: Name | None = None

    @property
    def holds_time(self) -> bool:
        """Whether text in this format is a timestamp, not a date."""
        return self.format is not None and bool(self.unix or _TIME.search(self.format))

    @property
    def unix(self) -> bool:
        """Whether timestamps are counted since 1970."""
        return self.format in UNIX

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
    """Names that the file gives to prices, volume and factors; the defaults are our own.

    With ``bars: closes`` only `close` is looked for, and `volume` if it is named here.
    """

    open: Name = "open"
    high: Name = "high"
    low: Name = "low"
    close: Name = "close"
    volume: Name | None = "volume"
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
        Fields that mean a missing value, beside the empty one. Validation reports them.
    skip_lines : int
        Lines before the header.
    header : tuple of str, optional
        Names of the columns, all of them, of a file whose first line is a bar.
    comment : str, optional
        Lines that start with this are no bars: remarks, or a footer (``File Creation Time``).
    """

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", "'", "\u2019", " ", "\u00a0", "\u202f", "_"] | None = None
    encoding: Name = "utf-8"
    null_values: tuple[Annotated[str, Field(max_length=200)], ...] = ()
    skip_lines: int = Field(default=0, strict=True, ge=0, le=1000)
    header: Annotated[tuple[Name, ...], Field(min_length=2, max_length=1000)] | None = None
    comment: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @field_validator("header")
    @classmethod
    def _names_differ(cls, header: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = sorted(name for name, times in Counter(header or ()).items() if times > 1)
        if repeated:
            raise ValueError(f"names {', '.join(map(repr, repeated))} more than once")
        return header

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
        for name, sign in (("separator", self.separator), ("quote", self.quote)):
            if not sign.isascii():
                raise _problem("separator", "separator and quote must be ASCII characters")
            if sign.isalnum() or sign in "\r\n.-+":
                raise _problem(
                    name, f"{sign!r} stands in values, or ends a line; name another sign"
                )
        if self.separator == self.quote:
            raise _problem("quote", f"{self.quote!r} is the separator, too")
        return self


class FilesOptions(_Model):
    """Options of a source of kind `files`.

    Attributes
    ----------
    path : str
        One file, or a pattern with ``*``, ``?``, ``[]`` and ``**``; from the workspace.
    format : {"csv", "parquet"}, optional
        Format of the files where their suffix (``.csv``, ``.csv.gz``, ``.parquet``) does not say.
    adjustment : {"adj_close", "factors", "splits", "already_adjusted", "none"}
        What is known of splits and dividends, and where it is:

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
    bars : {"ohlc", "closes"}
        ``closes``: the file has one price a session, as of a fund or an index. Open, high and low
        are then the close, so that an order for the next open trades at the next close; without a
        column of volumes the volume is zero. Validation says so (rule ``closes_only``).
    volume : {"exact", "rounded"}
        ``rounded``: to whole shares, the nearest; volume of coins, or adjusted for splits, has
        fractions, and the store counts whole shares.
    """

    path: Annotated[str, Field(min_length=1, max_length=1000)]
    format: Literal["csv", "parquet"] | None = None
    symbol: SymbolFrom
    session: SessionColumn
    columns: Columns = Columns()
    adjustment: Literal["adj_close", "factors", "splits", "already_adjusted", "none"]
    bars: Literal["ohlc", "closes"] = "ohlc"
    volume: Literal["exact", "rounded"] = "exact"
    csv: CsvDialect = CsvDialect()

    @property
    def numbers(self) -> dict[str, str]:
        """Columns of the file that hold prices, volume and factors, by our names."""
        named = {name: column for name, column in self.columns if column is not None}
        if self.bars == "closes":
            for name in {"open", "high", "low", "volume"} - self.columns.model_fields_set:
                named.pop(name, None)
        return named

    @property
    def names(self) -> list[str]:
        """Columns that are looked for, in the order in which vendors have them."""
        if self.symbol.columns is not None:
            return [self.session.column]
        symbol = [] if self.symbol.column is None else [self.symbol.column]
        prices = ("open", "high", "low", "close", "adj_close", "volume")
        rest = [name for name in self.numbers if name not in prices]
        named = [self.numbers[name] for name in (*prices, *rest) if name in self.numbers]
        return [*symbol, self.session.column, *named]

    @field_validator("path")
    @classmethod
    def _path_begins_somewhere(cls, path: str) -> str:
        if path.startswith("~"):
            raise ValueError(f"~ means nothing here; write the whole path of {path!r}")
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.split("/")):
            raise ValueError(f"no file has a name of more than {_LONGEST_NAME} bytes")
        if path.rsplit("/", maxsplit=1)[-1] in {"", ".", "..", "**"}:
            raise ValueError(f"{path!r} names folders; name the files in them, such as data/*.csv")
        if os.path.normpath(path).startswith(("/proc/", "/sys/", "/dev/")):
            raise ValueError(f"{path!r} is what the kernel shows, and no files of bars")
        if path.strip() != path:
            raise ValueError(f"has space around it: {path!r}; leave it out")
        fixed = "/".join(itertools.takewhile(lambda part: "**" not in part, path.split("/")))
        if "**" in path and os.path.normpath(f"/-/{fixed}" if path[0] != "/" else fixed or "/") in {
            "/",
            "//",
        }:
            raise ValueError(
                f"{path!r} is every file of this machine; begin with the folder that has the files"
            )
        return path

    @model_validator(mode="after")
    def _bars_have_their_columns(self) -> Self:
        given = self.columns.model_fields_set
        if self.bars == "closes":
            for name in sorted(given & {"open", "high", "low"}):
                raise _problem(f"columns.{name}", "leave it out: bars: closes has columns.close")
        elif self.columns.volume is None:
            raise _problem("columns.volume", "is missing; only bars: closes goes without a volume")
        if self.symbol.columns is None:
            return self
        if self.bars != "closes":
            raise _problem("bars", "symbol.columns reads one price a session; write bars: closes")
        for name in sorted(given):
            raise _problem(f"columns.{name}", "leave it out: symbol.columns names the closes")
        if self.adjustment not in {"none", "already_adjusted"}:
            raise _problem(
                "adjustment", "a wide file has closes alone; none or already_adjusted can be said"
            )
        return self

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
        wide = self.symbol.columns is not None
        named = [*({} if wide else self.numbers).items(), ("session.column", self.session.column)]
        if self.symbol.column is not None:
            named.append(("symbol.column", self.symbol.column))
        seen: dict[str, str] = {}
        for field, column in named:
            if column in seen:
                prices = {"open", "high", "low", "close"}
                several = f"; {_ONE_PRICE}" if {field, seen[column]} <= prices else ""
                raise _problem(
                    field if "." in field else f"columns.{field}",
                    f"column {column!r} is {seen[column]} already{several}",
                )
            seen[column] = field
        return self


def _problem(field: str, reason: str) -> PydanticCustomError:
    return PydanticCustomError("files", "{reason}", {"field": field, "reason": reason})

"""Text and foreign types of a file's columns into the types of bars, as polars expressions.

A value that cannot be read becomes null; who collects compares that with the raw column, so that
nothing is lost without a word.
"""

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from tradewind.market.files_options import AS_WRITTEN, CsvDialect, SessionColumn

__all__ = ["Dated", "integer", "number", "session"]

_ISO_DATE: Final = "%Y-%m-%d"
_YEARS: Final = (1800, 2200)  # outside, a format such as %Y has read two digits as a year
_INT64: Final = 2.0**63


def number(column: str, dtype: pl.DataType, dialect: CsvDialect) -> pl.Expr | None:
    """Return the column as Float64, null where it is no number; None for a type that has none."""
    values = pl.col(column)
    if dtype.is_numeric():
        return values.cast(pl.Float64, strict=False)
    if dtype != pl.String:
        return None
    text = values.str.strip_chars()
    if dialect.thousands is None and dialect.decimal == ".":
        return text.cast(pl.Float64, strict=False)
    point = re.escape(dialect.decimal)
    whole = r"\d+"
    if dialect.thousands is not None:
        whole = rf"(?:\d{{1,3}}(?:{re.escape(dialect.thousands)}\d{{3}})+|\d+)"
        plain = text.str.replace_all(dialect.thousands, "", literal=True)
    else:
        plain = text
    form = rf"^[-+]?{whole}(?:{point}\d*)?(?:[eE][-+]?\d+)?$"
    plain = plain.str.replace(dialect.decimal, ".", literal=True)
    return pl.when(text.str.contains(form)).then(plain).cast(pl.Float64, strict=False)


def integer(column: str, dtype: pl.DataType, dialect: CsvDialect) -> pl.Expr | None:
    """Return the column as Int64, null where it is no whole number; None as for `number`."""
    if dtype.is_integer():
        return pl.col(column).cast(pl.Int64, strict=False)
    value = number(column, dtype, dialect)
    if value is None:
        return None
    whole = value.is_finite() & (value == value.floor()) & (value.abs() < _INT64)
    return pl.when(whole).then(value).cast(pl.Int64)


@dataclass(frozen=True)
class Dated:
    """Sessions read from a column.

    Attributes
    ----------
    session : Expr
        Date; null where the value cannot be read.
    shifted : Expr
        Whether the value is a midnight that falls on another date at the exchange: then it most
        likely is a date, not a moment.
    """

    session: pl.Expr
    shifted: pl.Expr


def session(spec: SessionColumn, dtype: pl.DataType, exchange_zone: str) -> Dated:
    """Return the sessions in a column.

    Parameters
    ----------
    spec : SessionColumn
    dtype : DataType
        The column's type.
    exchange_zone : str
        Time zone of the exchange, whose local date is the session.

    Raises
    ------
    ValueError
        If the column cannot be read as `spec` says.
    """
    values = pl.col(spec.column)
    if dtype == pl.Date:
        if spec.time_zone or spec.format:
            raise ValueError("holds dates; leave out session.format and session.time_zone")
        return _dates(values)
    if dtype == pl.String and not spec.holds_time:
        if spec.time_zone:
            raise ValueError("session.time_zone is for timestamps; set session.format, too")
        form = spec.format or _ISO_DATE
        return _dates(values.str.strip_chars().str.to_date(form, strict=False, exact=True))
    moments = _moments(spec, dtype)
    if spec.time_zone == AS_WRITTEN:
        return _dates(moments.dt.date())
    if spec.time_zone is not None:
        moments = moments.dt.replace_time_zone(
            spec.time_zone, ambiguous="null", non_existent="null"
        )
    local = moments.dt.convert_time_zone(exchange_zone).dt.date()
    midnight = moments.dt.time() == pl.time(0, 0, 0)
    if dtype == pl.String and spec.holds_offset and not spec.unix:
        # Told in UTC by now, whatever the offset: midnight is what was written as such.
        midnight &= values.str.contains(r"(?:Z|[-+]00:?00)\s*$")
    return Dated(_plausible(local), midnight & (local != moments.dt.date()))


def _moments(spec: SessionColumn, dtype: pl.DataType) -> pl.Expr:
    """Return timestamps, with a time zone if they carry one."""
    values = pl.col(spec.column)
    if isinstance(dtype, pl.Datetime):
        _check_zone(spec, dtype.time_zone)
        return values
    if spec.unix and (dtype == pl.String or dtype.is_integer()):
        unit = {"unix_s": 1_000_000, "unix_ms": 1_000}[spec.format or ""]
        return (values.cast(pl.Int64, strict=False) * unit).cast(pl.Datetime("us", "UTC"))
    if dtype == pl.String:
        text = values.str.strip_chars()
        return text.str.to_datetime(spec.format, strict=False, exact=True, ambiguous="null")
    raise ValueError(f"{dtype} holds neither dates nor timestamps; see session.format")


def _check_zone(spec: SessionColumn, held: str | None) -> None:
    if spec.format:
        raise ValueError("holds timestamps, not text; leave out session.format")
    if held is None and spec.time_zone is None:
        raise ValueError(
            "the timestamps have no time zone; set session.time_zone, such as UTC, or "
            f"{AS_WRITTEN} if the date is the session whatever the time"
        )
    if held is not None and spec.time_zone not in {None, AS_WRITTEN}:
        raise ValueError(f"the timestamps are in {held}; leave out session.time_zone")


def _dates(dates: pl.Expr) -> Dated:
    return Dated(_plausible(dates), pl.lit(value=False))


def _plausible(dates: pl.Expr) -> pl.Expr:
    first, last = _YEARS
    return pl.when(dates.dt.year().is_between(first, last)).then(dates)

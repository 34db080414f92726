"""Text and foreign types of a file's columns into the types of bars, as polars expressions.

A value that cannot be read becomes null. The caller compares nulls with the raw column, so that no
value is lost silently (`reading_errors` says why). No expression here fails on a value: numbers
beyond the dates of any bar become null before a date is made of them.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from tradewind.market.sources.options import AS_WRITTEN, UNIX, CsvDialect, SessionColumn

__all__ = ["FIRST", "LAST", "Dated", "integer", "number", "session", "shown"]

FIRST: Final = date(1800, 1, 1)
LAST: Final = date(2200, 12, 31)
"""No session lies outside; a format such as ``%Y`` that has read two digits as a year does."""

_ISO_DATE: Final = "%Y-%m-%d"
_EPOCH: Final = date(1970, 1, 1)
_DAYS: Final = ((FIRST - _EPOCH).days, (LAST - _EPOCH).days)
_SECONDS_A_DAY: Final = 86_400
_INT64: Final = 2.0**63
_PER_SECOND: Final = {"ms": 10**3, "us": 10**6, "ns": 10**9}


def number(column: str, dtype: pl.DataType, dialect: CsvDialect) -> pl.Expr | None:
    """Return the column as Float64, null where it is no number; None for a type without numbers."""
    values = pl.col(column)
    if dtype.is_numeric() or dtype == pl.Null:
        return values.cast(pl.Float64, strict=False)
    if not _is_text(dtype):
        return None
    text = values.cast(pl.String).str.strip_chars()
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


def integer(
    column: str, dtype: pl.DataType, dialect: CsvDialect, *, rounded: bool = False
) -> pl.Expr | None:
    """Return the column as Int64, null where it is no whole number; None as for `number`.

    With `rounded` a fraction goes to the nearest whole number, a half away from zero.
    """
    if dtype.is_integer():
        return pl.col(column).cast(pl.Int64, strict=False)
    value = number(column, dtype, dialect)
    if value is None:
        return None
    if rounded:
        value = value.round(mode="half_away_from_zero")
    whole = value.is_finite() & (value == value.floor()) & (value.abs() < _INT64)
    return pl.when(whole).then(value).cast(pl.Int64)


def shown(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the column as text for a message; a date beyond all bounds as its number."""
    values = pl.col(column)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return pl.coalesce(_bounded(values, dtype).cast(pl.String), _counted(values))
    return values.cast(pl.String, strict=False)


@dataclass(frozen=True)
class Dated:
    """Sessions read from a column.

    Attributes
    ----------
    session : Expr
        Date; null where the value cannot be read.
    shifted : Expr
        Whether the value is a midnight that falls on another date at the exchange: most likely it
        is a date then, not a moment.
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
    if isinstance(dtype, pl.Date):
        if spec.time_zone or spec.format:
            raise ValueError("holds dates; leave out session.format and session.time_zone")
        return _dates(_bounded(values, dtype))
    written = _is_text(dtype) or (dtype.is_integer() and bool(spec.format))  # such as 20210104
    if written and not spec.holds_time:
        if spec.time_zone:
            raise ValueError("session.time_zone is for timestamps; set session.format, too")
        text = values.cast(pl.String).str.strip_chars()
        found = text.str.to_date(spec.format or _ISO_DATE, strict=False, exact=True)
        return _dates(_bounded(found, pl.Date()))
    moments = _moments(spec, dtype)
    if spec.time_zone == AS_WRITTEN:
        return _dates(moments.dt.date())
    if spec.time_zone is not None:
        moments = moments.dt.replace_time_zone(
            spec.time_zone, ambiguous="null", non_existent="null"
        )
    local = moments.dt.convert_time_zone(exchange_zone).dt.date()
    midnight = moments.dt.time() == pl.time(0, 0, 0)
    if _is_text(dtype) and spec.holds_offset and not spec.unix:
        # It is in UTC by now, whatever the offset was; midnight must be looked for as it was
        # written.
        midnight &= values.cast(pl.String).str.contains(r"(?:[Zz]|[-+]00:?00)\s*$")
    return Dated(local, midnight & (local != moments.dt.date()))


def _moments(spec: SessionColumn, dtype: pl.DataType) -> pl.Expr:
    """Return timestamps within bounds, with a time zone if they carry one."""
    values = pl.col(spec.column)
    if isinstance(dtype, pl.Datetime):
        _check_zone(spec, dtype.time_zone)
        return _bounded(values, dtype)
    if spec.unix and (_is_text(dtype) or dtype.is_numeric()):
        return _since_1970(values, dtype, UNIX[spec.format or ""])
    if _is_text(dtype) and spec.format:
        text = values.cast(pl.String).str.strip_chars()
        if re.search(r"%[:#]*z$", spec.format):
            text = text.str.replace(r"[Zz]$", "+00:00")  # only %+ reads a Z
        zone = "UTC" if spec.holds_offset else None
        found = text.str.to_datetime(
            spec.format, time_unit="us", strict=False, exact=True, ambiguous="null"
        )
        return _bounded(found, pl.Datetime("us", zone))
    raise ValueError(f"{dtype} holds neither dates nor timestamps; see session.format")


def _since_1970(values: pl.Expr, dtype: pl.DataType, per_second: int) -> pl.Expr:
    if dtype.is_integer():
        count = values.cast(pl.Int64, strict=False)
    else:  # 1609736400.0 is what a data frame with a gap makes of it
        text = values.cast(pl.String).str.strip_chars() if _is_text(dtype) else values
        fraction = text.cast(pl.Float64, strict=False).floor()
        whole = pl.when(fraction.abs() < _INT64).then(fraction).cast(pl.Int64)
        count = pl.coalesce(text.cast(pl.Int64, strict=False), whole) if _is_text(dtype) else whole
    first, last = _edges(per_second)
    held = pl.when(count.is_between(first, last, closed="left")).then(count)
    micro = UNIX["unix_us"]
    scaled = held * (micro // per_second) if per_second <= micro else held // (per_second // micro)
    return scaled.cast(pl.Datetime("us", "UTC"))


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
    return Dated(dates, pl.lit(value=False))


def _bounded(values: pl.Expr, dtype: pl.Date | pl.Datetime) -> pl.Expr:
    """Return dates or timestamps, null beyond `FIRST` to `LAST`.

    What is counted is compared: functions of dates end the process at a year such as 300,000.
    """
    count = values.to_physical()
    if isinstance(dtype, pl.Date):
        return pl.when(count.is_between(*_DAYS)).then(count).cast(pl.Date)
    first, last = _edges(_PER_SECOND[dtype.time_unit])
    return pl.when(count.is_between(first, last, closed="left")).then(count).cast(dtype)


def _edges(per_second: int) -> tuple[int, int]:
    first, last = _DAYS
    day = _SECONDS_A_DAY * per_second
    return first * day, (last + 1) * day


def _counted(values: pl.Expr) -> pl.Expr:
    return values.to_physical().cast(pl.String)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)

"""Why a value of a file cannot be read, and which line in the source's YAML file would mend it.

One value is looked at again after reading has failed, so that this may take its time.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from tradewind.market.sources.columns import FIRST, LAST
from tradewind.market.sources.options import AS_WRITTEN, THOUSANDS, UNIX, CsvDialect, SessionColumn

__all__ = [
    "no_bar", "remark_in", "units_of", "why_no_number", "why_no_session", "why_no_time",
    "with_format",
]  # fmt: skip

_FORMS: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y",
    "%m-%d-%Y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%B %d, %Y", "%m/%d/%y", "%d/%m/%y",
    "%d.%m.%y", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M",
)  # fmt: skip
_UNIT_NAMES: Final = {
    "unix_s": "seconds", "unix_ms": "milliseconds", "unix_us": "microseconds",
    "unix_ns": "nanoseconds",
}  # fmt: skip
_LIKELY: Final = (1900, 2100)  # years; a unit is proposed only if it gives one of them
_MISSING: Final = frozenset(
    {"", "-", "--", "---", ".", "n/a", "#n/a", "na", "n.a.", "nil", "none", "null", "nan", "?", "x",
     "#value!", "#ref!", "#div/0!", "n.v.", "missing"}
)  # fmt: skip
_LARGEST: Final = 2**63 - 1
_LONGEST_REMARK: Final = 100  # as csv.comment allows
_PHRASE: Final = 3  # words; a symbol has one, and a few have two


def why_no_session(  # noqa: PLR0911 - a cause each
    value: str, spec: SessionColumn, remark: str
) -> str:
    """Return why a value is no session, and what to write.

    Parameters
    ----------
    value : str
        As it stands in the file.
    spec : SessionColumn
    remark : str
        What its line begins with, and no bar does; empty where nothing tells it from a bar.
    """
    text = value.strip()
    if spec.unix:
        return _why_no_count(text, spec, remark)
    form = spec.format or "%Y-%m-%d"
    told = f"{value!r} is no date of the form {form}"
    moment = _parsed(text, form)
    if moment is not None and not FIRST <= moment.date() <= LAST:
        return (
            f"{told}: the year {moment.year} is not between {FIRST.year} and {LAST.year}; correct "
            "the value, or write %y in session.format for a year of two digits"
        )
    if moment is not None and spec.time_zone not in {None, AS_WRITTEN}:
        return _why_no_moment(value, moment, spec)
    if not re.search(r"[1-9]", text):
        return f"{told}; {no_bar(remark)}"
    proposed = [one for one in _FORMS if one != form and _reads(text, one)]
    units = list(units_of(text)) if re.fullmatch(r"-?\d{9,}(?:\.\d*)?", text) else []
    if proposed or units:
        lines = [with_format(spec, one) for one in [*units, *proposed][:2]]
        return f"{told}; write {' or '.join(lines)}, or correct the value"
    if not re.match(r"\s*\d", text):
        return f"{told}; {no_bar(remark)}"
    return f"{told}; mend session.format, or the value"


def _why_no_count(text: str, spec: SessionColumn, remark: str) -> str:
    unit = _UNIT_NAMES[spec.format or ""]
    told = f"{text!r} is no number of {unit} since 1970"
    if not re.fullmatch(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text):
        forms = [one for one in _FORMS if _reads(text, one)]
        if not forms:
            return f"{told}; {no_bar(remark)}"
        lines = " or ".join(with_format(spec, one) for one in forms[:2])
        return f"{told}; write {lines}, or correct the value"
    others = [one for one in units_of(text) if one != spec.format]
    between = f"between {FIRST.year} and {LAST.year}"
    if others:
        day = _counted(text, UNIX[others[0]])
        return (
            f"{told} {between}; in {_UNIT_NAMES[others[0]]} it is {day}: write "
            f"{with_format(spec, others[0])}"
        )
    return f"{told} {between}, nor of any other unit; correct the value, or remove the line"


def _why_no_moment(value: str, moment: datetime, spec: SessionColumn) -> str:
    at = pl.Series([moment.replace(tzinfo=None)])
    first = at.dt.replace_time_zone(spec.time_zone, ambiguous="earliest", non_existent="null")
    what = "is there twice" if first.item() is not None else "does not exist"
    return (
        f"{value!r} {what} in {spec.time_zone}, where clocks were changed that day; if the date is "
        f"the session whatever the time, write {with_format(spec, spec.format, AS_WRITTEN)}"
    )


def why_no_time(value: str, dtype: pl.DataType, spec: SessionColumn) -> str:
    """Return why a date or timestamp of Parquet is no session, and what to do.

    Parameters
    ----------
    value : str
        The number counted since 1970, or the timestamp as text if it has one.
    dtype : DataType
        Of the column.
    spec : SessionColumn
    """
    moment = _parsed(value, "%Y-%m-%d %H:%M:%S%.f")
    if moment is not None:
        return _why_no_moment(value, moment, spec)
    told = f"{value}, as {dtype}, is no time between {FIRST.year} and {LAST.year}"
    for unit in units_of(value):
        told += f"; in {_UNIT_NAMES[unit]} it is {_counted(value, UNIX[unit])}"
        break
    return f"{told}: write the file anew in the right unit"


def why_no_number(  # noqa: PLR0911 - a cause each
    value: str, name: str, dialect: CsvDialect, *, in_text: bool = True
) -> str:
    """Return why a value is no number, and what to write.

    Parameters
    ----------
    value : str
        As it stands in the file.
    name : str
        Our name of the column; ``volume`` asks for a whole number.
    dialect : CsvDialect
    in_text : bool
        Whether the file is CSV, so that its dialect can be changed.
    """
    text = value.strip()
    told = f"{value!r} is no {'whole number' if name == 'volume' else 'number'}"
    plain = _plain(text, dialect)
    if in_text and text.lower() in _MISSING:
        return (
            f"{told}; if it means a missing value, write csv: {{null_values: [{_yaml(value)}]}}, "
            "and fill in or leave out the bar"
        )
    if name == "volume" and plain is not None and not math.isnan(plain):
        if abs(plain) > _LARGEST:
            return f"{told} below 2^63; correct the value"
        if not plain.is_integer():
            return (
                f"{told}: it has a fraction, and the store counts whole shares; write volume: "
                "rounded (beside columns) to round it to the nearest, below one half to 0"
            )
    if not in_text:
        return f"{told}; correct the value, or leave out the bar"
    other = _other_signs(text, dialect)
    if other:
        return f"{told} (decimal sign {dialect.decimal!r}); write csv: {{{other}}}"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`":
        return f"{told}, for its quotes; write csv: {{quote: {_yaml(text[0])}}}"
    if re.fullmatch(r"[\d.,]+\s?[kKmMbBtT]n?", text):
        return f"{told}; write it out in full, without {text[-1]!r}"
    bare = re.sub(r"^[^\d(+-]+|[^\d)]+$", "", text)
    if bare != text and (_plain(bare, dialect) is not None or _other_signs(bare, dialect)):
        return f"{told}; take {_without(text, bare)} away from the values of this column"
    if re.fullmatch(r"\([\d.,]+\)", text):
        return f"{told}; write a minus sign instead of the brackets"
    written = f"decimal sign {dialect.decimal!r}, thousands {dialect.thousands!r}"
    return (
        f"{told} ({written}); mend the value or csv.decimal and csv.thousands, or list it in "
        "csv.null_values"
    )


def _plain(text: str, dialect: CsvDialect) -> float | None:
    if dialect.thousands is not None:
        text = text.replace(dialect.thousands, "")
    if "_" in text or not text.isascii():  # Python reads these as numbers, readers of files do not
        return None
    try:
        return float(text.replace(dialect.decimal, "."))
    except ValueError:
        return None


def _other_signs(text: str, dialect: CsvDialect) -> str:
    """Return the options of a dialect in which a text is a number, or nothing."""
    for decimal in (dialect.decimal, ",", "."):
        point = re.escape(decimal)
        for sign in (None, *THOUSANDS):
            if sign == decimal or (decimal, sign) == (dialect.decimal, dialect.thousands):
                continue
            groups = r"\d+" if sign is None else rf"\d{{1,3}}(?:{re.escape(sign)}\d{{3}})+"
            if re.fullmatch(rf"[-+]?{groups}(?:{point}\d*)?", text, re.ASCII):
                said = [] if decimal == dialect.decimal else [f"decimal: {_yaml(decimal)}"]
                if sign is not None or dialect.thousands is not None:
                    said.append(f"thousands: {'null' if sign is None else _yaml(sign)}")
                return ", ".join(said)
    return ""


def units_of(text: str) -> Iterator[str]:
    """Yield the formats in which a number is a likely time since 1970, the likeliest first."""
    for name, per_second in sorted(UNIX.items(), key=lambda unit: -unit[1]):
        day = _counted(text, per_second)
        if day is not None and _LIKELY[0] <= day.year <= _LIKELY[1] and day.year != 1970:  # noqa: PLR2004
            yield name


def _counted(text: str, per_second: int) -> date | None:
    try:
        seconds = float(text) / per_second
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date()
    except (ValueError, OverflowError):
        return None


def with_format(spec: SessionColumn, form: str | None, zone: str | None = None) -> str:
    """Return the line of YAML that reads the session's column in a format."""
    said = [f"column: {_bare(spec.column)}"]
    if form is not None:
        said.append(f"format: {_yaml(form)}")
    if form not in {None, *UNIX}:
        timed = SessionColumn.model_construct(column=spec.column, format=form)
        if zone is None and timed.holds_time and not timed.holds_offset:
            zone = AS_WRITTEN
    elif zone is None and spec.time_zone == AS_WRITTEN:
        zone = AS_WRITTEN
    if zone is not None:
        said.append(f"time_zone: {zone}")
    return f"session: {{{', '.join(said)}}}"


def _parsed(text: str, form: str) -> datetime | None:
    """Return the moment that polars reads from a text in a format; any year is possible."""
    column = pl.Series([text])
    if SessionColumn.model_construct(column="x", format=form).holds_time:
        text_ = column.str.replace(r"[Zz]$", "+00:00") if form.endswith("z") else column
        found = text_.str.to_datetime(form, time_unit="us", strict=False, ambiguous="null")
        micro = found.to_physical().item()
    else:
        days = column.str.to_date(form, strict=False).to_physical().item()
        micro = None if days is None else days * 86_400_000_000
    try:
        return None if micro is None else datetime(1970, 1, 1) + timedelta(microseconds=micro)  # noqa: DTZ001 - as written
    except OverflowError:
        return None


def _reads(text: str, form: str) -> bool:
    """Whether a format reads a likely date from a text; fractions of a second only if there are."""
    if "%.f" in form and "." not in text:
        return False
    moment = _parsed(text, form)
    return moment is not None and _LIKELY[0] <= moment.year <= _LIKELY[1]


def remark_in(line: str, *, session: int | None) -> str:
    """Return what a line begins with that no bar begins with; empty if there is nothing such.

    Parameters
    ----------
    line : str
        Without a session, or with one that cannot be read.
    session : int, optional
        Which field has the session, where bars begin with words, too, such as a symbol. Then a
        phrase of three words is no bar's, nor is a line that goes on after the text in the
        session's place.
    """
    if not re.match(r"\s*[^\s\d-]", line):  # starts as a bar does, or is blank
        return ""
    words = re.match(r"[^\d,;|\t]{3,}", line)
    start = words[0] if words else line[:20]
    if session is None or len(start.split()) >= _PHRASE:
        return start
    is_whole = len(re.findall(r"[,;|\t]", line)) > session and len(line) <= _LONGEST_REMARK
    return line if is_whole and '"' not in line else ""


def no_bar(remark: str) -> str:
    """Return how to leave out a line that is no bar, by what `remark_in` found in it."""
    if not remark:
        return "correct the value, or remove the line"
    return (
        f"if the line is no bar but a remark or a footer, write csv: {{comment: {_yaml(remark)}}}, "
        "which is what such lines start with; else correct the value"
    )


def _without(text: str, bare: str) -> str:
    before, _, after = text.partition(bare)
    return " and ".join(repr(one.strip()) for one in (before, after) if one.strip()) or "spaces"


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())  # YAML reads JSON's strings


def _bare(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_][\w ]*", text) else _yaml(text)

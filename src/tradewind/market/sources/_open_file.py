"""One file of bars while it is open: its symbols, and the bars of some of them."""

import datetime as dt
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import polars as pl

from tradewind.errors import SourceError
from tradewind.market.calendar import time_zone_of
from tradewind.market.sources import columns as read
from tradewind.market.sources.csv_text import ROW, explain, line_of, text_of
from tradewind.market.sources.options import UNIX, FilesOptions
from tradewind.market.sources.reading_errors import (
    no_bar,
    remark_in,
    units_of,
    why_no_number,
    why_no_session,
    why_no_time,
    with_format,
)

__all__ = ["OpenFile", "head_of", "listed"]

_BAD: Final = "__bad"
_HELD: Final = "__held"
_SYMBOL: Final = "__symbol"
_SHIFTED: Final = "__shifted"
_CLOSE: Final = "__close"
_FIRST: Final = dt.date(1969, 12, 31)  # in America, 1970 begins on that day
_EARLY: Final = dt.date(1971, 1, 1)
_SHOWN: Final = 12
_WORDS_FIRST: Final = re.compile(r"%[aAbBh]")  # formats in which a session begins with a word


@dataclass(frozen=True)
class OpenFile:
    """A file whose fields can be read.

    Attributes
    ----------
    path : Path
        As errors name it.
    frame : LazyFrame
        The fields, and `ROW`.
    text : Path, optional
        The CSV text that `frame` is read from; None for a file without lines.
    options : FilesOptions
    calendar : str
        Whose exchange has the sessions.
    """

    path: Path
    frame: pl.LazyFrame
    text: Path | None
    options: FilesOptions
    calendar: str

    @cached_property
    def _types(self) -> pl.Schema:
        return self.frame.collect_schema()

    def symbols_in_column(self, column: str) -> tuple[tuple[str, ...], dict[str, int]]:
        """Return the symbols of a column that have bars, sorted, and those that have none.

        Those without bars come with their first row; `stands_alone` says what is wrong with them.

        Raises
        ------
        SourceError
            If the column or one of the bars' columns is missing, it holds no text, or a line has a
            bar and no symbol.
        """
        names = [self.options.session.column, *self.options.numbers.values()]
        self._check_columns([column, *names])
        types = self._types
        if types[column].is_numeric():
            raise SourceError(
                f"{self.path}: column {column!r} holds numbers, which lose leading zeros; store "
                "symbols as text"
            )
        if not isinstance(types[column], pl.String | pl.Categorical | pl.Enum):
            raise SourceError(
                f"{self.path}: column {column!r} holds {types[column]}, not the text of symbols; "
                "name the right one in symbol.column"
            )
        bare = pl.all_horizontal(pl.col(name).is_null() for name in names)
        blank = pl.all_horizontal(pl.exclude(ROW).is_null())
        found = self._collect(
            self.frame.filter(~blank)
            .group_by(pl.col(column).cast(pl.String).fill_null("").alias(_SYMBOL))
            .agg(pl.min(ROW), (~bare).any().alias(_HELD))
        )
        for row in found.filter(pl.col(_SYMBOL) == "").get_column(ROW):
            raise SourceError(
                f"{self._place(row)}, column {column!r}: a bar without a symbol; fill it in, or "
                "remove the line"
            )
        held = pl.col(_HELD)
        alone = found.filter(~held).sort(ROW).select(_SYMBOL, ROW)
        return tuple(found.filter(held).get_column(_SYMBOL).sort()), dict(alone.iter_rows())

    def stands_alone(self, symbol: str, row: int) -> SourceError:
        """Return what is wrong with a line that has text where a symbol should be, and no bar."""
        return SourceError(
            f"{self._place(row)}, column {self.options.symbol.column!r}: {symbol!r} stands alone, "
            f"without a session or a price; {no_bar(self._remark(row))}"
        )

    def symbols_in_header(self) -> tuple[str, ...]:
        """Return the symbols of a wide file, sorted.

        Raises
        ------
        SourceError
            If a column that the options name is not there, or one has no name.
        """
        session = self.options.session.column
        wanted = self.options.symbol.columns or ()
        named = [] if wanted == "all" else [*wanted]
        self._check_columns([session, *named])
        there = [name for name in self._types.names() if name not in {ROW, session}]
        if wanted == "all" and "" in there:
            raise SourceError(
                f"{self.path}: a column has no name, so no symbol; list those that have: "
                "symbol: {columns: [...]}"
            )
        return tuple(sorted(there if wanted == "all" else named))

    def bars(self, symbols: list[str]) -> pl.DataFrame:
        """Return the bars of some symbols, in our names and types, without derived columns.

        Raises
        ------
        SourceError
            If a column is missing or of a wrong type, or a value cannot be read.
        """
        session = self.options.session.column
        numbers = self.options.numbers
        where = self.options.symbol
        if where.columns is not None:
            self._check_columns([session, *symbols])
            numbers = {"close": _CLOSE}
            bars = self._melted(symbols)
        else:
            names = [session, *numbers.values()]
            self._check_columns(names)
            blank = pl.all_horizontal(pl.col(*names).is_null())
            symbol = pl.lit(symbols[0])
            asked = pl.lit(value=True)
            if where.column is not None:
                symbol = pl.col(where.column).cast(pl.String)
                asked = symbol.is_in(symbols)
            bars = self.frame.filter(asked, ~blank).with_columns(symbol.alias(_SYMBOL))
        values = self._collect(self._typed(bars, numbers))
        self._check_values(values, numbers)
        return values.drop(ROW, _BAD, _SHIFTED)

    def _melted(self, symbols: list[str]) -> pl.LazyFrame:
        """Return a row for each field of a wide file that is not empty."""
        types = self._types
        for symbol in symbols:
            if not (types[symbol].is_numeric() or types[symbol] in {pl.String, pl.Null}):
                raise SourceError(
                    f"{self.path}, column {symbol!r}: holds {types[symbol]}, not closes; list "
                    "those that do: symbol: {columns: [...]}"
                )
        text = any(types[symbol] == pl.String for symbol in symbols)
        return (
            self.frame.with_columns(pl.col(*symbols).cast(pl.String if text else pl.Float64))
            .unpivot(
                symbols,
                index=[self.options.session.column, ROW],
                variable_name=_SYMBOL,
                value_name=_CLOSE,
            )
            .filter(pl.col(_CLOSE).is_not_null())
        )

    def _typed(self, frame: pl.LazyFrame, numbers: dict[str, str]) -> pl.LazyFrame:
        """Return our columns in our types, and beside them the values that could not be read."""
        types, options = frame.collect_schema(), self.options
        dtype = types[options.session.column]
        try:
            dated = read.session(options.session, dtype, self._exchange_zone(dtype))
        except ValueError as error:
            example = self._example(frame, dtype)
            raise SourceError(
                f"{self.path}, column {options.session.column!r}: {error}{example}"
            ) from error
        typed = {"session": (options.session.column, dated.session)}
        for name, column in numbers.items():
            value = (
                read.integer(
                    column, types[column], options.csv, rounded=options.volume == "rounded"
                )
                if name == "volume"
                else read.number(column, types[column], options.csv)
            )
            if value is None:
                raise SourceError(
                    f"{self.path}, column {column!r}: holds {types[column]}, not numbers; mend "
                    f"columns.{name}, or the file"
                )
            typed[name] = (column, value)
        bad = [
            pl.when(pl.col(column).is_not_null() & value.is_null()).then(pl.lit(name))
            for name, (column, value) in typed.items()
        ]
        spoiled = pl.coalesce(bad)
        shown = [
            pl.when(spoiled == name).then(read.shown(column, types[column]))
            for name, (column, _) in typed.items()
        ]
        written = read.shown(options.session.column, dtype)
        return frame.select(
            pl.col(_SYMBOL).alias("symbol"),
            *(value.alias(name) for name, (_, value) in typed.items()),
            ROW,
            pl.struct(name=spoiled, value=pl.coalesce(shown)).alias(_BAD),
            pl.when(dated.shifted).then(written).alias(_SHIFTED),
        )

    def _example(self, frame: pl.LazyFrame, dtype: pl.DataType) -> str:
        """Return the options to write for a column of numbers, by its first value."""
        spec = self.options.session
        if not dtype.is_numeric() or spec.format:
            return ""
        first = frame.select(pl.col(spec.column).drop_nulls().first()).collect().item()
        likely = ["%Y%m%d"] if re.fullmatch(r"(?:19|20)\d{6}", str(first)) else []
        likely += units_of(str(first))
        return f"; for {first} write {with_format(spec, likely[0])}" if likely else ""

    def _check_values(self, values: pl.DataFrame, numbers: dict[str, str]) -> None:
        session = self.options.session.column
        bad = values.filter(pl.col(_BAD).struct.field("name").is_not_null()).sort(ROW).head(1)
        for row, field, symbol in bad.select(ROW, _BAD, "symbol").iter_rows():
            name, value = field["name"], field["value"]
            column = {"session": session, **numbers}[name]
            column = symbol if column == _CLOSE else column
            if self.options.csv.header and value.strip() == column:
                reason = "that is the column's name; leave out csv.header, since the file has one"
            elif name != "session":
                reason = why_no_number(value, name, self.options.csv, in_text=self.text is not None)
            elif self._types[session].is_temporal():
                reason = why_no_time(value, self._types[session], self.options.session)
            else:
                remark = self._remark(row) if self._may_be_remark(values, row) else ""
                reason = why_no_session(value, self.options.session, remark)
            raise SourceError(f"{self._place(row)}, column {column!r}: {reason}")
        self._check_unit(values)
        shifted = values.filter(pl.col(_SHIFTED).is_not_null()).sort(ROW).head(1)
        for row, value, day in shifted.select(ROW, _SHIFTED, "session").iter_rows():
            raise SourceError(
                f"{self._place(row)}, column {session!r}: "
                f"{value} is {day} at the exchange ({self.calendar}); if the date is the "
                "session, set session.time_zone: as_written, and write an offset into "
                "session.format as it stands"
            )

    def _may_be_remark(self, values: pl.DataFrame, row: int) -> bool:
        """Whether lines that start as a row's does could be left out without losing a bar."""
        here = values.filter(pl.col(ROW) == row)
        value = here[_BAD][0]["value"].strip()
        if not re.search(r"\d", value) and self._line(row).lstrip(' "').startswith(value):
            return True  # the session's field holds none, as in a line of totals
        numbers = here.drop("symbol", "session", ROW, _BAD, _SHIFTED)
        if any(number is not None for number in numbers.row(0)):
            return False
        others = values.filter(
            pl.col("symbol") == here["symbol"][0], pl.col("session").is_not_null()
        )
        return self.options.symbol.column is None or others.is_empty()

    def _check_unit(self, values: pl.DataFrame) -> None:
        """Refuse a file whose sessions are all of 1970: seconds were read as milliseconds, say."""
        spec = self.options.session
        dated = values.drop_nulls("session").sort(ROW)
        if not spec.unix or dated.is_empty():
            return
        first, last = dated["session"].min(), dated["session"].max()
        if first < _FIRST or last >= _EARLY:  # type: ignore[operator]  # dates
            return
        row = dated[ROW][0]
        told = read.shown(spec.column, self._types[spec.column])
        value = self.frame.filter(pl.col(ROW) == row).select(told).collect().item()
        likely = [one for one in units_of(value) if UNIX[one] < UNIX[spec.format or ""]]
        if likely:
            raise SourceError(
                f"{self._place(row)}, column {spec.column!r}: {value} is "
                f"{dated['session'][0]} in {spec.format}; write {with_format(spec, likely[0])}"
            )

    def _collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect(engine="streaming")
        except pl.exceptions.PanicException as error:  # not an Exception: it would end the process
            raise SourceError(f"{self.path}: cannot be read: {head_of(error)}") from error
        except pl.exceptions.PolarsError as error:
            if self.text is not None:
                raise explain(error, self.text, self.path, self.options.csv) from error
            raise

    def _check_columns(self, wanted: list[str]) -> None:
        there = [name for name in self._types.names() if name != ROW]
        for name in wanted:
            if name not in there:
                raise SourceError(
                    f"{self.path}: no column {name!r}; {self._hint(name, there)}There are "
                    f"{listed(there)}. Name the right one in symbol, session or columns"
                )

    def _hint(self, name: str, there: list[str]) -> str:
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
        if near:
            return f"did you mean {near[0]!r}? "
        if name == self.options.session.column and "" in there:
            return "if the column without a name holds the sessions, write session: {column: ''}. "
        columns = self.options.columns
        others = {columns.open, columns.high, columns.low}
        if name in others and columns.close in there and others.isdisjoint(there):
            return "if the file has one price a session, write bars: closes. "
        return ""

    def _exchange_zone(self, dtype: pl.DataType) -> str:
        spec = self.options.session
        moments = spec.holds_time or isinstance(dtype, pl.Datetime)
        return time_zone_of(self.calendar) if moments else "UTC"

    def _remark(self, row: int) -> str:
        """Return how a row could be left out of the file without losing a bar."""
        names = [name for name in self._types.names() if name != ROW]
        session = self.options.session
        dated = names[0] == session.column and not _WORDS_FIRST.match(session.format or "")
        by_digits = dated or names[0] in self.options.numbers.values()
        place = None if by_digits else names.index(session.column)
        return remark_in(self._line(row), session=place)

    def _line(self, row: int) -> str:
        if self.text is None:
            return ""
        return text_of(self.text, line_of(self.text, self.options.csv, row))

    def _place(self, row: int) -> str:
        if self.text is None:
            return f"{self.path}, row {row + 1}"
        return f"{self.path}, line {line_of(self.text, self.options.csv, row)}"


def listed(names: Sequence[str]) -> str:
    """Return the first names of a list for a message, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more if names else "none"


def head_of(error: BaseException) -> str:
    """Return the first line of an error's text, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

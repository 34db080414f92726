"""CSV and Parquet files of one's own as a source of bars.

Nothing is guessed: which column is what, how dates and numbers are written, where a symbol
stands and what is known of splits and dividends are options (`FilesOptions`), and what does not
fit them is refused with file, line, column and value.

Memory holds the bars that were asked for, not the files: these are read in pieces.
"""

import difflib
import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from tradewind.errors import SourceError
from tradewind.market import columns as read
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.calendar import time_zone_of
from tradewind.market.csv_files import ROW, explain, line_of, scan_csv, utf8_copy
from tradewind.market.factors import adjustment_factor_from, split_factor_from
from tradewind.market.files_options import FilesOptions
from tradewind.market.source import SourceSpec

__all__ = ["Files"]

_BAD: Final = "__bad"
_SYMBOL: Final = "__symbol"
_SHIFTED: Final = "__shifted"
_SUFFIXES: Final = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}
_SHOWN: Final = 12

_Stamp = tuple[int, int, int]  # inode, size and time of the last change


class Files:
    """Bars in CSV or Parquet files.

    Parameters
    ----------
    spec : SourceSpec
        Its options are those of `FilesOptions`; its calendar gives the exchange's time zone.
    base_dir : Path
        Where a relative path starts.

    Raises
    ------
    ValidationError
        If the options are wrong. Files are looked at only when they are asked for.
    """

    Options = FilesOptions

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = FilesOptions.model_validate(spec.options)
        self._calendar = spec.calendar
        self._base_dir = base_dir
        self._pattern = base_dir / self._options.path
        self._held: dict[Path, tuple[_Stamp, tuple[str, ...]]] = {}

    def symbols(self) -> tuple[str, ...]:
        """Return every symbol in the files, sorted.

        Raises
        ------
        SourceError
            If there are no files, one cannot be read, or a bar has no symbol.
        """
        return tuple(sorted({symbol for held in self._index().values() for symbol in held}))

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Return the bars of some symbols, sorted by symbol and session, not yet validated.

        Parameters
        ----------
        symbols : sequence of str
            One or more; order and repetition do not matter.

        Returns
        -------
        DataFrame of shape (n_bars, 9)

        Raises
        ------
        SourceError
            If there are no files or none of a symbol, a value cannot be read, or a file changes
            meanwhile; the message names file, line, column and value.
        """
        index = self._index()
        there = {symbol for held in index.values() for symbol in held}
        unknown = sorted(set(symbols) - there)
        if unknown or not symbols:
            asked = f"has no symbols {unknown}" if unknown else "was asked for no symbols"
            raise SourceError(f"{self._pattern} {asked}; there are {_listed(sorted(there))}")
        wanted = sorted(set(symbols))
        parts = [
            self._read(path, [symbol for symbol in wanted if symbol in held])
            for path, held in index.items()
            if not set(wanted).isdisjoint(held)
        ]
        bars = pl.concat(parts).sort(KEY, maintain_order=True)
        return self._with_factors(bars).select(SCHEMA.names()).cast(dict(SCHEMA.items()))

    def _index(self) -> dict[Path, tuple[str, ...]]:
        """Return the symbols of each file; a file that did not change is not read again."""
        files = self._files()
        for path in set(self._held) - set(files):
            del self._held[path]
        for path in files:
            stamp = _stamp(path)
            if self._held.get(path, (None,))[0] != stamp:
                self._held[path] = (stamp, self._symbols_of(path))
                _check_unchanged(path, stamp)
        return {path: self._held[path][1] for path in files}

    def _files(self) -> list[Path]:
        if self._pattern.is_file():  # also when its name has an asterisk in it
            return [self._pattern]
        names = glob.glob(self._options.path, root_dir=self._base_dir, recursive=True)  # noqa: PTH207 - the pattern may be absolute
        files = sorted(path for name in names if not (path := self._base_dir / name).is_dir())
        if not files:
            raise SourceError(
                f"no file matches {self._pattern}; mend options.path (relative paths start at the "
                "checkout), or put the files there"
            )
        return files

    def _symbols_of(self, path: Path) -> tuple[str, ...]:
        column = self._options.symbol.column
        if column is None:
            return (self._symbol_in_name(path),)
        with self._scan(path) as (frame, copy):
            self._check_columns(path, frame, [column])
            if frame.collect_schema()[column].is_numeric():
                raise SourceError(
                    f"{path}: column {column!r} holds numbers, which lose leading zeros; store "
                    "symbols as text"
                )
            name = pl.col(column).cast(pl.String)
            found = self._collect(path, copy, frame.select(name).unique()).get_column(column)
            if found.null_count() or "" in found:
                blank = pl.all_horizontal(pl.exclude(ROW).is_null())
                bare = frame.filter(name.fill_null("") == "", ~blank).select(ROW).head(1)
                rows = self._collect(path, copy, bare).get_column(ROW)
                if rows.len():
                    raise SourceError(
                        f"{self._place(path, copy, rows[0])}, column {column!r}: a bar without "
                        "a symbol; fill it in, or remove the line"
                    )
        return tuple(sorted(symbol for symbol in found.drop_nulls() if symbol))

    def _symbol_in_name(self, path: Path) -> str:
        pattern = self._options.symbol.file_name or "stem"
        if pattern == "stem":
            return path.name.removesuffix(_suffix(path))
        match = re.fullmatch(pattern, path.name)
        if match is None or not match[1]:
            raise SourceError(
                f"{path}: the name does not match symbol.file_name {pattern!r}; mend the pattern, "
                "or narrow options.path"
            )
        return str(match[1])

    def _read(self, path: Path, symbols: list[str]) -> pl.DataFrame:
        stamp = _stamp(path)
        by_column = self._options.symbol.column
        names = [self._options.session.column, *self._options.numbers.values()]
        symbol = pl.lit(symbols[0]) if by_column is None else pl.col(by_column).cast(pl.String)
        asked = pl.lit(value=True) if by_column is None else symbol.is_in(symbols)
        blank = pl.all_horizontal(pl.col(*names).is_null())
        with self._scan(path) as (frame, copy):
            self._check_columns(path, frame, names)
            bars = frame.filter(asked, ~blank).with_columns(symbol.alias(_SYMBOL))
            values = self._collect(path, copy, self._typed(path, bars))
            self._check_values(path, copy, values)
        _check_unchanged(path, stamp)
        return values.drop(ROW, _BAD, _SHIFTED)

    def _typed(self, path: Path, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return our columns in our types, with what could not be read beside them."""
        types, options = frame.collect_schema(), self._options
        dtype = types[options.session.column]
        try:
            dated = read.session(options.session, dtype, self._exchange_zone(dtype))
        except ValueError as error:
            raise SourceError(f"{path}, column {options.session.column!r}: {error}") from error
        typed = {"session": (options.session.column, dated.session)}
        for name, column in options.numbers.items():
            convert = read.integer if name == "volume" else read.number
            value = convert(column, types[column], options.csv)
            if value is None:
                raise SourceError(
                    f"{path}, column {column!r}: holds {types[column]}, not numbers; mend "
                    f"columns.{name}, or the file"
                )
            typed[name] = (column, value)
        bad = [
            pl.when(pl.col(column).is_not_null() & value.is_null()).then(pl.lit(name))
            for name, (column, value) in typed.items()
        ]
        spoiled = pl.coalesce(bad)
        shown = [
            pl.when(spoiled == name).then(pl.col(column).cast(pl.String))
            for name, (column, _) in typed.items()
        ]
        return frame.select(
            pl.col(_SYMBOL).alias("symbol"),
            *(value.alias(name) for name, (_, value) in typed.items()),
            ROW,
            pl.struct(name=spoiled, value=pl.coalesce(shown)).alias(_BAD),
            pl.when(dated.shifted)
            .then(pl.col(options.session.column).cast(pl.String))
            .alias(_SHIFTED),
        )

    def _check_values(self, path: Path, copy: Path, values: pl.DataFrame) -> None:
        bad = values.filter(pl.col(_BAD).struct.field("name").is_not_null()).sort(ROW).head(1)
        for row, field in bad.select(ROW, _BAD).iter_rows():
            name, value = field["name"], field["value"]
            column = {"session": self._options.session.column, **self._options.numbers}[name]
            raise SourceError(
                f"{self._place(path, copy, row)}, column {column!r}: {self._reason(name, value)}"
            )
        shifted = values.filter(pl.col(_SHIFTED).is_not_null()).sort(ROW).head(1)
        for row, value, session in shifted.select(ROW, _SHIFTED, "session").iter_rows():
            raise SourceError(
                f"{self._place(path, copy, row)}, column {self._options.session.column!r}: "
                f"{value} is {session} at the exchange ({self._calendar}); if the date is the "
                "session, set session.time_zone: as_written, and write an offset into "
                "session.format as it stands"
            )

    def _reason(self, name: str, value: str) -> str:
        if name == "session":
            wanted = self._options.session.format or "%Y-%m-%d"
            return f"{value!r} is no date of the form {wanted}; mend session.format, or the value"
        dialect = self._options.csv
        written = f"decimal sign {dialect.decimal!r}, thousands {dialect.thousands!r}"
        whole = "whole number" if name == "volume" else "number"
        return (
            f"{value!r} is no {whole} ({written}); mend the value or csv.decimal and "
            "csv.thousands, or list it in csv.null_values"
        )

    def _with_factors(self, bars: pl.DataFrame) -> pl.DataFrame:
        def relative(name: str) -> pl.Expr:
            return (pl.col(name) / pl.col(name).drop_nulls().last()).over("symbol").alias(name)

        split = "split_factor"
        match self._options.adjustment:
            case "adj_close":
                held = split in bars.columns
                of_split = relative(split) if held else split_factor_from("adj_close")
                return bars.with_columns(of_split, adjustment_factor_from("adj_close"))
            case "factors":
                return bars.with_columns(relative(split), relative("adjustment_factor"))
            case "splits":
                return bars.with_columns(
                    relative(split), relative(split).alias("adjustment_factor")
                )
            case _:
                return bars.with_columns(split_factor=1.0, adjustment_factor=1.0)

    @contextmanager
    def _scan(self, path: Path) -> Iterator[tuple[pl.LazyFrame, Path]]:
        """Give a file's columns with the rows' numbers, and the text they are read from."""
        try:
            if self._format(path) == "csv":
                with utf8_copy(path, self._options.csv) as copy:
                    yield scan_csv(copy, path, self._options.csv), copy
            else:
                yield pl.scan_parquet(path, row_index_name=ROW, glob=False), path
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
        except pl.exceptions.PolarsError as error:  # a damaged file shows when its schema is read
            raise SourceError(f"{path}: cannot be read: {_first_line(error)}") from error

    def _collect(self, path: Path, copy: Path, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            if self._format(path) == "csv":
                raise explain(error, copy, path, self._options.csv) from error
            raise

    def _check_columns(self, path: Path, frame: pl.LazyFrame, wanted: list[str]) -> None:
        there = [name for name in frame.collect_schema().names() if name != ROW]
        for name in wanted:
            if name not in there:
                near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise SourceError(
                    f"{path}: no column {name!r}; {hint}There are {_listed(there)}. Name the "
                    "right one in symbol, session or columns"
                )

    def _format(self, path: Path) -> str:
        found = self._options.format or _SUFFIXES.get(_suffix(path).lower())
        if found is None:
            raise SourceError(
                f"{path}: neither {', '.join(_SUFFIXES)}; set format to csv or parquet, or narrow "
                "options.path"
            )
        return found

    def _exchange_zone(self, dtype: pl.DataType) -> str:
        spec = self._options.session
        moments = spec.holds_time or isinstance(dtype, pl.Datetime)
        return time_zone_of(self._calendar) if moments else "UTC"

    def _place(self, path: Path, copy: Path, row: int) -> str:
        if self._format(path) == "csv":
            return f"{path}, line {line_of(copy, self._options.csv, row)}"
        return f"{path}, row {row + 1}"


def _suffix(path: Path) -> str:
    lower = path.name.lower()
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if lower.endswith(suffix):
            return path.name[-len(suffix) :]
    return path.suffix


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check_unchanged(path: Path, stamp: _Stamp) -> None:
    if _stamp(path) != stamp:
        raise SourceError(
            f"{path}: changed while it was read; write a new file elsewhere and move it here whole"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more if names else "none"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""CSV and Parquet files of one's own as a source of bars.

Nothing is guessed. Options (`FilesOptions`) say which column is which, how dates and numbers are
written, where the symbol is, and what is known of splits and dividends. A value that does not fit
them is refused, with file, line, column and value.

Memory holds the bars that were asked for, not the files, which are read in pieces.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from tradewind.errors import SourceError
from tradewind.market.bars import KEY, PRICES, SCHEMA
from tradewind.market.sources._open_file import OpenFile, head_of, listed
from tradewind.market.sources.csv_text import ROW, scan_csv, utf8_copy
from tradewind.market.sources.factors import adjustment_factor_from, split_factor_from
from tradewind.market.sources.file_patterns import files_of
from tradewind.market.sources.name_patterns import symbol_in_name
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.options import FilesOptions
from tradewind.market.sources.source import SourceSpec
from tradewind.specs.plain_files import kind_of

__all__ = ["Files"]

_SUFFIXES: Final = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}

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
        If the options are wrong. Files are opened only when bars or symbols are asked for.
    """

    Options = FilesOptions

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = FilesOptions.model_validate(spec.options)
        self._calendar = spec.calendar
        self._base_dir = base_dir
        self._pattern = base_dir / self._options.path
        self._held: dict[Path, tuple[_Stamp, tuple[str, ...]]] = {}
        self._bare: dict[Path, dict[str, int]] = {}  # symbols without bars there, and their rows

    @property
    def promise(self) -> Promise:
        """What the options say of the prices; files are read whole each time."""
        return Promise(
            prices="adjusted" if self._options.adjustment == "already_adjusted" else "raw",
            dividends=self._options.adjustment != "splits",
            closes_only=self._options.bars == "closes",
        )

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
            raise SourceError(f"{self._pattern} {asked}; there are {listed(sorted(there))}")
        wanted = sorted(set(symbols))
        parts = [
            self._read(path, [symbol for symbol in wanted if symbol in held])
            for path, held in index.items()
            if not set(wanted).isdisjoint(held)
        ]
        bars = pl.concat(parts).sort(KEY, maintain_order=True)
        if self._options.bars == "closes":
            bars = bars.with_columns(pl.col("close").alias(name) for name in PRICES[:3])
            if "volume" not in bars.columns:
                bars = bars.with_columns(volume=pl.lit(0, pl.Int64))
        return self._with_factors(bars).select(SCHEMA.names()).cast(dict(SCHEMA.items()))

    def _index(self) -> dict[Path, tuple[str, ...]]:
        """Return the symbols of each file; a file that did not change is not read again."""
        files = self._files()
        for path in set(self._held) - set(files):
            del self._held[path]
            self._bare.pop(path, None)
        for path in files:
            stamp = _stamp(path)
            if self._held.get(path, (None,))[0] != stamp:
                self._held[path] = (stamp, self._symbols_of(path))
                _check_unchanged(path, stamp)
        index = {path: self._held[path][1] for path in files}
        self._refuse_text(index)
        return index

    def _files(self) -> list[Path]:
        if os.path.isfile(self._pattern):  # noqa: PTH113 - also with an asterisk in its name
            return [self._pattern]
        files = files_of(self._options.path, self._base_dir)
        if not files:
            raise SourceError(
                f"no file matches {self._pattern}; mend options.path (relative paths start at the "
                "workspace), or put the files there"
            )
        return files

    def _symbols_of(self, path: Path) -> tuple[str, ...]:
        where = self._options.symbol
        if where.column is None and where.columns is None:
            return (self._symbol_in_name(path),)
        with self._open(path) as file:
            if where.column is None:
                return file.symbols_in_header()
            held, self._bare[path] = file.symbols_in_column(where.column)
            return held

    def _refuse_text(self, index: dict[Path, tuple[str, ...]]) -> None:
        """Refuse text in the place of a symbol that has no bars, such as a vendor's footer.

        Lines without any value are passed over where their symbol has bars elsewhere.
        """
        there = {symbol for held in index.values() for symbol in held}
        for path in index:
            for symbol, row in self._bare.get(path, {}).items():
                if symbol not in there:
                    with self._open(path) as file:
                        raise file.stands_alone(symbol, row)

    def state(self) -> tuple[tuple[Path, _Stamp], ...]:
        """Return a value that changes whenever one of the files does.

        Raises
        ------
        SourceError
            If there are no files, or one cannot be looked at.
        """
        return tuple((path, _stamp(path)) for path in self._files())

    def _symbol_in_name(self, path: Path) -> str:
        pattern = self._options.symbol.file_name or "stem"
        if pattern == "stem":
            return path.name.removesuffix(_suffix(path))
        symbol = symbol_in_name(pattern, path.name)
        if not symbol:
            raise SourceError(
                f"{path}: the name does not match symbol.file_name {pattern!r}; mend the pattern, "
                "or narrow options.path"
            )
        return symbol

    def _read(self, path: Path, symbols: list[str]) -> pl.DataFrame:
        stamp = _stamp(path)
        with self._open(path) as file:
            bars = file.bars(symbols)
        _check_unchanged(path, stamp)
        return bars

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
    def _open(self, path: Path) -> Iterator[OpenFile]:
        try:
            if self._format(path) == "csv":
                with utf8_copy(path, self._options.csv) as copy:
                    frame = scan_csv(copy, path, self._options.csv, self._options.names)
                    yield OpenFile(path, frame, copy, self._options, self._calendar)
            else:
                frame = pl.scan_parquet(path, row_index_name=ROW, glob=False)
                yield OpenFile(path, frame, None, self._options, self._calendar)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
        except pl.exceptions.PolarsError as error:  # a damaged file shows when its schema is read
            raise SourceError(f"{path}: cannot be read: {head_of(error)}") from error

    def _format(self, path: Path) -> str:
        found = self._options.format or _SUFFIXES.get(_suffix(path).lower())
        if found is None:
            raise SourceError(
                f"{path}: neither {', '.join(_SUFFIXES)}; set format to csv or parquet, or narrow "
                "options.path"
            )
        return found


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
    if kind := kind_of(status.st_mode):
        raise SourceError(f"{path}: cannot be read: it is {kind}, not a plain file")
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check_unchanged(path: Path, stamp: _Stamp) -> None:
    if _stamp(path) != stamp:
        raise SourceError(
            f"{path}: changed while it was read; write a new file elsewhere and move it here whole"
        )

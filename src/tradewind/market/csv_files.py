"""CSV files of any dialect, read in pieces: a file larger than memory is no matter.

Every field is read as text. What a number or a date is gets decided by who knows the options, so
that a field that is none can be shown as it stands in the file.
"""

import csv
import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import polars as pl

from tradewind.errors import SourceError
from tradewind.market.files_options import CsvDialect

__all__ = ["ROW", "explain", "line_of", "scan_csv", "utf8_copy"]

ROW: Final = "__row"
"""Name of the column that counts the rows of a file from zero."""

_BLOCK: Final = 1 << 20  # characters
_GZIP: Final = b"\x1f\x8b"
_NOT_CSV: Final = {
    b"PAR1": "a Parquet file; set format: parquet",
    b"PK\x03\x04": "a ZIP archive; unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it, or pack it with gzip",
    b"BZh": "packed by bzip2; unpack it, or pack it with gzip",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save it as CSV",
}
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class _Reader(Protocol):
    """What `csv.reader` returns, whose type has no public name."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


@contextmanager
def utf8_copy(path: Path, dialect: CsvDialect) -> Iterator[Path]:
    """Give a file's text in UTF-8: the file itself, or a copy on disk that goes with the context.

    Raises
    ------
    SourceError
        If the file is no text in the dialect's encoding, or is packed in a way not known.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise SourceError(f"{path}: the file is empty, without even a header")
    for magic, meaning in _NOT_CSV.items():
        if head.startswith(magic):
            raise SourceError(f"{path}: no CSV text, but {meaning}")
    if head.startswith(_UTF16) and not dialect.encoding.lower().startswith("utf-16"):
        raise SourceError(
            f"{path}: the text is UTF-16, not {dialect.encoding}; set csv.encoding: utf-16"
        )
    if not head.startswith(_GZIP) and _is_utf8(dialect):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
        copy = Path(folder) / "copy.csv"
        with copy.open("w", encoding="utf-8", newline="") as target:
            for block in _blocks(path, dialect):
                target.write(block)
        yield copy


def scan_csv(path: Path, shown: Path, dialect: CsvDialect) -> pl.LazyFrame:
    """Return a CSV file's fields as text, lazily, with the row's number as `ROW`.

    Parameters
    ----------
    path : Path
        Text in UTF-8, as `utf8_copy` gives.
    shown : Path
        The file that errors name.
    dialect : CsvDialect

    Raises
    ------
    SourceError
        If the header is missing, repeats a name or holds but one field.
    """
    _check_header(_header(path, shown, dialect), shown, dialect)
    return pl.scan_csv(
        path,
        separator=dialect.separator,
        quote_char=dialect.quote,
        skip_lines=dialect.skip_lines,
        null_values=list(dialect.null_values) or None,
        infer_schema=False,
        row_index_name=ROW,
        glob=False,
        low_memory=True,
    )


def line_of(path: Path, dialect: CsvDialect, row: int) -> int:
    """Return the line, from one, that a row of `scan_csv` ends on.

    Reads the file up to there: rows and lines differ where quoted fields hold line breaks.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = _reader_of(file, dialect)
        for index, _ in enumerate(reader, start=-1):
            if index == row:
                break
        return reader.line_num + dialect.skip_lines


def explain(error: Exception, path: Path, shown: Path, dialect: CsvDialect) -> SourceError:
    """Return what polars could not read as an error that names the line."""
    try:
        width = len(_header(path, shown, dialect))
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = _reader_of(file, dialect)
            for fields in reader:
                if len(fields) > width:
                    line = reader.line_num + dialect.skip_lines
                    return SourceError(
                        f"{shown}, line {line}: {len(fields)} fields under a header of {width}, "
                        f"the last is {fields[-1]!r}; quote fields that hold "
                        f"{dialect.separator!r}, or mend csv.separator"
                    )
    except UnicodeDecodeError as invalid:
        return _wrong_encoding(shown, dialect, invalid)
    except csv.Error as broken:
        error = broken
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return SourceError(f"{shown}: cannot be read as CSV: {reason[0]}")


def _is_utf8(dialect: CsvDialect) -> bool:
    return dialect.encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig", "ascii"}


def _blocks(path: Path, dialect: CsvDialect) -> Iterator[str]:
    """Yield the text of a file, unpacked and decoded, without its byte order mark."""
    encoding = "utf-8-sig" if _is_utf8(dialect) else dialect.encoding
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    try:
        with (
            gzip.open(path, "rt", encoding=encoding, newline="")
            if packed
            else path.open(encoding=encoding, newline="") as text
        ):
            while block := text.read(_BLOCK):
                yield block
    except UnicodeError as error:
        raise _wrong_encoding(path, dialect, error) from error
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise SourceError(
            f"{path}: cannot be unpacked: {error}; copy or download it again"
        ) from error


def _wrong_encoding(shown: Path, dialect: CsvDialect, error: UnicodeError) -> SourceError:
    return SourceError(
        f"{shown}: not text in {dialect.encoding}: {error}; set csv.encoding, such as cp1252"
    )


def _header(path: Path, shown: Path, dialect: CsvDialect) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(_reader_of(file, dialect), None)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(shown, dialect, error) from error
    except csv.Error as error:
        raise SourceError(f"{shown}: the header cannot be read: {error}") from error
    if not header:
        raise SourceError(
            f"{shown}, line {dialect.skip_lines + 1}: no header there; mend csv.skip_lines"
        )
    return header


def _reader_of(file: IO[str], dialect: CsvDialect) -> _Reader:
    for _ in range(dialect.skip_lines):
        file.readline()
    return csv.reader(file, delimiter=dialect.separator, quotechar=dialect.quote)


def _check_header(header: list[str], shown: Path, dialect: CsvDialect) -> None:
    line = dialect.skip_lines + 1
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{shown}, line {line}: the header names {', '.join(map(repr, repeated))} more than "
            "once; rename or drop one of the columns"
        )
    other = [sign for sign in (";", "\t", "|", ",") if sign in header[0]]
    if len(header) == 1 and other and dialect.separator not in other:
        raise SourceError(
            f"{shown}, line {line}: no {dialect.separator!r} in the header {header[0]!r}; set "
            f"csv.separator: {other[0]!r}"
        )

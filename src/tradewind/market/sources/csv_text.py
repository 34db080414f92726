"""CSV files of any dialect, read in pieces, so that a file may be larger than memory.

Every field is read as text. The caller, which knows the options, makes numbers and dates of them,
and can show a wrong field as it stands in the file.
"""

import csv
import gzip
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import polars as pl

from tradewind.errors import SourceError
from tradewind.market.sources.options import CsvDialect

__all__ = ["ROW", "explain", "line_of", "scan_csv", "text_of", "utf8_copy"]

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
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_LONE_RETURN: Final = re.compile(r"\r(?!\n|$)")
_VALUE: Final = re.compile(r"\s*[-+]?[\d.,:/\-]*\d[\d.,:/\-TZ+ ]*(?:[eE][-+]?\d+)?\s*")
_SHOWN: Final = 100  # characters of a line


class _Reader(Protocol):
    """What `csv.reader` returns, whose type has no public name."""

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class _Lines:
    """The lines of a file after the skipped ones, without remarks; `number` is the last one's."""

    def __init__(self, file: IO[str], dialect: CsvDialect) -> None:
        self._file = file
        self._comment = dialect.comment
        self.number = 0
        for _ in range(dialect.skip_lines):
            self.number += bool(file.readline())

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if self._comment is None or not line.startswith(self._comment):
                yield line


@contextmanager
def utf8_copy(path: Path, dialect: CsvDialect) -> Iterator[Path]:
    """Give a file's text in UTF-8: the file itself, or a copy on disk that the context removes.

    Raises
    ------
    SourceError
        If the file is no text in the dialect's encoding, or is compressed in an unknown way.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise SourceError(f"{path}: the file is empty, without even a header")
    for magic, meaning in _NOT_CSV.items():
        if head.startswith(magic):
            raise SourceError(f"{path}: no CSV text, but {meaning}")
    if head.startswith(_UTF16) and not dialect.encoding.lower().startswith("utf-16"):
        raise SourceError(
            f"{path}: the text is UTF-16, not {dialect.encoding}; set csv.encoding: utf-16"
        )
    if head.startswith(_UTF8_MARK) and not _is_utf8(dialect):
        raise SourceError(
            f"{path}: the text is UTF-8, not {dialect.encoding}; set csv.encoding: utf-8"
        )
    packed = head.startswith(_GZIP)
    if b"\0" in head and not packed and not dialect.encoding.lower().startswith("utf-16"):
        order = "le" if head[1::2].count(0) > head[::2].count(0) else "be"
        raise SourceError(
            f"{path}: holds zero bytes, so it is no text in {dialect.encoding}; if it is UTF-16 "
            f"without a mark, set csv.encoding: utf-16-{order}"
        )
    if not packed and _is_utf8(dialect) and not _has_lone_returns(path, dialect):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
        copy = Path(folder) / "copy.csv"
        with copy.open("w", encoding="utf-8", newline="") as target:
            # All line ends become the same: for polars, a carriage return alone ends no line.
            for block in _blocks(path, dialect, newline=None):
                target.write(block)
        yield copy


def _has_lone_returns(path: Path, dialect: CsvDialect) -> bool:
    first = next(_blocks(path, dialect), "")
    return _LONE_RETURN.search(first) is not None


def scan_csv(
    path: Path, shown: Path, dialect: CsvDialect, names: Sequence[str] = ()
) -> pl.LazyFrame:
    """Return a CSV file's fields as text, lazily, with the row's number as `ROW`.

    Parameters
    ----------
    path : Path
        Text in UTF-8, as `utf8_copy` gives.
    shown : Path
        The file that errors name.
    dialect : CsvDialect
    names : sequence of str
        Columns that are looked for, in the order in which vendors have them. Used to propose a
        header where there is none.

    Raises
    ------
    SourceError
        If the header is missing, repeats a name or holds only one field, or if `CsvDialect.header`
        stands for it and names another number of columns.
    """
    line, header = _first_line(path, shown, dialect)
    if dialect.header is None:
        _check_header(header, line, shown, dialect, names)
    elif len(header) != len(dialect.header):
        raise SourceError(
            f"{shown}, line {line}: {len(header)} fields, and csv.header names "
            f"{len(dialect.header)}; name all: {_proposed(len(header), dialect.header)}"
        )
    return pl.scan_csv(
        path,
        separator=dialect.separator,
        quote_char=dialect.quote,
        has_header=dialect.header is None,
        new_columns=dialect.header,
        comment_prefix=dialect.comment,
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
        lines = _Lines(file, dialect)
        start = -1 if dialect.header is None else 0
        for index, _ in enumerate(_reader_of(lines, dialect), start=start):
            if index == row:
                break
        return lines.number


def text_of(path: Path, line: int) -> str:
    """Return the text of a line, counted from one, without its end."""
    with path.open(encoding="utf-8-sig") as file:
        return next(itertools.islice(file, line - 1, None), "").rstrip("\r\n")


def explain(error: Exception, path: Path, shown: Path, dialect: CsvDialect) -> SourceError:
    """Return an error of polars as ours, which names the line."""
    try:
        width = len(_first_line(path, shown, dialect)[1])
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _Lines(file, dialect)
            begin, last = 1, 0
            for fields in _reader_of(lines, dialect):
                begin, last = last + 1, lines.number
                if len(fields) > width:
                    return SourceError(
                        f"{shown}, line {lines.number}: {len(fields)} fields under a header of "
                        f"{width}, the last is {fields[-1]!r}; quote fields that hold "
                        f"{dialect.separator!r}, or mend csv.separator; a remark or a footer is "
                        "left out by csv.comment, which says what the line starts with"
                    )
        text = (text_of(path, number) for number in range(begin, last + 1))
        if sum(line.count(dialect.quote) for line in text) % 2:
            return SourceError(
                f"{shown}, line {begin}: a quote ({dialect.quote}) is opened and never closed; "
                "close it, or name another sign in csv.quote"
            )
    except UnicodeDecodeError as invalid:
        return _wrong_encoding(shown, dialect, invalid)
    except csv.Error as broken:
        error = broken
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return SourceError(f"{shown}: cannot be read as CSV: {reason[0]}")


def _is_utf8(dialect: CsvDialect) -> bool:
    return dialect.encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig", "ascii"}


def _blocks(path: Path, dialect: CsvDialect, newline: str | None = "") -> Iterator[str]:
    """Yield the text of a file, unpacked and decoded, without its byte order mark."""
    encoding = "utf-8-sig" if _is_utf8(dialect) else dialect.encoding
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    try:
        with (
            gzip.open(path, "rt", encoding=encoding, newline=newline)
            if packed
            else path.open(encoding=encoding, newline=newline) as text
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
    where, proposed = str(shown), "csv.encoding, such as cp1252"
    if isinstance(error, UnicodeDecodeError):
        line, text = _undecodable_line(shown, dialect)
        if line:
            where = f"{shown}, line {line}"
            proposed = f"csv.encoding: cp1252, in which it reads {text!r}"
    return SourceError(f"{where}: not text in {dialect.encoding}: {error}; set {proposed}")


def _undecodable_line(path: Path, dialect: CsvDialect) -> tuple[int, str]:
    """Return the first line that is invalid in the encoding, and its text in cp1252; else zero."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    if packed or dialect.encoding.lower().startswith("utf-16"):
        return 0, ""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(dialect.encoding)
            except UnicodeDecodeError as error:
                begin = max(0, error.start - _SHOWN // 2)
                part = line[begin : error.start + _SHOWN // 2].strip(b"\r\n")
                return number, part.decode("cp1252", errors="replace")
    return 0, ""


def _first_line(path: Path, shown: Path, dialect: CsvDialect) -> tuple[int, list[str]]:
    """Return number and fields of the first line that is neither skipped nor a comment."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _Lines(file, dialect)
            header = next(_reader_of(lines, dialect), None)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(shown, dialect, error) from error
    except csv.Error as error:
        raise SourceError(f"{shown}: the header cannot be read: {error}") from error
    if not header:
        raise SourceError(
            f"{shown}, line {dialect.skip_lines + 1}: no header there; mend csv.skip_lines"
        )
    return lines.number, header


def _reader_of(lines: _Lines, dialect: CsvDialect) -> _Reader:
    return csv.reader(lines, delimiter=dialect.separator, quotechar=dialect.quote)


def _check_header(
    header: list[str], line: int, shown: Path, dialect: CsvDialect, names: Sequence[str]
) -> None:
    place = f"{shown}, line {line}"
    other = [sign for sign in (";", "\t", "|", ",", " ") if sign in header[0].strip()]
    if len(header) == 1 and other and dialect.separator not in other:
        raise SourceError(
            f"{place}: no {dialect.separator!r} in the header {header[0]!r}; set "
            f"csv.separator: {other[0]!r}"
        )
    values = sum(_VALUE.fullmatch(field) is not None for field in header)
    if values * 2 > len(header) and not set(names) & set(header):
        text = dialect.separator.join(header)[:_SHOWN]
        raise SourceError(
            f"{place}: a bar stands where the header should, {text!r}; if the file has no header, "
            f"name all of its {len(header)} columns: {_proposed(len(header), names)}; else mend "
            "csv.skip_lines"
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{place}: the header names {', '.join(map(repr, repeated))} more than once; rename or "
            "drop one of the columns"
        )


def _proposed(width: int, names: Sequence[str]) -> str:
    """Return the line of YAML that names so many columns, the known ones first."""
    rest = [f"column_{number}" for number in range(len(names) + 1, width + 1)]
    return f"csv: {{header: [{', '.join([*names, *rest][:width])}]}}"

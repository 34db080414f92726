"""The content of a frame of bars, as one hash over its values.

The hash is over the values, not over a file: another version of polars may write other bytes
for the same bars, and the hash must not change with it.
"""

import hashlib
from typing import Final

import polars as pl

from tradewind.errors import SnapshotError
from tradewind.market.bars import KEY, SCHEMA

__all__ = ["content_hash", "refuse_what_are_no_bars"]

_LITTLE_ENDIAN: Final = {pl.Float64: "<f8", pl.Int64: "<i8", pl.Date: "<i4"}
_ROWS_AT_ONCE: Final = 250_000  # each symbol becomes a Python object of 60 bytes; this bounds them


def refuse_what_are_no_bars(bars: pl.DataFrame) -> None:
    """Raise if columns, types or values are not those of bars.

    Raises
    ------
    SnapshotError
        If a column is missing, extra, of another type, or holds a null or a number that is
        not finite.
    """
    if dict(bars.schema) != dict(SCHEMA):
        raise SnapshotError(
            f"not the columns of bars: {dict(bars.schema)}, expected {dict(SCHEMA)}"
        )
    if bars.null_count().sum_horizontal().item():
        raise SnapshotError("bars with missing values cannot be stored; validate them first")
    for name, dtype in SCHEMA.items():
        if dtype == pl.Float64 and not bars.get_column(name).is_finite().all():
            raise SnapshotError(
                f"column {name!r} holds values that are not finite; validate the bars first"
            )


def content_hash(bars: pl.DataFrame) -> str:
    """Return the SHA-256 of the content of bars, in hexadecimal.

    Hashed are, for each column of `SCHEMA` in its order and for the rows sorted by symbol
    and session: name, number of values, and the values (64-bit little-endian floats
    and integers, 32-bit days since 1970-01-01, length-prefixed UTF-8).

    Raises
    ------
    SnapshotError
        If columns, types or values are not those of bars.
    """
    refuse_what_are_no_bars(bars)
    ordered = bars.select(SCHEMA.names()).sort(KEY)
    digest = hashlib.sha256(b"tradewind bars 1\n")
    for column in ordered:
        digest.update(f"{column.name} {column.len()}\n".encode())
        for start in range(0, column.len(), _ROWS_AT_ONCE):
            digest.update(_content(column.slice(start, _ROWS_AT_ONCE)))
    return digest.hexdigest()


def _content(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        values = [value.encode() for value in column]
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    array = column.to_physical().to_numpy()
    if column.dtype == pl.Float64:
        array = array + 0.0  # -0.0 is the same price as 0.0
    return array.astype(_LITTLE_ENDIAN[type(column.dtype)]).tobytes()

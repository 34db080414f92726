"""Immutable snapshots of bars, named after their content.

The id is a SHA-256 over the values, not over the file: another version of polars may
write other bytes for the same bars, and the id must not change with it.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from tradewind.errors import SnapshotError
from tradewind.market.bars import KEY, SCHEMA

__all__ = ["content_hash", "read_snapshot", "write_snapshot"]

_ID = re.compile(r"[0-9a-f]{64}")
_LITTLE_ENDIAN = {pl.Float64: "<f8", pl.Int64: "<i8", pl.Date: "<i4"}


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
    if dict(bars.schema) != dict(SCHEMA):
        raise SnapshotError(
            f"not the columns of bars: {dict(bars.schema)}, expected {dict(SCHEMA)}"
        )
    ordered = bars.select(SCHEMA.names()).sort(KEY)
    if ordered.null_count().sum_horizontal().item():
        raise SnapshotError("bars with missing values cannot be stored; validate them first")
    digest = hashlib.sha256(b"tradewind bars 1\n")
    for column in ordered:
        digest.update(f"{column.name} {column.len()}\n".encode())
        digest.update(_content(column))
    return digest.hexdigest()


def write_snapshot(bars: pl.DataFrame, root: Path) -> str:
    """Store bars under their id and return it.

    Storing the same content again changes nothing. The file appears whole or not at all,
    also when several processes store the same bars at the same time.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars.
    root : Path
        Directory of snapshots; made if it is missing.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    SnapshotError
        If these are no bars, or they cannot be written.
    """
    snapshot_id = content_hash(bars)
    path = root / f"{snapshot_id}.parquet"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not path.exists() or _read_intact(path, snapshot_id) is None:
            _write_atomically(bars.select(SCHEMA.names()).sort(KEY), path)
    except OSError as error:
        raise SnapshotError(
            f"snapshot {snapshot_id} cannot be written to {root}: {error}; free space or make the "
            "directory writable"
        ) from error
    return snapshot_id


def read_snapshot(snapshot_id: str, root: Path) -> pl.DataFrame:
    """Return the bars of a snapshot, after comparing them with its id.

    Parameters
    ----------
    snapshot_id : str
        As returned by `write_snapshot`.
    root : Path
        Directory of snapshots.

    Returns
    -------
    DataFrame of shape (n_bars, 9)
        Bars sorted by symbol and session.

    Raises
    ------
    SnapshotError
        If the id is malformed, or the snapshot is missing or damaged.
    """
    if not _ID.fullmatch(snapshot_id):
        raise SnapshotError(
            f"{snapshot_id!r} is no snapshot id; it must be 64 hexadecimal digits in lower case"
        )
    path = root / f"{snapshot_id}.parquet"
    if not path.is_file():
        raise SnapshotError(f"no snapshot {snapshot_id} in {root}; ingest the bars again")
    bars = _read_intact(path, snapshot_id)
    if bars is None:
        raise SnapshotError(
            f"snapshot {snapshot_id} in {root} is damaged: its content has another hash, or "
            "cannot be read; delete the file and ingest the bars again"
        )
    return bars


def _content(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        values = [value.encode() for value in column]
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    array = column.to_physical().to_numpy()
    if column.dtype == pl.Float64:
        array = array + 0.0  # -0.0 is the same price as 0.0
        if not np.isfinite(array).all():
            raise SnapshotError(
                f"column {column.name!r} holds values that are not finite; validate the bars first"
            )
    return array.astype(_LITTLE_ENDIAN[type(column.dtype)]).tobytes()


def _read_intact(path: Path, snapshot_id: str) -> pl.DataFrame | None:
    """Return the bars in a file, or None if they are not those of the id."""
    try:
        bars = pl.read_parquet(path)
        return bars if content_hash(bars) == snapshot_id else None
    except (pl.exceptions.PolarsError, OSError, SnapshotError):
        return None


def _write_atomically(bars: pl.DataFrame, path: Path) -> None:
    """Write to a temporary file, flush it to disk, rename it, flush the directory."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".snapshot-", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            bars.write_parquet(file, compression="zstd", statistics=True)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""Frames set aside, in memory while they are few and on disk when they are many."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

import polars as pl

from tradewind.errors import StoreError

__all__ = ["Spool", "room"]

_IN_MEMORY: Final = 32 * 2**20  # bytes


class Spool:
    """Frames in the order they were added, in a file that goes when the process ends in any way."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - see close
        self._places: list[tuple[int, int]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Set a frame aside.

        Raises
        ------
        StoreError
            If there is no room for it.
        """
        buffer = io.BytesIO()
        frame.write_ipc(buffer, compression="lz4")
        with room():
            start = self._file.seek(0, io.SEEK_END)
            self._file.write(buffer.getbuffer())
        self._places.append((start, buffer.tell()))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for start, length in self._places:
            with room():
                self._file.seek(start)
                content = self._file.read(length)
            yield pl.read_ipc(io.BytesIO(content))

    def close(self) -> None:
        """Free the memory and the disk space."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def room() -> Iterator[None]:
    """Turn an OSError into ours, which says where there is no room and what to do.

    Raises
    ------
    StoreError
        In the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"bars cannot be set aside in {tempfile.gettempdir()} until all are judged: "
            f"{error.strerror or error}; free space, or name another folder in TMPDIR"
        ) from error

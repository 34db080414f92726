"""Bytes on their way between two programs or libraries, without a whole file in memory."""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final

__all__ = ["CHUNK", "Hashed", "fed", "hash_of", "piped"]

CHUNK: Final = 1 << 20
"""Bytes that are held at a time."""


class Hashed(io.RawIOBase):
    """A file to write to, or to read from, that knows the SHA-256 of what passed through it.

    Attributes
    ----------
    size : int
        Bytes that have passed.
    refusal : OSError or None
        Why the file beneath took no more: a library in between may tell it as an error of its own.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        self.refusal: OSError | None = None

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write, and count what the file beneath took."""
        try:
            self._file.write(data)
        except OSError as error:
            self.refusal = error
            raise
        self._pass(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Read, and count what came."""
        data = self._file.read(size)
        self._pass(data)
        return data

    def _pass(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Of all that has passed, 64 hexadecimal digits."""
        return self._hash.hexdigest()


def hash_of(file: IO[bytes]) -> tuple[int, str]:
    """Read a file to its end, and return its size and SHA-256."""
    hashed = Hashed(file)
    while hashed.read(CHUNK):
        pass
    return hashed.size, hashed.sha256


@contextmanager
def piped(consume: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """Give a file to write to, which a function reads in a thread meanwhile.

    Raises
    ------
    Exception
        The function's own, in the place of the broken pipe that it leaves.
    """
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        with os.fdopen(reading, "rb") as reader:
            try:
                consume(reader)
            except BaseException as error:  # noqa: BLE001 - told to the one who writes
                failed.append(error)

    thread = threading.Thread(target=run, name="consumer of a pipe")
    thread.start()
    writer = os.fdopen(writing, "wb")
    try:
        yield writer
        writer.flush()
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            writer.close()
        thread.join()
        if failed:
            raise failed[0] from None
        raise
    finally:
        with suppress(BrokenPipeError):
            writer.close()
        thread.join()
    if failed:
        raise failed[0]


@contextmanager
def fed(produce: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """Give a file to read, which a function writes in a thread meanwhile.

    What is left unread is read at the end: only the last bytes tell whether all were sound.

    Raises
    ------
    Exception
        The function's own, in the place of what its sudden end looked like to the reader.
    """
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        writer = os.fdopen(writing, "wb")
        try:
            produce(writer)
            writer.flush()
        except BaseException as error:  # noqa: BLE001 - told to the one who reads
            failed.append(error)
        finally:
            with suppress(BrokenPipeError):
                writer.close()

    thread = threading.Thread(target=run, name="producer of a pipe")
    thread.start()
    reader = os.fdopen(reading, "rb")
    try:
        yield reader
        while reader.read(CHUNK):
            pass
    except BaseException:
        reader.close()
        thread.join()
        if failed and not isinstance(failed[0], BrokenPipeError):
            raise failed[0] from None
        raise
    finally:
        reader.close()
        thread.join()
    if failed:
        raise failed[0]

"""The end of Redis's append-only file after a machine lost its power.

A file system may have made a file longer without having written what belongs there: then it ends in
zero bytes, and Redis refuses to start. A command ends with a line break, never with a zero byte, so
what is cut off was never written. Half a command before it Redis drops by itself.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tradewind.stack.layout import Layout, writing

__all__ = ["cut_zeros"]

_BLOCK = 1 << 20  # bytes


def cut_zeros(layout: Layout) -> list[Path]:
    """Cut zero bytes off the end of the append-only files, and return copies of what they were.

    Only where no server runs on them. The copies are beside the folder of the files.

    Raises
    ------
    StackError
        If the disk is full or refuses.
    """
    copies = []
    for file in _commands(layout.redis_dir / "appendonlydir"):
        size, length = file.stat().st_size, _length(file)
        if length == size:
            continue
        at = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        copy = layout.redis_dir / f"{file.name}.{size - length}-zeros-{at}"
        with writing(copy):
            shutil.copyfile(file, copy)
            with file.open("rb+") as damaged:
                damaged.truncate(length)
                os.fsync(damaged.fileno())
        copies.append(copy)
    return copies


def _commands(folder: Path) -> Iterator[Path]:
    """Yield the files that hold commands; a snapshot may well end with a zero byte."""
    yield from sorted(each for each in folder.glob("*.aof") if each.is_file())


def _length(file: Path) -> int:
    """Return how long a file is without the zero bytes at its end."""
    with file.open("rb") as content:
        end = content.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            content.seek(start)
            left = content.read(end - start).rstrip(b"\0")
            if left:
                return start + len(left)
            end = start
    return 0

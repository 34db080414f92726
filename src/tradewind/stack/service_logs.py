"""Service logs are kept to a size: a few files of ten megabytes each, as in containers."""

import shutil
from contextlib import suppress
from itertools import pairwise
from typing import Final

from tradewind.stack.layout import Layout

__all__ = ["bound_logs"]

_LARGEST: Final = 10 * 2**20  # bytes
_OLDER: Final = 2  # files beside the one that is written


def bound_logs(layout: Layout) -> None:
    """Move the content of each log that has become large into one with a number.

    It is copied and cut off, not renamed: services hold the file open, and write at its end. What
    they write in the moment between the two is lost. On a full disk nothing is moved.
    """
    for log in sorted(layout.logs_dir.glob("*.log")):
        with suppress(OSError):
            if log.stat().st_size <= _LARGEST:
                continue
            older = [log.with_name(f"{log.name}.{number + 1}") for number in range(_OLDER)]
            for target, source in pairwise(reversed(older)):
                if source.exists():
                    source.replace(target)
            shutil.copyfile(log, older[0])
            with log.open("r+b") as file:
                file.truncate(0)

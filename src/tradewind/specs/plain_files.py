"""Reads users' files so that none of them can block a process or fill its memory.

A name can stand for a pipe that nobody writes to, a device without an end, or a link to nothing.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["kind_of", "read_plain", "refuse_special"]

_KINDS: Final = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def kind_of(mode: int) -> str:
    """Return the kind of file that a mode of `os.stat` means, in words; empty for a plain file."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "a special file")


def refuse_special(path: Path) -> None:
    """Refuse anything but a plain file or a link to one.

    Raises
    ------
    OSError
        Whose `strerror` says in words what is there instead.
    """
    try:
        kind = kind_of(path.stat().st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            target = path.readlink()
            raise OSError(errno.ENOENT, f"it is a link to {target}, which is not there") from None
        raise
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, f"no name of a file: {error}") from error
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind}, not a plain file")


def read_plain(path: Path, most: int) -> bytes:
    """Return what is in a plain file.

    Parameters
    ----------
    path : Path
    most : int
        Bytes; a longer file is refused, however long it is.

    Raises
    ------
    OSError
        If it is no plain file, cannot be read, or is longer (``errno.EFBIG``); `strerror` says so.
    """
    refuse_special(path)
    # Without waiting for a writer, in case it has just become a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most // 1024} KiB")
    return content

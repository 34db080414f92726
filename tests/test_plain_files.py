import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.specs.plain_files import read_plain


def _vast(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Path.mkdir, "it is a folder, not a plain file"),
        (os.mkfifo, "it is a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere, which is not there"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"x" * 2000), "larger than 1 KiB"),
        (_vast, "larger than 1 KiB"),
    ],
)
def test_what_is_no_short_plain_file_is_said_and_not_read(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    make(tmp_path / "file")
    with pytest.raises(OSError, match=told):
        read_plain(tmp_path / "file", 1024)


def test_a_plain_file_is_read_whole_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1024)
    (tmp_path / "link").symlink_to("file")
    assert read_plain(tmp_path / "link", 1024) == b"x" * 1024


def test_a_name_that_no_file_can_have_is_no_crash(tmp_path: Path) -> None:
    for name in ("a\0b", "x" * 300, "none"):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - of many kinds
            read_plain(tmp_path / name, 10)
        assert caught.value.errno in {errno.EINVAL, errno.ENAMETOOLONG, errno.ENOENT}

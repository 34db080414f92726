"""A tree of files as one stream in tar's format, with the hash of each file."""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, cast

from tradewind.errors import BackupError
from tradewind.stack.backup.manifest import File
from tradewind.stack.backup.streams import CHUNK, Hashed
from tradewind.stack.backup.trees import Tree

__all__ = ["pack", "unpack"]

Progress = Callable[[int, int], None]


def pack(tree: Tree, to: IO[bytes], progress: Progress) -> dict[str, File]:
    """Write all files of a tree to a stream, while others may add files to it.

    What names other files is copied before them, and they are looked for after that: so what a
    copied file names was there when it was listed, and is copied, too. A file that is gone by the
    time it is copied is left out.

    Returns
    -------
    dict
        Files by path.
    """
    found: dict[str, File] = {}
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as archive:
        for rank in sorted({tree.rank(path) for path in tree.paths()}):
            paths = [path for path in tree.paths() if tree.rank(path) == rank]
            for count, path in enumerate(paths):
                progress(len(found), len(found) + len(paths) - count)
                try:
                    found[path] = _add(archive, tree, path)
                except FileNotFoundError:
                    continue
    return found


def _add(archive: tarfile.TarFile, tree: Tree, path: str) -> File:
    with tree.reading(path) as (size, file):
        member = tarfile.TarInfo(path)
        member.size = size
        hashed = Hashed(file)
        try:
            # No more than that many bytes: a log may have grown since.
            archive.addfile(member, hashed)
        except OSError as error:
            if "unexpected end of data" in str(error):
                raise BackupError(
                    f"{tree}: {path} became shorter while it was copied: make the backup again"
                ) from error
            raise
    return File(size=hashed.size, sha256=hashed.sha256)


def unpack(
    stream: IO[bytes], expected: Mapping[str, File], what: str
) -> Iterator[tuple[str, File, IO[bytes]]]:
    """Read the files of a stream one by one, each to its end before the next.

    Yields
    ------
    path, what it must be, and a file to read

    Raises
    ------
    BackupError
        If a file is missing, is not what it was, or is not expected.
    """
    missing = set(expected)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or member.name not in missing:
                    raise BackupError(f"{what} has {member.name!r}, which its contents do not name")
                missing.discard(member.name)
                hashed = Hashed(content)
                yield member.name, expected[member.name], cast("IO[bytes]", hashed)
                while hashed.read(CHUNK):
                    pass
                if File(size=hashed.size, sha256=hashed.sha256) != expected[member.name]:
                    raise BackupError(
                        f"{what} is damaged: {member.name} is not what it was. Restore another "
                        "backup"
                    )
    except tarfile.TarError as error:
        raise BackupError(f"{what} is damaged: {error}. Restore another backup") from error
    if missing:
        raise BackupError(
            f"{what} is damaged: {min(missing)} is missing, and {len(missing) - 1} more. Restore "
            "another backup"
        )

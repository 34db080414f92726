"""Restores a backup: checks all of it first, and proves afterwards that all of it is there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from tradewind.errors import BackupError
from tradewind.stack.backup.archive import unpack
from tradewind.stack.backup.kept import Backup
from tradewind.stack.backup.manifest import CONTENTS, Contents, File, refuse_newer
from tradewind.stack.backup.streams import CHUNK, hash_of
from tradewind.stack.backup.system import System
from tradewind.stack.backup.trees import Tree

__all__ = ["Checked", "Restored", "checked", "restore_databases", "restore_tree", "texts"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Checked:
    """A backup of which every part was found to be whole.

    Attributes
    ----------
    backup : Backup
    contents : Contents
    key : str or None
    progress : callable
        Is told what is being restored, and how many of how many files of it.
    """

    backup: Backup
    contents: Contents
    key: str | None
    progress: Progress


@dataclass(frozen=True)
class Restored:
    """What a restore brought back, all of it found to be what it was.

    Attributes
    ----------
    backup : Backup
    contents : Contents
    set_aside : str or None
        Folder of what was there before.
    """

    backup: Backup
    contents: Contents
    set_aside: str | None = None


def checked(backup: Backup, key: str | None, progress: Progress = lambda *_: None) -> Checked:
    """Read all of a backup; nothing is changed.

    Raises
    ------
    BackupError
        If a part is missing or damaged, the key is not its own, or it is of a newer version.
    """
    backup.check(lambda done, total: progress("checking", done, total))
    contents = backup.contents(key)
    refuse_newer(contents)
    for name, files in contents.files.items():
        with backup.part(f"{name}.tar", key) as stream:
            for count, _ in enumerate(unpack(stream, files, f"{backup.name}/{name}.tar")):
                progress(f"checking {name}", count, len(files))
    for name in contents.tables:
        with backup.part(f"{name}.dump", key) as stream:
            while stream.read(CHUNK):  # where it is encrypted, to its last authenticated byte
                pass
    whole = {*(f"{each}.tar" for each in contents.files), CONTENTS}
    whole |= {f"{each}.dump" for each in contents.tables}
    stored = {name.removesuffix(".age") for name in backup.manifest.parts}
    if stored != whole:
        raise BackupError(
            f"{backup.place}/{backup.name} has other parts than its contents say: "
            f"{', '.join(sorted(stored ^ whole))}. Restore another backup"
        )
    return Checked(backup, contents, key, progress)


def texts(name: str, of: Checked) -> dict[str, bytes]:
    """Return the content of a tree of a few small files, by path."""
    with of.backup.part(f"{name}.tar", of.key) as stream:
        files = of.contents.files[name]
        return {path: content.read() for path, _, content in unpack(stream, files, f"{name}.tar")}


def restore_tree(tree: Tree, name: str, of: Checked) -> None:
    """Write all files of a tree, and read them again.

    Raises
    ------
    BackupError
        If one cannot be written, or is not what it was.
    """
    files = of.contents.files[name]
    with of.backup.part(f"{name}.tar", of.key) as stream:
        for count, (path, file, content) in enumerate(
            unpack(stream, files, f"{of.backup.name}/{name}.tar")
        ):
            of.progress(name, count, len(files))
            tree.write(path, file.size, content)
    tree.settle()
    for count, (path, file) in enumerate(files.items()):
        of.progress(f"proving {name}", count, len(files))
        _prove(tree, path, file)


def _prove(tree: Tree, path: str, file: File) -> None:
    try:
        with tree.reading(path) as (_, content):
            found = _file_of(content)
    except FileNotFoundError:
        raise BackupError(f"{tree}: {path} was restored and is gone: restore again") from None
    if found != file:
        raise BackupError(
            f"{tree}: {path} was restored and is not what it was: see the disk, and restore again"
        )


def _file_of(content: IO[bytes]) -> File:
    size, sha256 = hash_of(content)
    return File(size=size, sha256=sha256)


def restore_databases(system: System, of: Checked) -> None:
    """Restore all databases, and count their rows.

    Raises
    ------
    BackupError
        If PostgreSQL refuses, or a table has other rows than it had.
    """
    for count, (name, tables) in enumerate(of.contents.tables.items()):
        of.progress(f"database {name}", count, len(of.contents.tables))
        with of.backup.part(f"{name}.dump", of.key) as stream:
            system.databases.restore(name, stream)
        found = system.databases.counts(name)
        if found != tables:
            wrong = sorted(
                table for table in tables.keys() | found.keys()
                if tables.get(table) != found.get(table)
            )  # fmt: skip
            said = ", ".join(f"{t} has {found.get(t)}, not {tables.get(t)}" for t in wrong[:5])
            raise BackupError(f"database {name}: rows differ from the backup's: {said}")

"""The backups of a place: which there are, whether they are whole, and which may go."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO

from tradewind.errors import BackupError
from tradewind.stack.backup.encryption import SUFFIX, decrypting
from tradewind.stack.backup.manifest import (
    CONTENTS,
    MANIFEST,
    Contents,
    Manifest,
    is_name,
    read,
    time_of,
)
from tradewind.stack.backup.places import Place
from tradewind.stack.backup.streams import hash_of

__all__ = ["Backup", "backups", "find", "prune", "unfinished"]

Progress = Callable[[int, int], None]
_ABANDONED: timedelta = timedelta(days=1)
"""Age of an unfinished backup at which nobody writes to it any more."""


@dataclass(frozen=True)
class Backup:
    """A backup that was finished.

    Attributes
    ----------
    place : Place
    name : str
        Its folder, as in ``2026-11-30T021500Z-4b1f``.
    manifest : Manifest
    """

    place: Place
    name: str
    manifest: Manifest

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.manifest.parts.values())

    def check(self, progress: Progress = lambda *_: None) -> None:
        """Read all parts, and compare them with the manifest; needs no key.

        Raises
        ------
        BackupError
            If one is missing or damaged.
        """
        for count, (name, part) in enumerate(self.manifest.parts.items()):
            progress(count, len(self.manifest.parts))
            with self.place.reading(f"{self.name}/{name}") as file:
                size, sha256 = hash_of(file)
            if (size, sha256) != (part.size, part.sha256):
                raise BackupError(
                    f"{self.place}/{self.name}/{name} is damaged: it has {size} bytes with SHA-256 "
                    f"{sha256[:12]}, and should have {part.size} with {part.sha256[:12]}. Restore "
                    "another backup: `tradewind backups` lists them"
                )

    @contextmanager
    def part(self, name: str, key: str | None) -> Iterator[IO[bytes]]:
        """Give a part to read, decrypted.

        Raises
        ------
        BackupError
            If it is encrypted and there is no key, or another's.
        """
        with ExitStack() as stack:
            if not self.manifest.encrypted_to:
                yield stack.enter_context(self.place.reading(f"{self.name}/{name}"))
                return
            if key is None:
                raise BackupError(
                    f"{self.place}/{self.name} is encrypted to "
                    f"{', '.join(self.manifest.encrypted_to)}: name the file of the private key "
                    "with --key"
                )
            stored = f"{self.name}/{name}{SUFFIX}"
            file = stack.enter_context(self.place.reading(stored))
            yield stack.enter_context(decrypting(file, key, f"{self.place}/{stored}"))

    def contents(self, key: str | None) -> Contents:
        """Read what is in it.

        Raises
        ------
        BackupError
            If there is no key, or another's, or it is not what belongs to this manifest.
        """
        with self.part(CONTENTS, key) as file:
            text = file.read()
        where = f"{self.place}/{self.name}/{CONTENTS}"
        found = read(Contents, text, where)
        if (found.version, found.made) != (self.manifest.version, self.manifest.made):
            raise BackupError(
                f"{where} belongs to a backup of {found.made:%Y-%m-%d %H:%M:%S}, and the manifest "
                f"to one of {self.manifest.made:%Y-%m-%d %H:%M:%S}. Restore another backup"
            )
        return found


def backups(place: Place) -> list[Backup]:
    """Return the backups of a place, oldest first; those that were not finished are none.

    Raises
    ------
    BackupError
        If a manifest is damaged, or the place cannot be read.
    """
    found = []
    for stored in place.names():
        folder, _, name = stored.partition("/")
        if name == MANIFEST and is_name(folder):
            with place.reading(stored) as file:
                text = file.read()
            found.append(Backup(place, folder, read(Manifest, text, f"{place}/{stored}")))
    return found


def find(place: Place, name: str | None) -> Backup:
    """Return the backup of a name, or the newest.

    Raises
    ------
    BackupError
        If there is none.
    """
    stored_names = place.names()
    names = sorted({stored.partition("/")[0] for stored in stored_names})
    whole = [each for each in names if is_name(each) and f"{each}/{MANIFEST}" in stored_names]
    wanted = name or (whole[-1] if whole else None)
    if wanted is None:
        raise BackupError(f"there is no backup in {place}: `tradewind backup DIR` makes one")
    if wanted not in whole:
        said = "was not finished" if wanted in names else "does not exist"
        raise BackupError(
            f"the backup {wanted} in {place} {said}. There are: {', '.join(whole) or 'none'}"
        )
    stored = f"{wanted}/{MANIFEST}"
    with place.reading(stored) as file:
        return Backup(place, wanted, read(Manifest, file.read(), f"{place}/{stored}"))


def unfinished(place: Place, *, now: datetime) -> list[str]:
    """Return the folders of backups that were begun, and that nobody goes on with."""
    names = place.names()
    whole = {name.partition("/")[0] for name in names if name.endswith(f"/{MANIFEST}")}
    begun = {name.partition("/")[0] for name in names} - whole
    return sorted(name for name in begun if is_name(name) and now - time_of(name) > _ABANDONED)


def prune(place: Place, keep: int) -> list[str]:
    """Remove all backups but the newest, and what is left of old ones that were not finished.

    A manifest goes first, so that a backup of which a part is gone is none. To be called when the
    newest was found to be whole.

    Parameters
    ----------
    keep : int
        At least 1.

    Returns
    -------
    list of str
        Names of what was removed.
    """
    names = place.names()
    whole = sorted(
        folder for folder, _, name in (each.partition("/") for each in names)
        if name == MANIFEST and is_name(folder)
    )  # fmt: skip
    gone = whole[:-keep] + unfinished(place, now=datetime.now(UTC))
    for folder in gone:
        remove(place, folder, names)
    return gone


def remove(place: Place, folder: str, names: list[str] | None = None) -> None:
    """Remove a backup, finished or not."""
    stored = [name for name in names or place.names() if name.startswith(f"{folder}/")]
    place.remove(sorted(stored, key=lambda name: not name.endswith(f"/{MANIFEST}")))

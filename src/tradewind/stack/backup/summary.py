"""What a backup, a restore and an upgrade say of themselves, for people and for programs."""

from dataclasses import dataclass
from datetime import datetime

from tradewind.stack.backup.kept import Backup
from tradewind.stack.backup.manifest import Contents

__all__ = ["Listed", "Summary", "listed", "summarised"]


@dataclass(frozen=True)
class Listed:
    """A backup of a place.

    `size` is in bytes; `encrypted_to` are public keys.
    """

    name: str
    made: datetime
    version: str
    size: int
    encrypted_to: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """A backup with what is in it.

    Attributes
    ----------
    place : str
    backup : Listed
    rows : mapping
        Of all tables together, by database.
    files : mapping
        Their number, by tree.
    versions : int
        Registered versions of models.
    incomplete : list of str
        Those whose files were gone when the backup was made.
    removed : list of str
        Backups that were removed, for newer ones are kept.
    set_aside : str or None
        Folder of what was there before a restore.
    """

    place: str
    backup: Listed
    rows: dict[str, int]
    files: dict[str, int]
    versions: int
    incomplete: list[str]
    removed: list[str]
    set_aside: str | None = None


def listed(backup: Backup) -> Listed:
    """Return what a manifest says."""
    manifest = backup.manifest
    return Listed(backup.name, manifest.made, manifest.version, backup.size, manifest.encrypted_to)


def summarised(
    backup: Backup,
    contents: Contents,
    *,
    removed: list[str] | None = None,
    set_aside: str | None = None,
) -> Summary:
    """Return what manifest and contents say."""
    return Summary(
        place=str(backup.place),
        backup=listed(backup),
        rows={name: sum(tables.values()) for name, tables in contents.tables.items()},
        files={name: len(files) for name, files in contents.files.items()},
        versions=len(contents.registered),
        incomplete=[f"{each.model} version {each.version}" for each in contents.incomplete()],
        removed=removed or [],
        set_aside=set_aside,
    )

"""Makes a backup while the system works."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import IO, Any, cast
from urllib.parse import urlsplit

from tradewind.errors import BackupError
from tradewind.stack.backup import kept
from tradewind.stack.backup.archive import pack
from tradewind.stack.backup.databases import Snapshot
from tradewind.stack.backup.encryption import SUFFIX, encrypting
from tradewind.stack.backup.kept import Backup
from tradewind.stack.backup.manifest import (
    CONTENTS,
    MANIFEST,
    Contents,
    File,
    Manifest,
    Version,
    is_name,
    known_migrations,
    name_of,
    time_of,
)
from tradewind.stack.backup.places import Place
from tradewind.stack.backup.streams import Hashed
from tradewind.stack.backup.system import System

__all__ = ["Made", "make_backup"]

Progress = Callable[[str, int, int], None]
# A version's model, and the run that has its evidence: both are folders among MLflow's files.
_VERSIONS = """
    SELECT v.name, v.version, COALESCE(v.storage_location, v.source), r.artifact_uri
    FROM model_versions v LEFT JOIN runs r ON r.run_uuid = v.run_id
    ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Made:
    """A backup that was just made.

    Attributes
    ----------
    backup : Backup
    contents : Contents
    removed : list of str
        Names of older backups that were removed for it.
    """

    backup: Backup
    contents: Contents
    removed: list[str]


def make_backup(
    system: System,
    place: Place,
    *,
    keep: int | None = None,
    encrypt_to: Sequence[str] = (),
    progress: Progress = lambda *_: None,
) -> Made:
    """Back a system up to a place, and read back what was written.

    Parameters
    ----------
    keep : int, optional
        How many backups are left there; all, if not given.
    encrypt_to : sequence of str
        Public keys of age.
    progress : callable
        Is told what is being copied, and how many of how many files of it.

    Raises
    ------
    BackupError
        If it could not be made: what there is of it was removed, other backups are as they were.
    """
    if keep is not None and keep < 1:
        raise BackupError(f"of the backups in {place} 1 or more must be kept, not {keep}")
    _refuse_within(system, place)
    name = _free_name(place)
    parts: dict[str, File] = {}
    try:
        contents = _copy(system, _Writer(place, name, tuple(encrypt_to), parts), progress)
        manifest = Manifest(
            version=version("tradewind"),
            made=contents.made,
            encrypted_to=tuple(encrypt_to),
            parts=parts,
        )
        backup = Backup(place, name, manifest)
        backup.check(lambda done, total: progress("checking", done, total))
        place.put(f"{name}/{MANIFEST}", manifest.model_dump_json(indent=2).encode())
    except BaseException:
        with suppress(BackupError):  # the place may be what failed
            kept.remove(place, name)
        raise
    return Made(backup, contents, [] if keep is None else kept.prune(place, keep))


def _refuse_within(system: System, place: Place) -> None:
    """Refuse a place that would be backed up, with all backups in it, each time."""
    for name, tree in system.trees.items():
        if tree.address is not None and place.address.startswith(tree.address):
            raise BackupError(
                f"{place} is in {tree}, which is backed up itself ({name}): name another place"
            )


def _free_name(place: Place) -> str:
    """Return a name that comes after all others, those of the same second among them."""
    names = (stored.partition("/")[0] for stored in place.names())
    last = max((time_of(name) for name in names if is_name(name)), default=None)
    now = datetime.now(UTC).replace(microsecond=0)
    return name_of(now if last is None or last < now else last + timedelta(seconds=1))


@dataclass(frozen=True)
class _Writer:
    """Writes the parts of one backup, and notes what each must be."""

    place: Place
    name: str
    encrypt_to: tuple[str, ...]
    parts: dict[str, File]

    @contextmanager
    def part(self, name: str) -> Iterator[IO[bytes]]:
        stored = name + (SUFFIX if self.encrypt_to else "")
        with self.place.writing(f"{self.name}/{stored}") as file:
            hashed = Hashed(file)
            if self.encrypt_to:
                with encrypting(hashed, self.encrypt_to) as plain:
                    yield plain
            else:
                yield cast("IO[bytes]", hashed)
        self.parts[stored] = File(size=hashed.size, sha256=hashed.sha256)


def _copy(system: System, writer: _Writer, progress: Progress) -> Contents:
    tables: dict[str, dict[str, int]] = {}
    files: dict[str, dict[str, File]] = {}
    with system.databases.one_moment() as snapshots:
        made = datetime.now(UTC)
        registered = _registered(snapshots["mlflow"]) if "mlflow" in snapshots else ()
        for count, (name, snapshot) in enumerate(snapshots.items()):
            progress(f"database {name}", count, len(snapshots))
            with writer.part(f"{name}.dump") as part:
                tables[name] = system.databases.dump(snapshot, part)
    for name, tree in system.trees.items():
        with writer.part(f"{name}.tar") as part:
            files[name] = pack(tree, part, _named(progress, name))
    contents = Contents(
        version=version("tradewind"), made=made, migrations=known_migrations(), tables=tables,
        files=files, registered=registered,
    )  # fmt: skip
    with writer.part(CONTENTS) as part:
        part.write(contents.model_dump_json().encode())
    return contents


def _named(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _registered(mlflow: Snapshot) -> tuple[Version, ...]:
    if mlflow.rows("SELECT to_regclass('model_versions')") == [(None,)]:
        return ()
    return tuple(
        Version(model=str(model), version=_number(version), folders=_folders(places))
        for model, version, *places in mlflow.rows(_VERSIONS)
    )


def _number(value: Any) -> int:  # noqa: ANN401 - a row of a database
    return int(value)


def _folders(places: Sequence[object]) -> tuple[str, ...]:
    """Return the folders of addresses such as ``mlflow-artifacts:/1/models/m-1/artifacts``."""
    found = (urlsplit(str(each)) for each in places if each)
    return tuple(each.path.strip("/") for each in found if each.scheme == "mlflow-artifacts")

"""What a backup says of itself: its parts, for everybody; and its contents, for who may read them.

`Manifest` is in the clear, and enough to see whether all parts are whole. `Contents` names files,
tables and versions, so it is a part like the others, and encrypted with them.
"""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tradewind.errors import BackupError

__all__ = [
    "CONTENTS", "FORMAT", "MANIFEST", "Contents", "File", "Manifest", "Version",
    "known_migrations", "name_of", "read", "refuse_newer",
]  # fmt: skip

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CONTENTS: Final = "contents.json"
_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{6}Z)-[0-9a-f]{4}")
_TIME: Final = "%Y-%m-%dT%H%M%SZ"
_T = TypeVar("_T", bound=BaseModel)


def _relative(path: str) -> str:
    """Refuse what would be written outside of the folder that it is restored to."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) in {"", "."} or "\0" in path:
        raise ValueError(f"{path!r} is no path below a folder")
    return path


_Path = Annotated[str, AfterValidator(_relative)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Record):
    """Size and hash of a file, or of a part as it is kept."""

    size: int = Field(ge=0)
    sha256: _Sha256


class Version(_Record):
    """A registered model's version, and its folders among MLflow's files."""

    model: str
    version: int
    folders: tuple[str, ...]


class Manifest(_Record):
    """Which parts a backup has.

    Attributes
    ----------
    version : str
        Of tradewind.
    made : datetime
        The moment that it is of.
    encrypted_to : tuple of str
        Public keys of age; empty where it is not encrypted.
    parts : mapping
        By name of the file: what it must be.
    """

    format: Literal[1] = FORMAT
    version: str
    made: AwareDatetime
    encrypted_to: tuple[str, ...]
    parts: Mapping[_Path, File]


class Contents(_Record):
    """What is in the parts.

    Attributes
    ----------
    version, made
        As in the manifest, which is not encrypted.
    migrations : tuple of str
        Names of the trading book's migrations that the code knew.
    tables : mapping
        Rows by table, by database.
    files : mapping
        Files by path, by tree.
    registered : tuple of Version
        All versions of all models.
    """

    version: str
    made: AwareDatetime
    migrations: tuple[str, ...]
    tables: Mapping[str, Mapping[str, int]]
    files: Mapping[str, Mapping[_Path, File]]
    registered: tuple[Version, ...]

    def incomplete(self) -> list[Version]:
        """Return versions of which a folder has no file: they were damaged when this was made."""
        folders = {
            str(parent)
            for path in self.files.get("artifacts", {})
            for parent in PurePosixPath(path).parents
        }
        return [each for each in self.registered if not folders.issuperset(each.folders)]


def name_of(made: datetime) -> str:
    """Return a name for a backup's folder: names sort as their times do, and none comes twice."""
    return f"{made.astimezone(UTC).strftime(_TIME)}-{secrets.token_hex(2)}"


def is_name(text: str) -> bool:
    """Whether a folder is named as a backup is."""
    return _NAME.fullmatch(text) is not None


def time_of(name: str) -> datetime:
    """Return the time that a backup's folder is named after."""
    return datetime.strptime(name.rpartition("-")[0], _TIME).replace(tzinfo=UTC)


def read(kind: type[_T], text: bytes, where: str) -> _T:
    """Read a manifest or contents.

    Raises
    ------
    BackupError
        If it is damaged.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"][:2]))
        raise BackupError(
            f"{where} is damaged, or of a newer tradewind ({field}: {first['msg']}). Restore "
            "another backup, or install the version that made it"
        ) from error


def known_migrations() -> tuple[str, ...]:
    """Return the names of the trading book's migrations, oldest first."""
    # Of files, for the stack imports none of what it runs.
    folder = Path(__file__).parents[2] / "trading" / "migrations" / "versions"
    return tuple(sorted(path.stem for path in folder.glob("r*.py")))


def refuse_newer(contents: Contents) -> None:
    """Refuse a backup that this version cannot read: schemas are not migrated back.

    Raises
    ------
    BackupError
        If it was made by a newer version.
    """
    unknown = set(contents.migrations) - set(known_migrations())
    if unknown or _ordered(contents.version) > _ordered(version("tradewind")):
        raise BackupError(
            f"this backup was made by tradewind {contents.version}, which is newer than the "
            f"installed {version('tradewind')}"
            + (f" (it has {', '.join(sorted(unknown))})" if unknown else "")
            + ": install that version or a newer one, then restore"
        )


def _ordered(text: str) -> tuple[tuple[int, ...], bool]:
    """Return a version such that a release comes after its own development versions."""
    numbers = re.match(r"\d+(?:\.\d+)*", text)
    found = tuple(int(each) for each in numbers[0].split(".")) if numbers else ()
    return found, numbers is not None and numbers[0] == text

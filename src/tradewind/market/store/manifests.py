"""Manifests of snapshots: one small JSON file each, written once and whole.

Local manifests are written by hand, for pyarrow's local file system writes in place: a process
killed meanwhile would leave half a file. Manifests in an object store are read with deltalake's own
client, which takes the settings that the tables take. pyarrow's clients have other names for them,
and obstore would be one more client beside deltalake's.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tradewind.errors import SnapshotError, StoreError
from tradewind.foreign import ForeignNames
from tradewind.market.sessions import SessionCalendar
from tradewind.market.store.table import is_remote

if TYPE_CHECKING:
    from deltalake.fs import DeltaStorageHandler

__all__ = ["FOREIGN", "Manifests", "SnapshotInfo", "name_of"]

FOREIGN: Final = (
    ForeignNames(
        "deltalake",
        tuple(
            f"deltalake.fs:DeltaStorageHandler.{name}"
            for name in ("get_file_info", "get_file_info_selector", "open_input_file")
        ),
        "read manifests from an object store with the settings that its tables are read with",
        "snapshots in an object store cannot be read",
    ),
)

_ID: Final = re.compile(r"[0-9a-f]{64}")
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SnapshotInfo(BaseModel):
    """What a snapshot contains, and where its bars are.

    Attributes
    ----------
    id : str
        Hash of source and content, 64 hexadecimal digits.
    source, table_version
        Which version of which table holds the bars.
    symbols, start, end, as_of
        What was asked for; None where nothing limits it.
    created : datetime
        When the snapshot was first made.
    rows : int
        Bars.
    content_hash : str
        `tradewind.market.store.bar_store.content_hash` of the bars.
    calendar : SessionCalendar, optional
        The calendar of the sessions, with the source's exceptions when the snapshot was first made;
        None in old snapshots, which did not keep it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _Sha256
    source: str
    table_version: int = Field(ge=0)
    symbols: tuple[str, ...]
    start: date | None
    end: date | None
    as_of: AwareDatetime | None
    created: AwareDatetime
    rows: int = Field(ge=1)
    content_hash: _Sha256
    calendar: SessionCalendar | None = None


def name_of(source: str, content_hash: str) -> str:
    """Return the id of the snapshot of some content of a source."""
    text = f"tradewind snapshot 1\n{source}\n{content_hash}\n"
    return hashlib.sha256(text.encode()).hexdigest()


class _Files(Protocol):
    """Where manifests are kept."""

    def read(self, name: str) -> bytes | None: ...
    def write(self, name: str, content: bytes) -> None: ...
    def names(self) -> list[str]: ...


class Manifests:
    """The manifests of a store.

    Parameters
    ----------
    root, storage_options
        As `tradewind.market.store.table.storage` returns them.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str]) -> None:
        self._where = f"{root}/snapshots"
        self._files: _Files = (
            _Objects(self._where, dict(storage_options))
            if is_remote(root)
            else _Directory(Path(self._where))
        )

    def find(self, snapshot_id: str) -> SnapshotInfo | None:
        """Return a manifest, or None if there is none of that id.

        Raises
        ------
        SnapshotError
            If the id is malformed, or the manifest is damaged or cannot be read.
        """
        if not _ID.fullmatch(snapshot_id):
            raise SnapshotError(
                f"{snapshot_id!r} is no snapshot id; it must be 64 hexadecimal digits in lower case"
            )
        name = f"{snapshot_id}.json"
        try:
            content = self._files.read(name)
            info = None if content is None else SnapshotInfo.model_validate_json(content)
        except OSError as error:
            raise SnapshotError(
                f"the manifest {self._where}/{name} cannot be read: {error}; make it readable, or "
                "see whether the object store is up"
            ) from error
        except ValidationError as error:
            raise self._damaged(name) from error
        if info is not None and not (
            snapshot_id == info.id == name_of(info.source, info.content_hash)
        ):
            raise self._damaged(name)
        return info

    def keep(self, info: SnapshotInfo) -> None:
        """Write a manifest, whole or not at all.

        Of two processes that write the same id at the same time, the later one's is kept;
        both name the same content.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        content = json.dumps(info.model_dump(mode="json"), indent=2) + "\n"
        try:
            self._files.write(f"{info.id}.json", content.encode())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(
                f"snapshot {info.id} cannot be written to {self._where}: {error}; free space, make "
                "it writable, or see whether the object store is up"
            ) from error

    def all(self) -> list[SnapshotInfo]:
        """Return every manifest, oldest first.

        Raises
        ------
        SnapshotError
            If one is damaged or cannot be read.
        """
        try:
            names = self._files.names()
        except OSError as error:
            raise SnapshotError(
                f"the manifests in {self._where} cannot be listed: {error}"
            ) from error
        ids = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        found = [self.find(snapshot_id) for snapshot_id in ids if _ID.fullmatch(snapshot_id)]
        return sorted((f for f in found if f is not None), key=lambda f: (f.created, f.id))

    def _damaged(self, name: str) -> SnapshotError:
        return SnapshotError(
            f"the manifest {self._where}/{name} is damaged; take the same snapshot again, which "
            "replaces it, or remove it"
        )


@dataclass(frozen=True)
class _Directory:
    """Files of a local directory."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []

    def write(self, name: str, content: bytes) -> None:
        """Write to a temporary file, flush it to disk, rename it, flush the directory."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary_name = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".tmp")
        temporary = Path(temporary_name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        directory = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@dataclass(frozen=True)
class _Objects:
    """Objects under an address, by the client that deltalake brings; a put is atomic."""

    address: str
    options: dict[str, str]

    def read(self, name: str) -> bytes | None:
        files = self._client()
        if not files.get_file_info([name])[0].is_file:
            return None
        with files.open_input_file(name) as file:
            content: bytes = file.read()
        return content

    def names(self) -> list[str]:
        from pyarrow.fs import FileSelector  # type: ignore[import-untyped]

        found = self._client().get_file_info_selector(FileSelector("", allow_not_found=True))
        return [info.base_name for info in found]

    def write(self, name: str, content: bytes) -> None:
        # deltalake 1.6 cannot write what pyarrow hands it. One row is one line of JSON.
        row = pl.LazyFrame([json.loads(content)], infer_schema_length=None)
        row.sink_ndjson(f"{self.address}/{name}", storage_options=self.options)

    def _client(self) -> "DeltaStorageHandler":
        from deltalake.fs import DeltaStorageHandler

        return DeltaStorageHandler(self.address, self.options)

"""Files of the system by relative path: of a directory, of a bucket, or a few that are named."""

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol

from tradewind.endpoints import ObjectStore
from tradewind.errors import BackupError
from tradewind.stack.backup.streams import CHUNK

__all__ = ["MARKET", "Folder", "Objects", "Rank", "Tree", "Words"]

Rank = Callable[[str], int]
"""By path: what names other files comes before them."""


class Tree(Protocol):
    """Files that a backup has, or a restore writes."""

    @property
    def rank(self) -> Rank:
        """Return what tells which files are copied first."""

    @property
    def address(self) -> str | None:
        """Return where all is that begins with it, as `Place.address` is; None for a few files."""

    def paths(self) -> list[str]:
        """Return the paths of all files there are now."""

    def reading(self, path: str) -> Any:  # noqa: ANN401 - a context manager
        """Give size and file, for a path; raises `FileNotFoundError` if it is gone."""

    def write(self, path: str, size: int, content: IO[bytes]) -> None:
        """Write a file, in the place of one of that name."""

    def settle(self) -> None:
        """Wait until all that was written is on disk."""


def _first(_: str) -> int:
    return 0


def MARKET(path: str) -> int:  # noqa: N802 - a constant that happens to be a function
    """Rank the files of bars: a manifest names a version of a table, its log names files of bars.

    ``_last_checkpoint`` names a checkpoint, and is written over when there is a newer one.
    """
    if path.startswith("snapshots/"):
        return 0
    if path.endswith("/_delta_log/_last_checkpoint"):
        return 1
    return 2 if "/_delta_log/" in path else 3


@dataclass(frozen=True)
class Folder:
    """A directory of this machine, or of it what is named.

    Attributes
    ----------
    root : Path
    rank : callable
    only : tuple of str
        Files of it that count; empty for all.
    mode : int
        Of the files that are written.
    owner : int or None
        User, and group, who they are given to.
    """

    root: Path
    rank: Rank = _first
    only: tuple[str, ...] = ()
    mode: int = 0o644
    owner: int | None = None

    def __str__(self) -> str:
        return str(self.root)

    @property
    def address(self) -> str | None:
        """Return where all of it is; None where only some files are of it."""
        return None if self.only else f"{self.root.resolve()}/"

    def paths(self) -> list[str]:
        """Return the paths of all files there are now."""
        if self.only:
            return [name for name in self.only if (self.root / name).is_file()]
        found = []
        for folder, _, files in os.walk(self.root, onerror=_unreadable):
            below = os.path.relpath(folder, self.root)
            found += [os.path.normpath(os.path.join(below, name)) for name in files]  # noqa: PTH118 - many
        # A pipe is none of ours; nor is what is still being written.
        return sorted(
            path for path in found
            if not _UNFINISHED.search(path) and (self.root / path).is_file()
        )  # fmt: skip

    @contextmanager
    def reading(self, path: str) -> Iterator[tuple[int, IO[bytes]]]:
        """Give size and file, for a path."""
        try:
            file = (self.root / path).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BackupError(
                f"cannot read {self.root / path}: {error.strerror}; make it readable"
            ) from error
        with file:
            yield os.fstat(file.fileno()).st_size, file

    def write(self, path: str, size: int, content: IO[bytes]) -> None:  # noqa: ARG002
        """Write a file, in the place of one of that name."""
        target = self.root / path
        try:
            made = [folder for folder in target.parents if not folder.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            with open(target, "xb", opener=self._open) as file:
                shutil.copyfileobj(content, file, CHUNK)
                if self.owner is not None:
                    os.fchown(file.fileno(), self.owner, self.owner)
            for folder in made if self.owner is not None else ():
                os.chown(folder, self.owner or 0, self.owner or 0)
        except OSError as error:
            raise BackupError(
                f"cannot write {target}: {error.strerror or error}; free space, or make it "
                "writable, and restore again"
            ) from error

    def _open(self, path: str, flags: int) -> int:
        return os.open(path, flags, self.mode)

    def settle(self) -> None:
        """Wait until all that was written is on disk."""
        os.sync()


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise BackupError(
            f"cannot read the folder {error.filename}: {error.strerror}; make it readable"
        ) from error


@dataclass(frozen=True)
class Objects:
    """Objects of a bucket, below a prefix.

    Attributes
    ----------
    bucket, prefix : str
    options : mapping
        Of the client: ``endpoint_url``, ``aws_access_key_id`` and so on, as boto3 has them.
    rank : callable
    """

    bucket: str
    prefix: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    rank: Rank = _first
    _clients: list[Any] = field(default_factory=list, repr=False)

    @classmethod
    def at(cls, store: ObjectStore, login: tuple[str, str]) -> "Objects":
        """Return the objects of a store, for a login of key and secret."""
        key, secret = login
        told = {"endpoint_url": store.endpoint, "aws_access_key_id": key,
                "aws_secret_access_key": secret, "region_name": store.region}  # fmt: skip
        told |= {"verify": store.ca_bundle} if store.ca_bundle else {}
        return cls(store.bucket, f"{store.prefix}/" if store.prefix else "", told)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def address(self) -> str | None:
        """Return where all of it is."""
        return f"{self._client.meta.endpoint_url}/{self.bucket}/{self.prefix}"

    @property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 has no types
        if not self._clients:
            import boto3

            self._clients.append(boto3.Session().client("s3", **self.options))
        return self._clients[0]

    def paths(self) -> list[str]:
        """Return the paths of all files there are now."""
        with self._told("the list of objects"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        paths = (key.removeprefix(self.prefix) for key in keys)
        # A key that ends in a slash is what some programs make a folder of.
        return sorted(path for path in paths if path and path[-1] != "/" and path not in _PASSING)

    @contextmanager
    def reading(self, path: str) -> Iterator[tuple[int, IO[bytes]]]:
        """Give size and file, for a path."""
        from botocore.exceptions import ClientError

        with self._told(path):
            try:
                found = self._client.get_object(Bucket=self.bucket, Key=self.prefix + path)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                    raise FileNotFoundError(path) from error
                raise
            with found["Body"] as body:
                yield found["ContentLength"], body

    def write(self, path: str, size: int, content: IO[bytes]) -> None:
        """Write a file, in the place of one of that name."""
        with self._told(path):
            if size < _WHOLE:  # a single request; a file in parts takes three
                self._client.put_object(
                    Bucket=self.bucket, Key=self.prefix + path, Body=content.read()
                )
            else:
                self._client.upload_fileobj(content, self.bucket, self.prefix + path)

    def settle(self) -> None:
        """Do nothing: an object store answers when what it got is on disk."""

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            raise BackupError(f"{self}: {what}: {error}; see whether the store is up") from error


_UNFINISHED: Final = re.compile(r"(^|/)[._][^/]*\.tmp$")
_WHOLE: Final = 8 * CHUNK
# MLflow's health check writes it and deletes it again.
_PASSING: Final = frozenset({"tradewind-probe"})


class Words:
    """A few small files whose content is not kept as files: a mapping of names to texts."""

    rank: Rank = staticmethod(_first)
    address: str | None = None

    def __init__(self, texts: Mapping[str, bytes], keep: Callable[[str, bytes], None]) -> None:
        self._texts = dict(texts)
        self._keep = keep

    def paths(self) -> list[str]:
        """Return the paths of all files there are now."""
        return sorted(self._texts)

    @contextmanager
    def reading(self, path: str) -> Iterator[tuple[int, IO[bytes]]]:
        """Give size and file, for a path."""
        yield len(self._texts[path]), io.BytesIO(self._texts[path])

    def write(self, path: str, size: int, content: IO[bytes]) -> None:
        """Write a file, in the place of one of that name."""
        self._texts[path] = content.read(size)
        self._keep(path, self._texts[path])

    def settle(self) -> None:
        """Do nothing: who keeps them has them on disk."""

"""Where backups are kept: a directory, or a bucket of an object store."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from tradewind.errors import BackupError
from tradewind.stack.backup.streams import piped

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["Bucket", "Directory", "Place", "place_of"]


class Place(Protocol):
    """Files with names of one folder, as in ``2026-11-30T021500Z-4b1f/manifest.json``."""

    @property
    def address(self) -> str:
        """Return where it is; what is in there has an address that begins with it."""

    def names(self) -> list[str]:
        """Return the names of all files."""

    def writing(self, name: str) -> Any:  # noqa: ANN401 - a context manager
        """Give a file to write to; on disk, or in the bucket, when it is left."""

    def reading(self, name: str) -> Any:  # noqa: ANN401 - a context manager
        """Give a file to read."""

    def put(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""

    def remove(self, names: list[str]) -> None:
        """Remove files, in this order."""


def place_of(address: str, home: Path) -> Place:
    """Return the place of an address: a directory (a relative one starts at `home`), or s3://."""
    if address.startswith("s3://"):
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        return Bucket(bucket, prefix.strip("/"))
    return Directory((home / address).absolute())


class Directory:
    """A directory that only its owner can read, and its group if asked: it has passwords in it."""

    def __init__(self, root: Path, *, group: bool = False) -> None:
        self._root = root
        self._mode = 0o640 if group else 0o600

    def __str__(self) -> str:
        return str(self._root)

    @property
    def address(self) -> str:
        """Return where it is."""
        return f"{self._root.resolve()}/"

    def names(self) -> list[str]:
        """Return the names of all files."""
        with self._told(self._root):
            return sorted(
                f"{folder.name}/{file.name}"
                for folder in (self._root.iterdir() if self._root.is_dir() else ())
                if folder.is_dir()
                for file in folder.iterdir()
            )

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to write to; all of it is kept when it is left."""
        path = self._root / name
        with self._told(path):
            folder = self._mode | (self._mode & 0o444) >> 2  # who may read may enter
            path.parent.mkdir(mode=folder, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to read."""
        path = self._root / name
        with self._told(path), path.open("rb") as file:
            yield file

    def put(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        path = self._root / name
        new = f"{name}.new"
        with self.writing(new) as file:
            file.write(content)
        with self._told(path):
            (self._root / new).replace(path)
            for folder in (path.parent, self._root):
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def remove(self, names: list[str]) -> None:
        """Remove files, in this order."""
        with self._told(self._root):
            for name in names:
                (self._root / name).unlink(missing_ok=True)
            for folder in {(self._root / name).parent for name in names}:
                with suppress(OSError):  # somebody else's file is in it
                    folder.rmdir()

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise BackupError(f"{error.filename or path} is missing") from error
        except OSError as error:
            mend = "make it accessible, or name another directory"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                there = next(folder for folder in (path, *path.parents) if folder.exists())
                free = shutil.disk_usage(there).free / 2**20
                mend = (
                    f"the disk is full ({free:.0f} MB free): free space, or name another directory"
                )
            where = error.filename or path
            raise BackupError(f"{where}: {error.strerror or error}; {mend}") from error


class Bucket:
    """Objects of S3, below a prefix; address and login as every client of S3 finds them.

    They are in ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
    ``AWS_DEFAULT_REGION``, or in ``~/.aws``.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._made: BaseClient | None = None

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def address(self) -> str:
        """Return where it is."""
        return f"{self._client.meta.endpoint_url}/{self._bucket}/{self._prefix}"

    @property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 has no types
        if self._made is None:
            import boto3

            with self._told("the login"):
                self._made = boto3.Session().client("s3")
        return self._made

    def names(self) -> list[str]:
        """Return the names of all files."""
        with self._told("the list of objects"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        names = sorted(key.removeprefix(self._prefix) for key in keys)
        return [name for name in names if name.count("/") == 1]

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to write to; all of it is kept when it is left."""

        def upload(reader: IO[bytes]) -> None:
            with self._told(name):
                self._client.upload_fileobj(reader, self._bucket, self._prefix + name)

        with piped(upload) as writer:
            yield writer

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to read."""
        with self._told(name):
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
            with body:
                yield body

    def put(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        with self._told(name):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)

    def remove(self, names: list[str]) -> None:
        """Remove files, in this order."""
        with self._told("objects to be removed"):
            for name in names:  # one by one: the order is what keeps a half-removed backup from use
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in {"NoSuchKey", "404"}:
                raise BackupError(f"{self}: {what} is missing") from error
            raise BackupError(f"{self}: {what}: {error}; see its login and its rights") from error
        except (BotoCoreError, Boto3Error) as error:
            raise BackupError(
                f"{self}: {what}: {error}. Address and login come from AWS_ENDPOINT_URL, "
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION, or ~/.aws"
            ) from error

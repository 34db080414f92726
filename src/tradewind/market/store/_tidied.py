"""What was joined and deleted of a table's files, and how large a store is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tradewind.errors import StoreError
from tradewind.market.store.table import is_remote

__all__ = ["Tidied", "bytes_below"]


@dataclass(frozen=True)
class Tidied:
    """What was joined and deleted of a source's table.

    Attributes
    ----------
    joined : int
        Files fewer that a reader of the newest bars opens.
    files, bytes : int
        Deleted, or to be deleted.
    """

    joined: int
    files: int
    bytes: int


def bytes_below(root: str, storage_options: Mapping[str, str]) -> int:
    """Return the bytes of everything below a store's root.

    Parameters
    ----------
    root, storage_options
        As `tradewind.market.store.table.storage` returns them.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        if not is_remote(root):
            files = (path.stat() for path in Path(root).rglob("*") if path.is_file())
            return sum(stat.st_blocks * 512 for stat in files)
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import FileSelector  # type: ignore[import-untyped]

        files_there = DeltaStorageHandler(root, dict(storage_options)).get_file_info_selector(
            FileSelector("", allow_not_found=True, recursive=True)
        )
        return sum(each.size or 0 for each in files_there)
    except OSError as error:
        raise StoreError(
            f"the size of {root} cannot be told: {error}; make it readable, or see whether the "
            "object store is up"
        ) from error

"""A workspace: the folder that holds what a desk writes, all else comes from the package."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.desk.containers import container_files
from tradewind.errors import WorkspaceError
from tradewind.host.new_files import write_new
from tradewind.host.paths import unusable
from tradewind.shipped import shipped

__all__ = ["Workspace", "make_workspace"]

_TEMPLATE: Final = "workspace"
_AS_SHIPPED: Final = (
    "strategies/momentum.yaml", "sources/sample.yaml", "dags/README.md", ".env.example",
)  # fmt: skip


@dataclass(frozen=True)
class Workspace:
    """A workspace that was made.

    Attributes
    ----------
    folder : Path
        Absolute.
    files : tuple of str
        What was written there, as paths from it, in order.
    """

    folder: Path
    files: tuple[str, ...]


def make_workspace(folder: Path) -> Workspace:
    """Write a workspace with one strategy that works, its source, and what containers need.

    From a development install nothing is written for containers: it has no wheel.

    Parameters
    ----------
    folder : Path
        It may be there already, with other files in it.

    Raises
    ------
    WorkspaceError
        If the folder has such a file, cannot be used under its name or cannot be written. Nothing
        was written then.
    """
    folder = folder.absolute()
    if problem := unusable(folder):
        raise WorkspaceError(
            f"a stack cannot run in a folder of this name: {problem}. Name another"
        )
    texts = {name: shipped(name).read_bytes() for name in _AS_SHIPPED} | dict(_template())
    texts |= container_files()
    files = tuple(sorted(texts))
    if there := [name for name in files if _is_there(folder / name)]:
        raise WorkspaceError(
            f"{folder} has {', '.join(there)} already: nothing was written. Take that away, or "
            "name another folder"
        )
    try:
        write_new(folder, {name: texts[name] for name in files})
    except OSError as error:
        raise WorkspaceError(
            f"cannot write {error.filename or folder}: {error.strerror or error}. Nothing was left "
            "there; mend that, or name another folder"
        ) from error
    return Workspace(folder, files)


def _template() -> Iterator[tuple[str, bytes]]:
    root = shipped(_TEMPLATE)
    for path in root.rglob("*"):
        # Where tests were run in the template itself, Python has left its own files.
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts):
            yield path.relative_to(root).as_posix(), path.read_bytes()


def _is_there(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except OSError:  # a folder on the way is closed: writing will say so
        return False

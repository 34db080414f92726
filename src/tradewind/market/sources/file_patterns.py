"""Files that match a source's pattern, found without walking over the whole disk."""

import glob
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tradewind.errors import SourceError

__all__ = ["files_of"]

_MOST: Final = 200_000


def files_of(pattern: str, base: Path, *, most: int = _MOST) -> list[Path]:
    """Return the files that match a pattern, sorted.

    Parameters
    ----------
    pattern : str
        With ``*``, ``?``, ``[]``, and ``**`` for any folders; none of them matches a name that
        begins with a dot.
    base : Path
        Where a relative pattern starts.
    most : int
        Files and folders that may be looked at.

    Raises
    ------
    SourceError
        If more would have to be looked at.
    """
    whole = base / pattern
    walk = _Walk(whole, most)
    found = walk.matches(Path(whole.anchor), whole.parts[1:], frozenset())
    return sorted({path for path in found if not os.path.isdir(path)})  # noqa: PTH112 - never raises


class _Walk:
    def __init__(self, pattern: Path, most: int) -> None:
        self._pattern, self._most, self._looked_at = pattern, most, 0

    def matches(
        self, folder: Path, parts: tuple[str, ...], above: frozenset[tuple[int, int]]
    ) -> Iterator[Path]:
        """Yield what matches the rest of a pattern below a folder; `above` has its parents."""
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self.matches(folder, rest, above) if rest else ()
            for entry in self._entries(folder):
                if entry.name.startswith(".") or not _is_folder(entry):
                    continue
                status = entry.stat()
                here = (status.st_dev, status.st_ino)
                if here not in above:  # a link to a parent folder would never end
                    yield from self.matches(folder / entry.name, parts, above | {here})
        elif not glob.has_magic(part):
            path = folder / part
            if not rest:
                yield from [path] if os.path.lexists(path) else []
            elif os.path.isdir(path):  # noqa: PTH112
                yield from self.matches(path, rest, above)
        else:
            for entry in self._entries(folder):
                hidden = entry.name.startswith(".") and not part.startswith(".")
                if hidden or not fnmatchcase(entry.name, part):
                    continue
                path = folder / entry.name
                if not rest:
                    yield path
                elif _is_folder(entry):
                    yield from self.matches(path, rest, above)

    def _entries(self, folder: Path) -> "list[os.DirEntry[str]]":
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._looked_at += 1
                    if self._looked_at > self._most:
                        raise SourceError(
                            f"{self._pattern}: more than {self._most} files and folders would have "
                            "to be looked at; begin options.path with the folder that has the files"
                        )
                    found.append(entry)
        except OSError:  # a folder that may not be read is passed over, as by any pattern
            return []
        return found


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False

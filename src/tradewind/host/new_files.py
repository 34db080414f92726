"""Files that are written where there are none: all of them, or nothing."""

from collections.abc import Mapping
from pathlib import Path

__all__ = ["is_script", "write_new"]


def is_script(content: bytes) -> bool:
    """Whether a file with that content is one to be executed."""
    return content.startswith(b"#!")


def write_new(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write new files, and the folders that they need; scripts can be executed.

    Parameters
    ----------
    folder : Path
    files : mapping of str to bytes
        Content by path from the folder.

    Raises
    ------
    FileExistsError
        If one of them is there already.
    OSError
        If one cannot be written. Whatever is raised, what was written is taken back.
    """
    made: list[Path] = []
    try:
        for name, content in files.items():
            path = folder / name
            _make_folder(path.parent, made)
            with path.open("xb") as file:
                made.append(path)
                file.write(content)
            if is_script(content):
                path.chmod(path.stat().st_mode | 0o111)
    except BaseException:  # such as Ctrl-C
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, made)
    folder.mkdir()
    made.append(folder)

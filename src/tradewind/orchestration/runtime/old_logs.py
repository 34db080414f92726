"""Removes logs of Airflow's that are old: those of runs that are gone, and the DAG processor's."""

import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tradewind.errors import HousekeepingError

__all__ = ["Files", "remove_old_files", "remove_old_run_logs", "size_of"]

log = logging.getLogger(__name__)

_DAG: Final = "dag_id="
_RUN: Final = "run_id="
_NAMED: Final = 5


@dataclass
class Files:
    """What was removed, or would be; and what is left.

    Attributes
    ----------
    files, removed : int
        Number and bytes of the files that are gone.
    left : int
        Bytes that are still there.
    """

    files: int = 0
    removed: int = 0
    left: int = 0
    refused: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise if something could not be removed.

        Raises
        ------
        HousekeepingError
        """
        if self.refused:
            some = "; ".join(self.refused[:_NAMED])
            raise HousekeepingError(
                f"{len(self.refused)} old logs could not be removed: {some}. Give them to the user "
                "that runs Airflow's web server, or remove them by hand; all others are gone"
            )


def remove_old_run_logs(
    folder: Path,
    gone: Callable[[str, Collection[str]], Collection[str]],
    *,
    now: datetime,
    keep_days: int,
    dry_run: bool = False,
) -> Files:
    """Remove the logs of runs that Airflow does not know any more.

    Parameters
    ----------
    folder : Path
        Airflow's ``[logging] base_log_folder``: a folder for each DAG, in it one for each run.
    gone : callable
        Given the id of a DAG and ids of runs, returns those of them that there are no more.
    now : datetime
        With a time zone.
    keep_days : int
        How long a log is kept after its last line; 0 keeps all.
    dry_run : bool
        Whether files are only counted.
    """
    total = Files()
    for dag in _folders(folder, _DAG):
        old, runs = {}, {}
        for run in _folders(dag, _RUN):
            files = list(_files(run))
            total.left += sum(size for _, size, _ in files)
            runs[run.name.removeprefix(_RUN)] = run
            if _is_old([changed for _, _, changed in files], now, keep_days):
                old[run.name.removeprefix(_RUN)] = files
        for name in gone(dag.name.removeprefix(_DAG), list(old)) if old else ():
            _remove_folder(runs[name], old[name], total, dry_run=dry_run)
        if not dry_run:
            _remove_if_empty(dag)
    return total


def remove_old_files(
    folder: Path, *, now: datetime, keep_days: int, dry_run: bool = False, but: str = ""
) -> Files:
    """Remove files that were not changed for some time, and folders that are empty then.

    Parameters
    ----------
    folder : Path
    now : datetime
        With a time zone.
    keep_days : int
        0 keeps all.
    dry_run : bool
        Whether files are only counted.
    but : str
        Folders whose names begin with this are left alone, if given.
    """
    total = Files()
    for path, size, changed in _files(folder, but):
        total.left += size
        if not _is_old([changed], now, keep_days):
            continue
        if not dry_run:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                total.refused.append(f"{path}: {error.strerror}")
                continue
            for parent in path.parents:
                if parent == folder or not _remove_if_empty(parent):
                    break
            total.left -= size
        total.files += 1
        total.removed += size
    return total


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder and below it."""
    return sum(size for _, size, _ in _files(folder))


def _is_old(changed: Collection[float], now: datetime, keep_days: int) -> bool:
    before = (now - timedelta(days=keep_days)).timestamp()
    return bool(keep_days) and max(changed, default=0.0) < before


def _remove_folder(
    folder: Path, files: Collection[tuple[Path, int, float]], total: Files, *, dry_run: bool
) -> None:
    size = sum(size for _, size, _ in files)
    if not dry_run:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return  # another run of this was faster
        except OSError as error:
            total.refused.append(f"{folder}: {error.strerror}")
            return
        total.left -= size
    total.files += len(files)
    total.removed += size


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _folders(folder: Path, prefix: str) -> list[Path]:
    with suppress(FileNotFoundError):
        return sorted(path for path in folder.iterdir() if path.name.startswith(prefix))
    return []


def _files(folder: Path, but: str = "") -> Iterator[tuple[Path, int, float]]:
    """Yield path, bytes on the disk and time of change of each file; links are not followed."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:  # a task may make a folder for itself alone where its logs are
        log.warning("%s cannot be read by this user, and is left alone", folder)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not (but and entry.name.startswith(but)):
                yield from _files(Path(entry.path))
            continue
        with suppress(FileNotFoundError):
            stat = entry.stat(follow_symlinks=False)
            yield Path(entry.path), stat.st_blocks * 512, stat.st_mtime

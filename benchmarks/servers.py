"""Servers of others: run from environments of their own, and ended with all that came of them."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.others import environment

__all__ = ["Servers", "families", "servers"]

# What a user's shell says to these is not meant for those that are measured.
FOREIGN = ("AIRFLOW", "CELERY_", "DAGSTER_", "MLFLOW", "_MLFLOW", "PG", "PREFECT_", "TRADEWIND_")
GRACE = 20.0


@dataclass
class Servers:
    """Programs of one environment, in one folder, each with a log of its own.

    Attributes
    ----------
    programs : Path
        Folder of the environment's programs.
    folder : Path
        Where they run and write their logs.
    variables : dict of str to str
        Their whole environment.
    """

    programs: Path
    folder: Path
    variables: dict[str, str]
    _running: list[psutil.Popen] = field(default_factory=list)

    def run(self, *command: str) -> str:
        """Run a program to its end, and return what it printed."""
        return subprocess.run(
            self._found(command),
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=self._log(command).open("ab"),
            text=True,
            check=True,
        ).stdout

    def start(self, *command: str) -> None:
        """Start a program that keeps running."""
        with self._log(command).open("ab") as log:
            self._running.append(
                psutil.Popen(
                    self._found(command),
                    cwd=self.folder,
                    env=self.variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def pids(self) -> list[int]:
        """Return what runs: those that were started, and all their children."""
        return families(each.pid for each in self._running)

    def stop(self) -> None:
        """End everything, the last started first; kill what does not end in time."""
        left = [psutil.Process(pid) for pid in self.pids()]
        for each in reversed(self._running):
            if each.is_running():
                each.terminate()
        for late in psutil.wait_procs(left, timeout=GRACE)[1]:
            late.kill()
        self._running.clear()

    def _found(self, command: tuple[str, ...]) -> list[str]:
        return [str(self.programs / command[0]), *command[1:]]

    def _log(self, command: tuple[str, ...]) -> Path:
        return self.folder / ("-".join(word for word in command[:2] if "/" not in word) + ".log")


def families(leaders: Iterable[int]) -> list[int]:
    """Return the ids of those that still run, and of all their children."""
    found: list[int] = []
    for pid in leaders:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(pid).children(recursive=True)
            found += [pid, *(child.pid for child in children)]
    return found


@contextmanager
def servers(name: str, folder: Path, variables: Mapping[str, str]) -> Iterator[Servers]:
    """Yield an environment to start servers of, and stop them afterwards.

    Parameters
    ----------
    name : str
        Of the environment.
    folder : Path
        Made if it is not there.
    variables : mapping of str to str
        Added to this process's own environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    programs = environment(name)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    path = f"{programs}{os.pathsep}{inherited['PATH']}"
    local = {"PATH": path, "NO_PROXY": "127.0.0.1,localhost"}
    found = Servers(programs, folder, {**inherited, **local, **variables})
    try:
        yield found
    finally:
        found.stop()

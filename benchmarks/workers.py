"""Processes that do a piece of work once for each line they are given, and print its seconds."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["worker"]


@contextmanager
def worker(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
) -> Iterator[Callable[[], float]]:
    """Start a process that has worked once already, yield what asks for more, and end it."""
    with subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, told = process.stdin, process.stdout
        if asked is None or told is None:
            raise RuntimeError("no pipes")

        def once() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        with asked:
            once()
            yield once

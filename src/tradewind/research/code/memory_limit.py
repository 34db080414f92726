"""A limit to how much memory foreign code may take in this process."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["free_memory", "memory_limit"]

_SHARE: Final = 0.9  # of what is free: the rest is for what runs beside it
_CGROUPS: Final = (
    # What the second version of control groups says in a container, and the first.
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


@contextmanager
def memory_limit() -> Iterator[int]:
    """Have the system refuse memory beyond nine tenths of what is free, in bytes.

    Else it would end the process, or another one: of a machine that is out of memory it ends the
    largest, which may be the database. What is refused is a MemoryError in Python and NumPy.
    """
    free = int(_SHARE * free_memory())
    before = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [_taken() + free, *(bound for bound in before if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), before[1]))
    try:
        yield free
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def free_memory() -> int:
    """Return how many bytes can be had: of the machine, or of the container if it has less."""
    found = [_kib("/proc/meminfo", "MemAvailable:")]
    for limit, usage in _CGROUPS:
        with suppress(OSError, ValueError):  # "max" is no number, and no limit
            found.append(int(Path(limit).read_text()) - int(Path(usage).read_text()))
    return max(min(found), 0)


def _taken() -> int:
    return _kib("/proc/self/status", "VmData:")


def _kib(file: str, name: str) -> int:
    for line in Path(file).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"{file} has no line {name}")

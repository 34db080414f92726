"""A limit to how much memory foreign code may take in this process."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["free_memory", "memory_limit"]

_SHARE: Final = 0.9  # of what is free: the rest is for what runs beside it
_CGROUP: Final = Path("/sys/fs/cgroup")
# What control groups say of a container, in their second version and in their first.
_LIMITS: Final = (
    ("memory.max", "memory.current", "memory.stat", ""),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_",
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
    for limit, usage, statistics, prefix in _LIMITS:
        with suppress(OSError, ValueError):  # "max" is no number, and no limit
            bound, used = (int((_CGROUP / name).read_text()) for name in (limit, usage))
            lines = dict(line.split() for line in (_CGROUP / statistics).read_text().splitlines())
            # Pages of files, which the kernel gives up for others.
            cached = sum(int(lines[f"{prefix}{age}_file"]) for age in ("active", "inactive"))
            found.append(bound - used + cached)
    return max(min(found), 0)


def _taken() -> int:
    return _kib("/proc/self/status", "VmData:")


def _kib(file: str, name: str) -> int:
    for line in Path(file).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"{file} has no line {name}")

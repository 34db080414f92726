"""What tests of more than one folder need."""

import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TypeVar

import psutil

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody has, each another; Linux gives none of them to others."""
    found: list[socket.socket] = []
    with ExitStack() as opened:
        for number in random.sample(range(20000, 32768), 1000):
            with suppress(OSError):
                found.append(opened.enter_context(socket.create_server(("127.0.0.1", number))))
            if len(found) == count:
                return [each.getsockname()[1] for each in found]
    raise AssertionError("a thousand ports are taken")


def wait_until(
    condition: Callable[[], object], seconds: float, *, of: Callable[[], object] | None = None
) -> None:
    """Wait for a condition; fail with what `of` returns when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            found = f": {of()}" if of else ""
            raise AssertionError(f"not so after {seconds} s{found}")
        time.sleep(0.5)


def typed(value: object, kind: type[T]) -> T:
    """Return a value as the kind that it is, where a library's types leave that open.

    polars says of the largest value of a column that it may be of any kind, or none.
    """
    assert isinstance(value, kind), value
    return value


def kill_tree(pid: int) -> None:
    """Kill a process and all that came of it, with no chance to say or finish anything."""
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            each.kill()

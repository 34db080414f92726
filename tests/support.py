"""What tests of more than one folder need."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress

import psutil


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, each another."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


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


def kill_tree(pid: int) -> None:
    """Kill a process and all that came of it, with no chance to say or finish anything."""
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            each.kill()

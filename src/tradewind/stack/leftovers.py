"""One supervisor a state directory, and what is left of one that was killed."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tradewind.errors import StackError
from tradewind.stack.layout import Layout, writing
from tradewind.stack.processes import belongs_to_another, session_members, stop_processes
from tradewind.stack.state import read_state

__all__ = ["clear_leftovers", "only_supervisor"]


@contextmanager
def only_supervisor(layout: Layout) -> Iterator[None]:
    """Hold the lock of the state directory; it goes with the process, however that ends.

    Raises
    ------
    StackError
        If another supervisor holds it.
    """
    with writing(layout.lock_file):
        file = layout.lock_file.open("a")
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"another `tradewind up` runs on {layout.root}: see `tradewind status`"
            ) from None
        yield


def clear_leftovers(layout: Layout) -> list[int]:
    """End processes that a killed supervisor left behind, and return their pids.

    To be called by the holder of the lock only.
    """
    state = read_state(layout)
    found: list[int] = []
    if state is not None:
        for record in state.services.values():
            if record.pid is None or record.pid not in state.sessions():
                continue
            if belongs_to_another(record.pid, record.started):
                continue
            found += session_members([record.pid])[record.pid]
    stop_processes([pid for pid in found if not _is_postgres(pid)], grace=5.0)
    for pid in filter(_is_postgres, found):
        os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + 15.0
    while time.monotonic() < deadline and any(map(_is_postgres, found)):
        time.sleep(0.1)
    stop_processes([pid for pid in found if psutil.pid_exists(pid)], grace=5.0)
    return found


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

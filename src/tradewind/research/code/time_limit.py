"""A limit to how long foreign code may run in this process."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["time_limit"]

_RINGS: Final = 30
"""How often code is asked to end, each second once, before its process is ended."""


class _Overdue(BaseException):
    """Time is up: nothing that catches an Exception and goes on may catch this."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise a TimeoutError in code that takes longer; only the main thread can be interrupted.

    A timer that runs already, such as that of Airflow's tasks, runs on afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    rings = 0

    def ring(*_: object) -> None:
        nonlocal rings
        rings += 1
        if rings > _RINGS:  # it catches whatever is raised, and goes on: the next one is the end
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        raise _Overdue(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    # Raised again and again, for the code may catch it.
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    except _Overdue as error:
        raise TimeoutError(str(error)).with_traceback(error.__traceback__) from None
    finally:
        remains = max(left - (time.monotonic() - began), 0.001) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, remains, interval)

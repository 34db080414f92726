"""Runs tasks as Airflow does, notices at once when one has ended, and leaves none alone.

Named by ``[sdk] coordinators`` in ``config/airflow.env``. Airflow's supervisor asks whether the
task's process has ended each time one of its sockets says something, the last time when they are
closed. A process closes them a moment before it is over; asked in that moment, it still runs, and
the supervisor, with nothing left to listen to, asks again when the next heartbeat is due. Such a
task keeps its worker's slot for up to five seconds after its end.

And a task whose supervisor was killed would work on, unheard, beside the next try of itself. So the
kernel ends it with its supervisor.
"""

import ctypes
import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from airflow.sdk.execution_time.coordinator import BaseCoordinator
from airflow.sdk.execution_time.supervisor import ActivitySubprocess, _subprocess_main

__all__ = ["PromptCoordinator"]

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class PromptSubprocess(ActivitySubprocess):
    """A task's process that ends with its supervisor, and whose end wakes that up."""

    @classmethod
    def start(
        cls,
        *,
        target: Callable[[], None] = _subprocess_main,
        **task: Any,  # noqa: ANN401
    ) -> Self:
        """Fork it and have it begin; Airflow says what it needs for that."""
        supervisor = os.getpid()

        def end_with_supervisor() -> None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != supervisor:  # it died before the kernel was asked
                os.kill(os.getpid(), signal.SIGKILL)
            target()

        return super().start(target=end_with_supervisor, **task)

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        with _end_noticed(self.pid, self.selector):
            return super().wait()


class PromptCoordinator(BaseCoordinator):
    """Runs tasks in Python, each in a `PromptSubprocess`."""

    def execute_task(self, **task: Any) -> BaseCoordinator.ExecutionResult:  # noqa: ANN401
        """Run a task to its end; Airflow says what it needs for that."""
        process = PromptSubprocess.start(**task)
        return self.ExecutionResult(process.wait(), process.final_state)


@contextmanager
def _end_noticed(pid: int, selector: selectors.BaseSelector) -> Iterator[None]:
    """Wake a selector up when a process has ended; Airflow keeps two handlers with each file."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # it is over and known to be, or the kernel is older than 5.3
        yield
        return
    with os.fdopen(descriptor, "rb", buffering=0) as ended:
        # What is to be done when there is something to read, and then if there will be no more.
        handlers = (lambda _: False, selector.unregister)
        selector.register(ended, selectors.EVENT_READ, handlers)
        yield

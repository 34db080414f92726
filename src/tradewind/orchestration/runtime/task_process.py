"""A task's process, which ends with its supervisor at the latest, and whose end is noticed at once.

Airflow's supervisor asks whether the task's process has ended each time one of its sockets says
something, the last time when they are closed. A process closes them a moment before it is over;
asked in that moment, it still runs, and the supervisor, with nothing left to listen to, asks again
when the next heartbeat is due. Such a task keeps its worker's slot for up to five seconds after its
end.

And a task whose supervisor was killed would work on, unheard, beside the next try of itself. So the
kernel ends it with its supervisor.

A task tells by itself why it fails, once its DAG is read. If its process ends before that, or is
killed, Airflow's supervisor says at most how, sends no alert, and leaves it to the scheduler to
find that it ended. Here the supervisor says why: in the task's log, to Airflow, and in an alert
when no try is left. Such an end counts like an error of the task's own, if it was no outage.
"""

import os
import selectors
import signal
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

import structlog
from airflow.sdk.execution_time.supervisor import (
    MAX_FAILED_HEARTBEATS,
    ActivitySubprocess,
    _subprocess_main,
)
from airflow.utils.state import TaskInstanceState

from tradewind.desk.failure_reasons import REASON, error_of
from tradewind.host.parents import end_with
from tradewind.orchestration import alerts
from tradewind.orchestration.cleaning_request import DAG_ID, TASK_ID, TOKEN
from tradewind.orchestration.retries import OWN_ERRORS, OWN_TRIES, is_outage

__all__ = ["OWN_BUNDLE", "PromptSubprocess"]

OWN_BUNDLE: Final = "specs"
"""Whose tasks have more tries than their own errors may use; others are tried as they say."""

# What Airflow says of a DAG that its file no longer has, and then that it will not look again.
_GONE: Final = {
    "Dag not found during start up": "the file that its DAG was read from no longer has that DAG",
    "Task not found in Dag during start up": "its DAG no longer has this task",
}
_ASKED_TO_END = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})


class _LastError:
    """Passes a log's entries on, and keeps what is wrong by them.

    That is the last exception, or else the first error: what follows from it is told after it.
    """

    def __init__(self) -> None:
        self._exception = ""
        self._event = ""

    @property
    def text(self) -> str:
        return self._exception or self._event

    def __call__(
        self,
        _logger: Any,  # noqa: ANN401 - as structlog declares it
        level: str,
        entry: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        self._exception = error_of(entry) or self._exception
        if level in {"error", "critical"} and not self._event:
            event = str(entry.get("event", ""))
            self._event = _GONE.get(event, event)
        return entry


class PromptSubprocess(ActivitySubprocess):
    """A task's process that ends with its supervisor, and whose end wakes that up and is told."""

    last_error: _LastError
    own: bool

    @classmethod
    def start(
        cls,
        *,
        target: Callable[[], None] = _subprocess_main,
        logger: Any = None,  # noqa: ANN401
        **task: Any,  # noqa: ANN401
    ) -> Self:
        """Fork it and have it begin; Airflow says what it needs for that."""
        supervisor = os.getpid()
        last_error = _LastError()
        if logger is not None:
            # structlog tells neither; wrapped once more, Airflow would not find the log's file.
            inner, processors = logger._logger, logger._processors  # noqa: SLF001
            logger = structlog.wrap_logger(
                inner, processors=[last_error, *processors], **structlog.get_context(logger)
            )

        # Airflow keeps a task's token from the task; this one has to show it.
        asks = (task["what"].dag_id, task["what"].task_id) == (DAG_ID, TASK_ID)
        token = str(getattr(task["client"].auth, "token", "")) if asks else ""

        def end_with_supervisor() -> None:
            end_with(supervisor)
            if token:
                os.environ[TOKEN] = token
            try:
                target()
            except SystemExit as end:
                if end.code and is_outage(end):
                    raise SystemExit(os.EX_TEMPFAIL) from end
                raise

        made = super().start(target=end_with_supervisor, logger=logger, **task)
        made.last_error = last_error
        made.own = task["bundle_info"].name == OWN_BUNDLE
        return made

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        with _end_noticed(self.pid, self.selector):
            return super().wait()

    def update_task_state_if_needed(self) -> None:
        """Tell Airflow how the task ended, if its process has not."""
        told = self._terminal_state is not None or self._pending_terminal_state_msg is not None
        if self._exit_code == 0 or told:
            super().update_task_state_if_needed()  # type: ignore[no-untyped-call]
            return
        reason = self._reason()
        self.process_log.error(
            f"The task's process has ended before it could say why: {reason}", **{REASON: reason}
        )
        if self._should_retry and self._another_try():
            # Airflow takes this state for one that the process has sent by itself.
            self.client.task_instances.retry(
                self.id, datetime.now(UTC), self._rendered_map_index, retry_reason=reason
            )
            self._terminal_state = TaskInstanceState.UP_FOR_RETRY
            return
        self._should_retry = False
        super().update_task_state_if_needed()  # type: ignore[no-untyped-call]
        if self.ti is not None:
            alerts.task_died(
                dag_id=self.ti.dag_id,
                run_id=self.ti.run_id,
                task_id=self.ti.task_id,
                try_number=self.ti.try_number,
                reason=reason,
            )

    def _reason(self) -> str:
        code = int(self._exit_code or 0)
        if self.failed_heartbeats >= MAX_FAILED_HEARTBEATS:
            return "Airflow's web server did not answer for so long that the task was ended"
        if code == -signal.SIGKILL:
            return (
                "it was killed, most likely for memory: give the machine or the worker more, run "
                "fewer tasks at once, or make it smaller"
            )
        if code < 0:
            return f"it was ended by the signal {signal.Signals(-code).name}"
        return self.last_error.text or f"its process ended with exit code {code}, without a word"

    def _another_try(self) -> bool:
        """Tell whether this end, and the task's own errors, leave it a try."""
        code = int(self._exit_code or 0)
        outage = code == os.EX_TEMPFAIL or self.failed_heartbeats >= MAX_FAILED_HEARTBEATS
        if not self.own or outage or -code in _ASKED_TO_END:
            return True
        store = self.client.task_state_store
        known = store.get(self.id, OWN_ERRORS)
        count = int(getattr(known, "value", 0) or 0) + 1
        store.set(self.id, OWN_ERRORS, count, None)
        return count < OWN_TRIES


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

"""Airflow's CeleryExecutor in a scheduler that is woken up when there is something to do.

It also finds within a minute tasks that nobody works on any more. A task that Redis has no room for
waits, while Airflow's own executor would call it failed. If a task failed and could not say why,
the executor asks Celery, and `tradewind.orchestration.runtime.unheard` writes the reason into its
log. A run of nonsense fails when it begins (`tradewind.orchestration.runtime.begun_runs`).

Named by ``[core] executor`` in ``config/airflow.env``.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from airflow.listeners.listener import get_listener_manager
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.utils.state import TaskInstanceState
from celery import states
from celery.backends.database import DatabaseBackend

from tradewind.foreign import ForeignNames
from tradewind.orchestration.runtime import abandoned, begun_runs, unheard
from tradewind.orchestration.runtime.bell import Bell

__all__ = ["FOREIGN", "PromptCeleryExecutor"]

_EXECUTOR: Final = "airflow.providers.celery.executors.celery_executor:CeleryExecutor"

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-providers-celery",
        tuple(
            f"{_EXECUTOR}.{name}"
            for name in (
                "_send_workloads", "_send_workloads_to_celery", "celery_app", "event_buffer",
                "fail", "queued_callbacks", "queued_connection_tests", "queued_tasks",
                "running", "update_task_state", "workloads",
            )
        ),
        "find tasks that nobody works on, and keep those that Redis has no room for",
        "Airflow's executor finds them after five to ten minutes, and calls the others failed",
    ),
    ForeignNames(
        "celery",
        ("celery.backends.database.session:SessionManager.forked",),
        "keep the scheduler's connection to Celery's results open",
        "it opens one for each question",
    ),
)  # fmt: skip

FAILED = TaskInstanceState.FAILED

# How late the scheduler may be for events without a ring: schedules, triggers, workers that died.
AT_MOST_SECONDS = 0.5
# There may be more work than one turn takes; meanwhile the tasks that were sent can begin.
AFTER_SENDING_SECONDS = 0.1
# How often a lost message is sent again. A worker that throws messages away loses every one.
MOST_LOSSES = 12
_THROWN_AWAY = (
    f"its message was lost {MOST_LOSSES + 1} times on the way to a worker. Does a worker of its "
    "queue throw away what it cannot read, as one of another version may? Its log says so: see "
    "`tradewind logs`"
)
# What a worker fails with before a task's process has begun: errors of Celery's and httpx's.
_MEANT: Final = {
    "NotRegistered": "its worker does not know Airflow's task: it is of another version, or of "
    "another application",
    "TransportError": "its worker does not reach Airflow's web server: compare [core] "
    "execution_api_server_url there with the server's address",
    "HTTPStatusError": "its worker was refused by Airflow's web server: compare its version, its "
    "secrets and [core] execution_api_server_url with the server's",
}
_DIED = (
    f"its worker died: the task has not been heard of for {abandoned.SILENT_AFTER:.0f} s, in which "
    "the web server answered"
)


class PromptCeleryExecutor(CeleryExecutor):
    """The CeleryExecutor, whose heartbeat in an idle scheduler lasts until the bell rings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what Airflow gives it
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._bell = Bell()
        self._watch = abandoned.Watch(
            abandoned.tasks_of,
            lambda queues: abandoned.waiting_or_given_out(self.celery_app, queues),
            abandoned.web_server_answers,
        )
        self._looks = FOREIGN[0].usable() and all(each.usable() for each in abandoned.FOREIGN)
        self._refused = 0
        self._unsent: dict[Any, str] = {}
        self._losses: Counter[Any] = Counter()

    def start(self) -> None:
        """Start with a connection to Celery's results that stays open."""
        super().start()
        for listener in (unheard, begun_runs):
            if all(names.usable() for names in listener.FOREIGN):
                get_listener_manager().add_listener(listener)
        results = self.celery_app.backend
        if isinstance(results, DatabaseBackend):
            # The backend keeps connections only in processes that Celery has forked; elsewhere it
            # opens one for each query.
            results.session_manager.forked = True

    def heartbeat(self) -> None:
        """Send what is queued, see what has ended, and wait until there may be more."""
        if not self._looks:
            super().heartbeat()
            self._bell.wait(AFTER_SENDING_SECONDS)
            return
        queued = bool(self.queued_tasks or self.queued_callbacks or self.queued_connection_tests)
        self._refused = 0
        super().heartbeat()
        if queued and not self._refused:
            self._bell.wait(AFTER_SENDING_SECONDS)
        elif not self.event_buffer:
            self._bell.wait(AT_MOST_SECONDS)

    def sync(self) -> None:
        """Find tasks that have ended, and tasks that nobody works on."""
        super().sync()
        if not self._looks:
            return
        by_message = {result.task_id: key for key, result in self.workloads.items()}
        found = self._watch.look(by_message.keys())
        for message in found.lost:
            key = by_message[message]
            self._losses[key] += 1
            if self._losses[key] > MOST_LOSSES:
                del self._losses[key]
                self.fail(key, info=_THROWN_AWAY)
                continue
            self.log.warning("the message of %s was lost; it is sent again", key)
            if abandoned.requeue(message):
                self.running.discard(key)
                self.workloads.pop(key, None)
        for message in found.silent:
            self.fail(by_message[message], info=_DIED)

    def update_task_state(self, key: Any, state: str, info: Any) -> None:  # noqa: ANN401
        """Record that a task has ended; why, Celery's database says only if it is asked."""
        failed = state in {states.FAILURE, states.REVOKED}
        if failed or state == states.SUCCESS:  # a worker had it: a loss of later is the first again
            self._losses.pop(key, None)
        if self._looks and failed and info is None and key in self.workloads:
            info = _words(self.workloads[key].result)
        super().update_task_state(key, state, info)

    def _send_workloads(self, workload_tuples_to_send: Sequence[Any]) -> None:
        """Send tasks. Airflow records that one cannot be sent, but not why; this does."""
        self._unsent.clear()
        super()._send_workloads(workload_tuples_to_send)
        if not self._looks:
            return
        for key, why in self._unsent.items():
            if self.event_buffer.get(key) == (FAILED, None):
                self.event_buffer[key] = (FAILED, f"it could not be sent to a worker: {why}")

    def _send_workloads_to_celery(self, workload_tuples_to_send: Sequence[Any]) -> list[Any]:
        """Send tasks; those that Redis had no memory for stay queued and are sent again."""
        answers = super()._send_workloads_to_celery(workload_tuples_to_send)
        sent = [each for each in answers if not _no_memory(getattr(each[2], "exception", None))]
        self._refused = len(answers) - len(sent)
        for key, _, result in sent:
            if (error := getattr(result, "exception", None)) is not None:
                self._unsent[key] = _words(error)
        if self._refused:
            self.log.error(
                "%d tasks wait: Redis is at its maxmemory, see `tradewind doctor`",
                self._refused,
            )
        return sent


def _words(error: object) -> str:
    """Return kind and message of an error as Celery stores it, after what it means if known."""
    if not isinstance(error, BaseException):
        return str(error)
    told = f"{type(error).__name__}: {error}"
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return next((f"{why} ({told})" for name, why in _MEANT.items() if name in kinds), told)


def _no_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it wraps, came from a full Redis."""
    from redis.exceptions import OutOfMemoryError

    while error is not None:
        if isinstance(error, OutOfMemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False

"""Tasks that nobody works on any more, found by the scheduler within a minute.

Airflow's own rules are times. A task that waits for ten minutes is sent again, however many wait
before it. A task whose heartbeat is five minutes old has failed, though perhaps only the web server
was away. This module looks for the task itself:

- A queued task has a message, which waits or is with a worker. A task without one was lost: by a
  worker that died when it took it, or by a scheduler that died before it sent it.
- A running task sends a heartbeat to the web server every few seconds. If its last heartbeat stays
  the same while the web server answers at each look, it has no process left. While the web server
  is away, no task counts as abandoned.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tradewind.foreign import ForeignNames

__all__ = [
    "FOREIGN",
    "Abandoned",
    "Task",
    "Watch",
    "requeue",
    "tasks_of",
    "waiting_or_given_out",
    "web_server_answers",
]

log = logging.getLogger(__name__)

FOREIGN: Final = (
    ForeignNames(
        "kombu",
        tuple(
            f"kombu.transport.redis:Channel.{name}"
            for name in (
                "_q_for_pri", "conn_or_acquire", "global_keyprefix", "priority_steps",
                "unacked_key",
            )
        ),
        "see whether a task's message still waits or was given out",
        "a message that was lost is sent again by Airflow, after ten minutes",
    ),
    ForeignNames(
        "apache-airflow-core",
        tuple(
            f"airflow.models.taskinstance:TaskInstance.{name}"
            for name in (
                "external_executor_id", "last_heartbeat_at", "queue", "queued_by_job_id",
                "queued_dttm", "state",
            )
        ),
        "see which tasks run, and have one sent again as the same try",
        "Airflow's own rules find them, after five to ten minutes",
    ),
)  # fmt: skip

# Seconds between two looks.
LOOK_EVERY: Final = 5.0
# A message on its way from the broker to a worker is with neither for a moment.
LOST_AFTER: Final = 10.0
# Longer than a heartbeat without an answer may take (30 s), and the one after it.
SILENT_AFTER: Final = 40.0
_ASK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Task:
    """A task that was sent to a worker and has not ended."""

    message_id: str
    running: bool
    """Whether a worker has begun it; else it is queued."""
    queue: str
    last_beat: datetime | None


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Ids of the messages of tasks that nobody works on."""

    lost: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


@dataclass
class Watch:
    """Remembers since when each task has looked abandoned.

    Parameters
    ----------
    tasks : callable
        Returns the queued or running tasks that belong to messages with these ids.
    messages : callable
        Returns the ids of all messages that wait in these queues, or are with a worker.
    answers : callable
        Tells whether the web server answers.
    clock : callable
        Returns seconds, which a change of the system's time does not move.
    """

    tasks: Callable[[Collection[str]], Collection[Task]]
    messages: Callable[[Collection[str]], Collection[str]]
    answers: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _due: float = 0.0
    _missing: dict[str, float] = field(default_factory=dict)
    _beats: dict[str, tuple[datetime | None, float]] = field(default_factory=dict)

    def look(self, message_ids: Collection[str]) -> Abandoned:
        """Return which of these are abandoned; none if it is not yet time for another look."""
        now = self.clock()
        if now < self._due or not message_ids:
            return Abandoned()
        self._due = now + LOOK_EVERY
        try:
            tasks = self.tasks(message_ids)
            return Abandoned(lost=self._lost(tasks, now), silent=self._silent(tasks, now))
        except _unreachable() as error:  # then nothing is known of any task
            log.warning("cannot look for tasks that nobody works on: %s", error)
            self._missing.clear()
            self._beats.clear()
            return Abandoned()

    def _lost(self, tasks: Collection[Task], now: float) -> tuple[str, ...]:
        queued = {task.message_id: task.queue for task in tasks if not task.running}
        known = set(self.messages(set(queued.values()))) if queued else set()
        self._missing = {
            message: self._missing.get(message, now) for message in queued.keys() - known
        }
        return tuple(m for m, since in self._missing.items() if now - since >= LOST_AFTER)

    def _silent(self, tasks: Collection[Task], now: float) -> tuple[str, ...]:
        running = {task.message_id: task.last_beat for task in tasks if task.running}
        if not running or not self.answers():
            self._beats.clear()
            return ()
        before, self._beats = self._beats, {}
        for message, beat in running.items():
            known = before.get(message)
            self._beats[message] = known if known and known[0] == beat else (beat, now)
        return tuple(m for m, (_, since) in self._beats.items() if now - since >= SILENT_AFTER)


def tasks_of(message_ids: Collection[str]) -> list[Task]:
    """Return from Airflow's database the queued or running tasks of these messages."""
    from airflow.models.taskinstance import TaskInstance as TI  # noqa: N817 - Airflow's own name
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    wanted = select(TI.external_executor_id, TI.state, TI.queue, TI.last_heartbeat_at).where(
        TI.external_executor_id.in_(message_ids),
        TI.state.in_([TaskInstanceState.QUEUED, TaskInstanceState.RUNNING]),
    )
    with create_session() as session:
        rows = session.execute(wanted).all()
    return [
        Task(str(message), state == TaskInstanceState.RUNNING, str(queue), beat)
        for message, state, queue, beat in rows
    ]


def waiting_or_given_out(app: Any, queues: Collection[str]) -> set[str]:  # noqa: ANN401
    """Return the ids of a Celery app's messages that wait in queues, or that a worker has."""
    with _redis(app) as (redis, channel):
        prefix = channel.global_keyprefix
        texts = [
            text
            for queue in queues
            for step in channel.priority_steps
            for key in (channel._q_for_pri(queue, step),)  # noqa: SLF001 - kombu has no other
            for text in redis.lrange(f"{prefix}{key}", 0, -1)
        ]
        # Messages with workers come last: one that a worker takes meanwhile is seen twice, and not
        # missed.
        given_out = redis.hvals(f"{prefix}{channel.unacked_key}")
    messages = [json.loads(text) for text in texts] + [json.loads(text)[0] for text in given_out]
    return {str(message["headers"]["id"]) for message in messages if message.get("headers")}


def requeue(message_id: str) -> bool:
    """Have a queued task sent again, as the same try; return whether it was still queued."""
    from airflow.models.log import Log
    from airflow.models.taskinstance import TaskInstance as TI  # noqa: N817
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    with create_session() as session:
        task = session.scalar(
            select(TI)
            .where(
                TI.external_executor_id == message_id,
                TI.state == TaskInstanceState.QUEUED,
            )
            .with_for_update()
        )
        if task is None:
            return False
        why = "its message was lost on the way to a worker; it is sent again, as the same try"
        session.add(Log(event="message lost", task_instance=task.key, extra=why))
        task.state = TaskInstanceState.SCHEDULED
        task.queued_dttm = None
        task.queued_by_job_id = None
        task.external_executor_id = None
    return True


def web_server_answers() -> bool:
    """Tell whether the web server soon answers a request such as tasks send."""
    import httpx
    from airflow.configuration import conf

    address = conf.get_mandatory_value("core", "execution_api_server_url").rstrip("/")
    try:
        answer = httpx.get(f"{address}/health", timeout=_ASK_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success


@contextmanager
def _redis(app: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as redis:
            yield redis, channel


def _unreachable() -> tuple[type[Exception], ...]:
    from kombu.exceptions import KombuError
    from redis.exceptions import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    return KombuError, RedisError, SQLAlchemyError, OSError

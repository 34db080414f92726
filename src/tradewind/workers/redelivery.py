"""Gives out again the messages of a killed Celery worker as soon as a worker starts.

With a broker in Redis a worker records each message that it takes, and removes the record when the
task is done. Messages that a killed worker has left on record go to another worker after the
visibility timeout, which must be longer than any task: hours. The same happens to messages that a
worker had taken but not begun when it lost its broker for a moment, for it forgets them. A worker
that starts, or is back, knows that there may be such messages. So it puts all recorded messages
back into their queues, also those of workers that live.

So this is only for apps whose tasks allow a second delivery while the first is being worked on.
Airflow's do: its server lets one delivery of a try begin, and drops the others. The trading tasks
do: they have one worker, and an account has one writer. Modules with a Celery app's settings import
this one.
"""

import logging
from typing import Any, Final

from celery.signals import celeryd_init, worker_ready
from kombu.utils.encoding import bytes_to_str

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "connect_redelivery", "give_back"]

log = logging.getLogger(__name__)

FOREIGN: Final = (
    ForeignNames(
        "kombu",
        (
            "kombu.transport.redis:Channel.conn_or_acquire",
            "kombu.transport.redis:Channel.unacked_index_key",
            "kombu.transport.redis:QoS.restore_by_tag",
            "kombu.utils.encoding:bytes_to_str",
        ),
        "give out again what a killed worker held",
        "it is given out again when the visibility timeout is over, after hours",
    ),
    ForeignNames(
        "celery",
        (
            "celery.app.base:Celery.steps",
            "celery.bootsteps:StartStopStep",
            "celery.worker.consumer.connection:Connection",
        ),
        "do so each time a worker has its broker back",
        "it is done when a worker starts",
    ),
)

_CONNECT_SECONDS = 10


def give_back(app: Any) -> int:  # noqa: ANN401 - Celery has no types
    """Put back every message that was given out and not acknowledged; return how many there are.

    Parameters
    ----------
    app : Celery
        With a broker in Redis.
    """
    if not FOREIGN[0].usable():
        return 0
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=_CONNECT_SECONDS, timeout=_CONNECT_SECONDS)
        channel = connection.default_channel
        with channel.conn_or_acquire() as redis:
            tags = [bytes_to_str(tag) for tag in redis.zrange(channel.unacked_index_key, 0, -1)]
            for tag in tags:  # each in a transaction, so that two workers put it back once
                channel.qos.restore_by_tag(tag, client=redis)
    return len(tags)


def _on_ready(*, sender: Any, **_: object) -> None:  # noqa: ANN401
    _given_back(sender.app)


def _given_back(app: Any) -> None:  # noqa: ANN401
    if found := give_back(app):
        log.warning("%d messages that nobody had acknowledged are given out again", found)


def _at_each_connection(*, instance: Any, **_: object) -> None:  # noqa: ANN401
    """Have a worker give back whenever it connects: Celery then forgets tasks not begun."""
    from celery.bootsteps import StartStopStep
    from celery.worker.consumer.connection import Connection

    class GiveBack(StartStopStep):  # type: ignore[misc]
        requires = (Connection,)

        def start(self, consumer: Any) -> None:  # noqa: ANN401
            _given_back(consumer.app)

    instance.app.steps["consumer"].add(GiveBack)


def connect_redelivery(*, reconnected: bool = False) -> None:
    """Have the worker of this process, if it is one, give back messages before it takes any.

    Parameters
    ----------
    reconnected : bool
        Also after a reconnect, while it still works on tasks it had begun. Only for tasks of which
        a second delivery does not begin.
    """
    if reconnected:
        uid = "tradewind.workers.redelivery.each"
        celeryd_init.connect(_at_each_connection, weak=False, dispatch_uid=uid)
    else:
        worker_ready.connect(_on_ready, weak=False, dispatch_uid="tradewind.workers.redelivery")

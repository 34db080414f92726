"""What a killed Celery worker held is given out again as soon as a worker starts.

With a broker in Redis a worker notes down each message that it takes, and strikes it out when the
task is done. What a killed worker has left noted is given to another after the visibility timeout,
which must be longer than any task: hours. So is what a worker had taken and not begun when it lost
its broker for a moment, for it forgets that. But who starts, or is back, knows that there may be
such messages, and puts all of them back into their queues, those of others that live with them.

So it is only for apps whose tasks bear a second delivery while the first is being worked on.
Airflow's do: its server lets one delivery of a try begin, and the others are dropped. The trading
tasks do: they have one worker, and one account has one writer. Imported by the modules that hold a
Celery app's settings.
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
    """Put every message that was given out and not acknowledged back; return how many those are.

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
            for tag in tags:  # each in a transaction, so that two who do this give it back once
                channel.qos.restore_by_tag(tag, client=redis)
    return len(tags)


def _on_ready(*, sender: Any, **_: object) -> None:  # noqa: ANN401
    _given_back(sender.app)


def _given_back(app: Any) -> None:  # noqa: ANN401
    if found := give_back(app):
        log.warning("%d messages that nobody had acknowledged are given out again", found)


def _at_each_connection(*, instance: Any, **_: object) -> None:  # noqa: ANN401
    """Have a worker give back whenever it connects: Celery forgets then what it had not begun."""
    from celery.bootsteps import StartStopStep
    from celery.worker.consumer.connection import Connection

    class GiveBack(StartStopStep):  # type: ignore[misc]
        requires = (Connection,)

        def start(self, consumer: Any) -> None:  # noqa: ANN401
            _given_back(consumer.app)

    instance.app.steps["consumer"].add(GiveBack)


def connect_redelivery(*, reconnected: bool = False) -> None:
    """Have the worker of this process, if it is one, give messages back before it takes any.

    Parameters
    ----------
    reconnected : bool
        Also when it has lost the broker and is back, and works on what it had begun: for tasks
        of which a second delivery does not begin.
    """
    if reconnected:
        uid = "tradewind.workers.redelivery.each"
        celeryd_init.connect(_at_each_connection, weak=False, dispatch_uid=uid)
    else:
        worker_ready.connect(_on_ready, weak=False, dispatch_uid="tradewind.workers.redelivery")

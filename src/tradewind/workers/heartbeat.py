"""The heartbeat of a Celery worker dates a file, every two seconds.

To ask a worker over the broker (``celery inspect ping``) starts a Python with all of its imports
each time. Modules with a Celery app's settings import this one, so that it is connected before the
worker builds its consumer.
"""

import logging
from typing import Any, Final

from celery.signals import celeryd_init

from tradewind.foreign import ForeignNames
from tradewind.host.heartbeat import touch_heartbeat

__all__ = ["FOREIGN", "connect_heartbeat"]

log = logging.getLogger(__name__)

FOREIGN: Final = (
    ForeignNames(
        "celery",
        (
            "celery.app.events:Events.dispatcher_cls",
            "celery.events.dispatcher:EventDispatcher.send",
        ),
        "send a worker's heartbeat once, and date a file by it",
        "the file is never dated, and a worker's probe says that it is dead",
    ),
)

_BEATS = {"worker-online", "worker-heartbeat"}


def send_events_once(*, instance: Any, **_: object) -> None:  # noqa: ANN401 - Celery has no types
    """Send each heartbeat once, so that a worker without its broker can still be stopped.

    Celery sends heartbeats with endless retries, in the thread that also checks whether the worker
    should stop. A heartbeat that is due when the connection has just died would be retried until
    the broker is back, and the worker could not be stopped until then. Sent once, it fails, and the
    worker's loop reconnects by itself and checks for a stop between two attempts.
    """
    from celery.events.dispatcher import EventDispatcher

    class Once(EventDispatcher):  # type: ignore[misc]
        def __init__(self, *args: object, **options: object) -> None:
            # An old heartbeat is no use.
            super().__init__(*args, **{**options, "buffer_while_offline": False})

        def send(self, kind: str, *args: object, **fields: object) -> None:
            try:
                super().send(kind, *args, **{**fields, "retry": False})
            except Exception as error:  # noqa: BLE001 - whatever it is, Celery, too, would go on
                log.warning("%s was not sent: %s", kind, error)
                return
            if kind in _BEATS:
                touch_heartbeat()

    instance.app.events.dispatcher_cls = Once


def connect_heartbeat() -> None:
    """Touch the file at each heartbeat that the broker takes from the worker of this process."""
    # A dispatch_uid keeps a second import, under another name, from a second receiver.
    celeryd_init.connect(send_events_once, weak=False, dispatch_uid="tradewind.events_once")

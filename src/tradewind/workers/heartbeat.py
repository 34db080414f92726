"""The heartbeat of a Celery worker as the age of a file, which a probe reads for almost nothing.

Asking a worker over the broker (``celery inspect ping``) starts a Python with all of its imports
each time. Imported by the modules that hold a Celery app's settings, so that it is connected before
the worker builds its consumer.
"""

import logging
import os
from pathlib import Path
from typing import Any, Final

from celery.signals import celeryd_init

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "HEARTBEAT_FILE", "connect_heartbeat", "touch_heartbeat"]

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

HEARTBEAT_FILE = "WORKER_HEARTBEAT_FILE"
_BEATS = {"worker-online", "worker-heartbeat"}


def touch_heartbeat() -> None:
    """Set the time of the file named by `HEARTBEAT_FILE`, if it is set, to now.

    Done every two seconds, after the broker has taken the worker's heartbeat: of a worker that
    hangs, or has lost its broker, the file grows old. A probe compares its time of modification
    with the clock.
    """
    file = os.environ.get(HEARTBEAT_FILE)
    if file:
        Path(file).touch()


def send_events_once(*, instance: Any, **_: object) -> None:  # noqa: ANN401 - Celery has no types
    """Keep a worker that loses its broker ready to stop, and known to have lost it.

    Celery sends heartbeats with endless retries, from the thread that looks whether the worker was
    asked to stop. One that is due when the connection has just died would be tried until the broker
    is back, and the worker deaf until then. Sent once, the next may find it back; the worker's loop
    sees by itself that it must reconnect, and between two attempts looks.
    """
    from celery.events.dispatcher import EventDispatcher

    class Once(EventDispatcher):  # type: ignore[misc]
        def __init__(self, *args: object, **options: object) -> None:
            # A heartbeat of a while ago is of no use to anybody.
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

"""The heartbeat of a Celery worker as the age of a file, which a probe reads for almost nothing.

Asking a worker over the broker (``celery inspect ping``) starts a Python with all of its imports
each time. Imported by the modules that hold a Celery app's settings, so that it is connected before
the worker builds its consumer, which asks once whether anybody listens to ``heartbeat_sent``.
"""

import os
from pathlib import Path
from typing import Any

from celery.signals import celeryd_init, heartbeat_sent  # type: ignore[import-untyped]

__all__ = ["HEARTBEAT_FILE", "connect_heartbeat", "touch_heartbeat"]

HEARTBEAT_FILE = "WORKER_HEARTBEAT_FILE"


def touch_heartbeat(**_: object) -> None:
    """Set the time of the file named by `HEARTBEAT_FILE`, if it is set, to now.

    The consumer's own loop calls this every two seconds: a worker that hangs, or has lost its
    broker, stops to. A probe compares the file's time of modification with the clock.
    """
    file = os.environ.get(HEARTBEAT_FILE)
    if file:
        Path(file).touch()


def send_events_once(*, instance: Any, **_: object) -> None:  # noqa: ANN401 - Celery has no types
    """Keep a worker that loses its broker ready to stop.

    Celery sends heartbeats with endless retries, from the thread that looks whether the worker was
    asked to stop. One that is due when the connection has just died would be tried until the broker
    is back, and the worker deaf until then. Sent once, the failure is seen by the worker's loop,
    which reconnects, and between two attempts looks.
    """
    from celery.events.dispatcher import EventDispatcher  # type: ignore[import-untyped]

    class Once(EventDispatcher):  # type: ignore[misc]
        def send(self, kind: str, *args: object, **fields: object) -> object:
            return super().send(kind, *args, **{**fields, "retry": False})

    instance.app.events.dispatcher_cls = Once


def connect_heartbeat() -> None:
    """Touch the file at each heartbeat that the worker of this process sends, once."""
    # A dispatch_uid keeps a second import, under another name, from a second receiver.
    heartbeat_sent.connect(touch_heartbeat, weak=False, dispatch_uid="tradewind.worker_heartbeat")
    celeryd_init.connect(send_events_once, weak=False, dispatch_uid="tradewind.events_once")

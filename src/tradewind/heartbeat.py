"""The heartbeat of a Celery worker as the age of a file, which a probe reads for almost nothing.

Asking a worker over the broker (``celery inspect ping``) starts a Python with all of its imports
each time. Imported by the modules that hold a Celery app's settings, so that it is connected before
the worker builds its consumer, which asks once whether anybody listens to ``heartbeat_sent``.
"""

import os
from pathlib import Path

from celery.signals import heartbeat_sent  # type: ignore[import-untyped]

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


def connect_heartbeat() -> None:
    """Touch the file at each heartbeat that the worker of this process sends."""
    # A dispatch_uid keeps a second import, under another name, from a second receiver.
    heartbeat_sent.connect(touch_heartbeat, weak=False, dispatch_uid="tradewind.worker_heartbeat")

"""Celery's settings for Airflow's executor and workers, with a heartbeat that a probe can read.

Named by ``[celery] celery_config_options`` in ``config/airflow.env``. The worker imports it
before it builds its consumer, which asks once, when it is built, whether anybody listens to
``heartbeat_sent``. The scheduler imports it too; there the signal is never sent.
"""

import os
from pathlib import Path
from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import heartbeat_sent  # type: ignore[import-untyped]

__all__ = ["CELERY_CONFIG", "HEARTBEAT_FILE", "touch_heartbeat"]

HEARTBEAT_FILE = "WORKER_HEARTBEAT_FILE"

CELERY_CONFIG: dict[str, Any] = DEFAULT_CELERY_CONFIG


def touch_heartbeat(**_: object) -> None:
    """Set the time of the file named by `HEARTBEAT_FILE`, if it is set, to now.

    The consumer's own loop calls this every two seconds: a worker that hangs, or has lost its
    broker, stops to. A probe compares the file's time of modification with the clock.
    """
    file = os.environ.get(HEARTBEAT_FILE)
    if file:
        Path(file).touch()


# A dispatch_uid keeps a second import of this module, under another name, from a second receiver.
heartbeat_sent.connect(touch_heartbeat, weak=False, dispatch_uid="tradewind.worker_heartbeat")

"""The Celery app of the trading workers.

Started with ``celery --app tradewind.trading.app worker``. Broker and results are where Celery's
own variables say: ``CELERY_BROKER_URL`` and ``CELERY_RESULT_BACKEND``; the book is where
``TRADEWIND_DATABASE_URL`` says.
"""

import gc
import socket
from datetime import UTC, datetime

from celery import Celery
from celery.signals import celeryd_after_setup

from tradewind.workers.heartbeat import connect_heartbeat
from tradewind.workers.redelivery import connect_redelivery

__all__ = ["KEY_PREFIX", "app", "health"]

# What config/users.acl.template lets the Redis user `trading` touch.
KEY_PREFIX = "trading:"

# Seconds. A task is asked to stop at the first, and its process is killed at the second. What is
# unacknowledged for longer than the third is taken for lost with its worker, and given to another:
# longer than any task can wait in a worker and run there (with a prefetch of one it waits for the
# one before it), and no longer than that, for so long nobody does the work of a worker that was
# killed and does not come back; one that does gives it back itself (tradewind.workers.redelivery).
SOFT_TIME_LIMIT = 100
TIME_LIMIT = 120
VISIBILITY_TIMEOUT = 300

app = Celery("tradewind-trading", include=["tradewind.trading.tasks"])
app.conf.update(
    broker_transport_options={
        "global_keyprefix": KEY_PREFIX,
        "visibility_timeout": VISIBILITY_TIMEOUT,
        # A Redis that hangs, or is gone without a word, is an error that is tried again: without
        # these a worker waits for ever, deaf to a request to stop.
        "socket_timeout": 10,
        "socket_connect_timeout": 10,
    },
    result_backend_transport_options={"global_keyprefix": KEY_PREFIX},
    broker_connection_retry_on_startup=True,
    task_default_queue="trading",
    # A task of a worker that died is given to another one; so tasks must bear being run twice.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=SOFT_TIME_LIMIT,
    task_time_limit=TIME_LIMIT,
    task_track_started=True,
    # Nothing that is read from Redis is unpickled.
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    result_accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_concurrency=2,
    # A task whose result cannot be written at once has not failed: two minutes' worth of attempts.
    result_backend_always_retry=True,
    result_backend_max_sleep_between_retries_ms=1000,
    result_backend_max_retries=240,
    redis_socket_timeout=10,
    redis_socket_connect_timeout=10,
    result_expires=3600,  # seconds; Redis refuses writes when it is full
)

connect_heartbeat()
connect_redelivery()


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def share_memory(**_: object) -> None:
    """Keep the pages of what was imported shared with the processes that are forked next.

    A collection in one of them would write to every object: 11 MB of its own for each.
    """
    gc.collect()
    gc.freeze()


@app.task(name="trading.health")  # type: ignore[untyped-decorator]
def health() -> dict[str, str]:
    """Say which worker ran this and when: proof that a task came through and its result back."""
    return {"worker": socket.gethostname(), "at": datetime.now(UTC).isoformat()}

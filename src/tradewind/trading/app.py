"""The Celery app of the trading workers.

Started with ``celery --app tradewind.trading.app worker``. Broker and results are where Celery's
own variables say: ``CELERY_BROKER_URL`` and ``CELERY_RESULT_BACKEND``.
"""

import socket
from datetime import UTC, datetime

from celery import Celery  # type: ignore[import-untyped]

from tradewind.heartbeat import connect_heartbeat

__all__ = ["KEY_PREFIX", "app", "health"]

# What config/users.acl.template lets the Redis user `trading` touch.
KEY_PREFIX = "trading:"

app = Celery("tradewind.trading")
app.conf.update(
    broker_transport_options={"global_keyprefix": KEY_PREFIX},
    result_backend_transport_options={"global_keyprefix": KEY_PREFIX},
    broker_connection_retry_on_startup=True,
    task_default_queue="trading",
    # A task of a worker that died is given to another one; so tasks must bear being run twice.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_concurrency=2,
    result_expires=3600,  # seconds; Redis refuses writes when it is full
)

connect_heartbeat()


@app.task(name="trading.health")  # type: ignore[untyped-decorator]
def health() -> dict[str, str]:
    """Say which worker ran this and when: proof that a task came through and its result back."""
    return {"worker": socket.gethostname(), "at": datetime.now(UTC).isoformat()}

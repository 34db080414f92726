"""Celery's settings for Airflow's executor and workers, with a heartbeat that a probe can read.

Named by ``[celery] celery_config_options`` in ``config/airflow.env``. The worker imports it before
it builds its consumer and forks its pool. The scheduler imports it too; there no signal is sent.
"""

from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

from tradewind.orchestration.runtime.plain_results import read_results_plainly
from tradewind.orchestration.runtime.rehearsal import connect_rehearsal
from tradewind.workers.heartbeat import connect_heartbeat
from tradewind.workers.redelivery import connect_redelivery
from tradewind.workers.warm import connect_warm_up

__all__ = ["CELERY_CONFIG"]

CELERY_CONFIG: dict[str, Any] = {
    **DEFAULT_CELERY_CONFIG,
    # Airflow stops a send after a second and tries it again, but a send that fails earlier fails
    # the task. So a send is tried for the whole second while Redis restarts.
    "task_publish_retry_policy": {
        "max_retries": 100,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.5,
    },
}

read_results_plainly()
connect_heartbeat()
connect_redelivery(reconnected=True)
connect_warm_up()
connect_rehearsal()

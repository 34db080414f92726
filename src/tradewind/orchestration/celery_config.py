"""Celery's settings for Airflow's executor and workers, with a heartbeat that a probe can read.

Named by ``[celery] celery_config_options`` in ``config/airflow.env``. The worker imports it
before it builds its consumer. The scheduler imports it too; there the signal is never sent.
"""

from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

from tradewind.heartbeat import connect_heartbeat

__all__ = ["CELERY_CONFIG"]

CELERY_CONFIG: dict[str, Any] = DEFAULT_CELERY_CONFIG

connect_heartbeat()

import pytest
from celery.signals import celeryd_init

from tradewind.orchestration.runtime.celery_config import CELERY_CONFIG
from tradewind.workers.heartbeat import send_events_once


def test_airflow_takes_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.celery.executors.celery_executor_utils import get_celery_configuration

    monkeypatch.setenv(
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS",
        "tradewind.orchestration.runtime.celery_config.CELERY_CONFIG",
    )
    get_celery_configuration.cache_clear()  # asked for when the module was imported, without it
    assert get_celery_configuration() is CELERY_CONFIG
    get_celery_configuration.cache_clear()
    assert CELERY_CONFIG["task_acks_late"] is True


def test_a_send_is_tried_until_airflow_itself_tries_again() -> None:
    """A send that fails fails the task; one that takes longer than Airflow waits is sent again."""
    from airflow.providers.celery.executors.celery_executor_utils import OPERATION_TIMEOUT

    policy = CELERY_CONFIG["task_publish_retry_policy"]
    waits = (
        min(policy["interval_start"] + n * policy["interval_step"], policy["interval_max"])
        for n in range(policy["max_retries"])
    )
    assert sum(waits) > 2 * OPERATION_TIMEOUT


def test_the_heartbeat_is_connected_once() -> None:
    connected = [receiver for _, receiver in celeryd_init.receivers]
    assert connected.count(send_events_once) == 1

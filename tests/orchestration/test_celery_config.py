import pytest
from celery.signals import heartbeat_sent

from tradewind.heartbeat import touch_heartbeat
from tradewind.orchestration.celery_config import CELERY_CONFIG


def test_airflow_takes_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.celery.executors.celery_executor_utils import get_celery_configuration

    monkeypatch.setenv(
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS",
        "tradewind.orchestration.celery_config.CELERY_CONFIG",
    )
    assert get_celery_configuration() is CELERY_CONFIG
    assert CELERY_CONFIG["task_acks_late"] is True


def test_the_heartbeat_is_connected_once() -> None:
    connected = [receiver for _, receiver in heartbeat_sent.receivers]
    assert connected.count(touch_heartbeat) == 1

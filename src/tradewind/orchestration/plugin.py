"""What Airflow is told of tradewind, by the entry point ``airflow.plugins``."""

from airflow.plugins_manager import AirflowPlugin

from tradewind.orchestration.runtime import job_heartbeat
from tradewind.orchestration.runtime.asked_runs import ChecksAskedRuns
from tradewind.orchestration.runtime.bell import RingsBell
from tradewind.orchestration.runtime.cleaning import CleansWhenAsked
from tradewind.orchestration.runtime.logout import LeavesByProvider
from tradewind.orchestration.runtime.page.mounted import PREFIX, REACT_APPS, Page
from tradewind.orchestration.slots import NextSlot
from tradewind.orchestration.timetables import AfterClose

__all__ = ["TradewindPlugin"]


class TradewindPlugin(AirflowPlugin):
    """What Airflow must know before it can read our DAGs, and what its services do besides."""

    name = "tradewind"
    timetables = [AfterClose, NextSlot]  # noqa: RUF012 - as Airflow declares it
    fastapi_root_middlewares = [  # noqa: RUF012
        {"name": "bell", "middleware": RingsBell},
        {"name": "asked_runs", "middleware": ChecksAskedRuns},
        {"name": "cleaning", "middleware": CleansWhenAsked},
        {"name": "logout", "middleware": LeavesByProvider},
    ]
    fastapi_apps = [{"name": "desk", "app": Page(), "url_prefix": PREFIX}]  # noqa: RUF012
    react_apps = list(REACT_APPS)  # noqa: RUF012
    listeners = [job_heartbeat]  # noqa: RUF012

"""Lets the scheduler report tasks that fail without a log of their own.

A task has an empty log if no worker could handle its message, its supervisor died, or it could not
be sent at all. Only the scheduler knows why it failed, and writes that into its own log and its
database. This module writes it into the task's log, which the page and ``tradewind train --wait``
show, and starts an alert when no try is left. In containers the scheduler reaches nothing outside,
so the triggerer sends the alert.

The executor registers it with Airflow's listeners, for only the scheduler may use it.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from airflow.listeners import hookimpl

from tradewind.desk.failure_reasons import REASON, executor_s_words
from tradewind.foreign import ForeignNames
from tradewind.orchestration import alerts

__all__ = ["FOREIGN", "on_task_instance_failed", "tell"]

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-core",
        (
            "airflow.models.callback:Callback.create_from_sdk_def",
            "airflow.models.callback:Callback.queue",
            "airflow.sdk.definitions.callback:AsyncCallback",
            "airflow.sdk.log:init_log_file",
            "airflow.utils.helpers:log_filename_template_renderer",
        ),
        "write into a task's log why it failed, and to alert, where the task could not",
        "the reason is in the scheduler's log and in Airflow's audit log alone",
    ),
)

log = logging.getLogger(__name__)

# Beside the worker's own file: the page reads all files whose names begin like that one.
_SUFFIX = ".scheduler.log"


@hookimpl
def on_task_instance_failed(
    previous_state: Any,  # noqa: ANN401, ARG001 - as Airflow declares it
    task_instance: Any,  # noqa: ANN401
    error: Any,  # noqa: ANN401
) -> None:
    """Write the reason of a failure into the task's log, and start an alert if no try is left."""
    tell(task_instance, executor_s_words(error) or str(error or "the scheduler does not say why"))


def tell(task: Any, reason: str) -> None:  # noqa: ANN401
    """Write a reason into a failed task's log, and start an alert if no try is left."""
    try:
        _write(task, reason)
    except OSError as failure:  # such as a full disk; the audit log has the reason, too
        log.error("the log of %s could not be written: %s", task, failure)  # noqa: TRY400
    if task.state == "failed":
        _alert(task, reason)


def _write(task: Any, reason: str) -> None:  # noqa: ANN401
    from airflow.sdk.log import init_log_file
    from airflow.utils.helpers import log_filename_template_renderer

    entry = {
        "timestamp": datetime.now(UTC).isoformat(),
        "level": "error",
        "logger": __name__,
        "event": f"The task could not say why it failed: {reason}",
        REASON: reason,
    }
    file = init_log_file(log_filename_template_renderer()(ti=task) + _SUFFIX)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry) + "\n")


def _alert(task: Any, reason: str) -> None:  # noqa: ANN401
    from airflow.models.callback import Callback
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.utils.session import create_session

    told = {
        "dag_id": task.dag_id,
        "run_id": task.run_id,
        "task_id": task.task_id,
        "try_number": task.try_number,
        "reason": reason,
    }
    callback = Callback.create_from_sdk_def(
        AsyncCallback(alerts.task_never_began, kwargs=told), dag_id=task.dag_id
    )
    with create_session(scoped=False) as session:  # not the scheduler's own, which is in use
        callback.queue(session=session)
        session.add(callback)

"""Tasks that fail where they cannot say so, told by the scheduler.

A task whose message no worker could do, whose supervisor died, or that could not be sent at all has
an empty log: only the scheduler knows that it failed, and writes why into its own log and its
database. Here it is written into the task's log, which the page and ``tradewind train --wait``
show, and an alert is begun when no try is left. In containers the scheduler reaches nothing
outside, so the triggerer sends it.

Registered with Airflow's listeners by the executor, since it is only meant for the scheduler.
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

# Beside the worker's own file: the page reads all whose names begin like that.
_SUFFIX = ".scheduler.log"


@hookimpl
def on_task_instance_failed(
    previous_state: Any,  # noqa: ANN401, ARG001 - as Airflow declares it
    task_instance: Any,  # noqa: ANN401
    error: Any,  # noqa: ANN401
) -> None:
    """Write a failed task's reason into its log, and begin an alert if no try is left."""
    tell(task_instance, executor_s_words(error) or str(error or "the scheduler does not say why"))


def tell(task: Any, reason: str) -> None:  # noqa: ANN401
    """Write a reason into the log of a task that failed, and begin an alert if no try is left."""
    try:
        _write(task, reason)
    except OSError as failure:  # a full disk; the audit log has it, too
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
    with create_session(scoped=False) as session:  # not the one the scheduler is in the midst of
        callback.queue(session=session)
        session.add(callback)

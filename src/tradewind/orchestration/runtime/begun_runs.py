"""Runs that were made past the web server and are nonsense: they end when they begin.

``airflow dags trigger`` writes a run into the database by itself, whatever its date and its
configuration. The scheduler would call a run of a date to come running, wait for that date, and let
no other run of the DAG begin. Here such a run fails when the scheduler begins it. Its page, the log
of its first tasks, ``tradewind train --wait`` and an alert say why.

Registered with Airflow's listeners by the executor, since it is only meant for the scheduler.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

from airflow.listeners import hookimpl

from tradewind.foreign import ForeignNames
from tradewind.orchestration.runtime import unheard
from tradewind.orchestration.runtime.asked_runs import what_is_wrong

__all__ = ["FOREIGN", "on_dag_run_running"]

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-core",
        tuple(
            f"airflow.models.dagrun:DagRun.{name}"
            for name in (
                "conf", "get_task_instances", "logical_date", "note", "run_after", "run_type",
                "set_state",
            )
        ),
        "end a run that would wait for a date to come, where it was made past the web server",
        "such a run lets no other of its DAG begin until somebody marks it as failed",
    ),
)  # fmt: skip

log = logging.getLogger(__name__)

# These have their dates from a timetable; and backfills are counted apart from other runs.
_NOT_BY_HAND: Final = frozenset({"backfill", "scheduled"})


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:  # noqa: ANN401, ARG001 - Airflow's names
    """Fail a run that has begun and cannot be of use."""
    if dag_run.run_type in _NOT_BY_HAND:
        return
    asked = {"logical_date": dag_run.logical_date, "conf": dag_run.conf or {}}
    # Of a clock that was set back since, the run's date is no fault.
    reason = what_is_wrong(asked, max(datetime.now(UTC), dag_run.run_after))
    if reason:
        _fail(dag_run, reason)


def _fail(run: Any, reason: str) -> None:  # noqa: ANN401
    from sqlalchemy.orm import object_session

    log.error("run %s of %s ends as it begins: %s", run.run_id, run.dag_id, reason)
    session = object_session(run)
    run.note = reason
    run.set_state("failed")
    for task in run.get_task_instances(session=session):
        first = not run.dag.get_task(task.task_id).upstream_task_ids
        if first:
            task.try_number = max(task.try_number, 1)  # whose log is the first that the page shows
        task.set_state("failed" if first else "upstream_failed", session=session)
        if first:
            unheard.tell(task, reason)

"""The DAG that removes what is old, once a day.

It is read again at every start of one of its tasks, so nothing here imports what takes time.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from airflow.sdk import DAG, Param, get_current_context, task

from tradewind.orchestration.cleaning_request import DAG_ID, TASK_ID
from tradewind.orchestration.dags.common import dag_arguments
from tradewind.orchestration.slots import NextSlot
from tradewind.orchestration.steps import housekeeping

__all__ = ["housekeeping_dag"]

_AT_NIGHT: Final = "30 3 * * *"  # UTC: the exchanges of Europe and America are closed
_PAGE: Final = """# Housekeeping

Removes what is old, once a day, as `TRADEWIND_KEEP_DAYS` and `TRADEWIND_KEEP_DELETED_DAYS` say:
runs of Airflow that have ended, with their logs; runs that were deleted in MLflow, with their
files; files of bars that nothing needs. Orders, fills, the ledger of trials, signals, registered
versions and snapshots stay, and everything that these need.

Each task returns what it removed, and what is left of its part. `disk` writes down what everything
takes, and fails if the disk would be full within a week. With `dry_run` nothing is changed.
"""


def housekeeping_dag() -> dict[str, DAG]:
    """Return the DAG, by its id."""
    with DAG(
        DAG_ID,
        description="Removes what is old, and watches the disk",
        doc_md=_PAGE,
        schedule=NextSlot(_AT_NIGHT, _installed()),
        params={
            "dry_run": Param(
                default=False, type="boolean", description="Only say what would be removed."
            )
        },
        tags=["tradewind", "housekeeping"],
        **dag_arguments(),
    ) as dag:

        @task(task_id=TASK_ID, multiple_outputs=False)
        def airflow() -> dict[str, Any]:
            """Have Airflow's web server remove runs that have ended long ago, and their logs."""
            return housekeeping.airflow(dry_run=_dry_run())

        @task(multiple_outputs=False)
        def mlflow() -> dict[str, Any]:
            """Have MLflow erase runs that were deleted long ago, with their files."""
            return housekeeping.mlflow(dry_run=_dry_run())

        @task(multiple_outputs=False)
        def bars() -> dict[str, Any]:
            """Join small files of bars, and delete those that nothing needs."""
            return housekeeping.bars(dry_run=_dry_run())

        # Another try would find the same disk.
        @task(trigger_rule="all_done", retries=0)
        def disk() -> None:
            """Write down what everything takes, and fail if the disk fills up."""
            ti = get_current_context()["ti"]
            parts = {name: ti.xcom_pull(task_ids=name) for name in (TASK_ID, "mlflow", "bars")}
            housekeeping.disk(parts, now=datetime.now(UTC), dry_run=_dry_run())

        [airflow(), mlflow(), bars()] >> disk()
    return {DAG_ID: dag}


def _dry_run() -> bool:
    return bool(get_current_context()["params"]["dry_run"])


def _installed() -> datetime:
    """Return since when this version is installed: a new stack has nothing to remove."""
    changed = datetime.fromtimestamp(Path(__file__).stat().st_ctime, UTC)
    return min(changed, datetime.now(UTC))

"""Which version of its table a source's asset has announced.

The asset's last event says so, too, but Airflow can't read out an event while a run that it began
is queued (https://github.com/apache/airflow/issues/71360), and behind a training that waits for
its approval a run may be queued for days.
"""

from typing import Any

from airflow.sdk import Asset, Context, TaskInstanceState

__all__ = ["announce", "announced_version"]

_KEY = "announced"


def announced_version(context: Context, asset: Asset) -> int | None:
    """Return the version that the asset has announced last, if that is known.

    It is not known before the first, nor when the run that announced it has been deleted.

    Parameters
    ----------
    context : Context
        Of a task that announces the asset.
    asset : Asset
    """
    stored: Any = context["asset_state_store"][asset].get(_KEY)
    if stored is None:
        return None
    ti, run_id = context["ti"], stored["run_id"]
    states = ti.get_task_states(ti.dag_id, task_ids=[ti.task_id], run_ids=[run_id])
    # A task that died after it stored the version has announced nothing.
    done = states.get(run_id, {}).get(ti.task_id) == TaskInstanceState.SUCCESS
    return stored["table_version"] if done else None


def announce(context: Context, asset: Asset, table_version: int, last_session: str | None) -> None:
    """Have the asset announce a version, and its newest session, once the task has ended well."""
    stored: Any = {"table_version": table_version, "run_id": context["ti"].run_id}
    context["asset_state_store"][asset].set(_KEY, stored)
    context["outlet_events"][asset].extra = {
        "table_version": table_version, "last_session": last_session,
    }  # fmt: skip

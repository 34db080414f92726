"""DAGs of the bridge's tests: an app that is not ours, and a stream."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from tradewind.bridge import CeleryTaskOperator, RedisStreamTrigger

ARGUMENTS: dict[str, Any] = {"app": "trading", "queue": "foreign"}

with DAG("bridge_ends", schedule=None, is_paused_upon_creation=False):
    CeleryTaskOperator(task_id="succeeds", task="foreign.add", args=[2, 3], **ARGUMENTS)
    CeleryTaskOperator(task_id="fails", task="foreign.fail", args=["momentum"], **ARGUMENTS)
    CeleryTaskOperator(
        task_id="retried",
        task="foreign.fail_once",
        args=["{{ run_id }}"],
        retries=1,
        retry_delay=timedelta(seconds=1),
        **ARGUMENTS,
    )
    CeleryTaskOperator.partial(task_id="mapped", task="foreign.add", **ARGUMENTS).expand(
        args=[[1, 1], [2, 2], [3, 3]]
    )
    CeleryTaskOperator(
        task_id="waits_in_a_worker", task="foreign.add", args=[4, 5], deferrable=False, **ARGUMENTS
    )
    announces = CeleryTaskOperator(
        task_id="announces",
        task="foreign.add",
        args=[6, 7],
        outlets=[Asset("bridge_announced")],
        **ARGUMENTS,
    )

with DAG("bridge_waits", schedule=None, is_paused_upon_creation=False):
    CeleryTaskOperator(
        task_id="waits", task="foreign.wait", args=["{{ run_id }}", 600], **ARGUMENTS
    )

with DAG(
    "bridge_watches",
    schedule=[
        Asset(
            "bridge_events",
            watchers=[
                AssetWatcher(
                    "stream",
                    RedisStreamTrigger(
                        "trading", "trading:bridge-test", "bridge_watches", {"kind": "fill"}
                    ),
                )
            ],
        )
    ],
    is_paused_upon_creation=False,
):

    @task
    def see(triggering_asset_events: dict[Any, Any]) -> list[str]:
        """Return the ids of the entries that began this run."""
        events = [event for found in triggering_asset_events.values() for event in found]
        return [event.extra["payload"]["id"] for event in events]

    begin: Any = see  # Airflow hands over what is named so
    begin()

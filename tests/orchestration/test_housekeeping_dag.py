"""The DAG that removes what is old: each night, each part by itself, and the disk in the end."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tradewind.orchestration.dags.housekeeping_dag import housekeeping_dag


@pytest.fixture
def dag() -> Any:
    return housekeeping_dag()["housekeeping"]


def test_a_part_that_fails_keeps_no_other_from_its_work(dag: Any) -> None:
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "airflow": set(),
        "mlflow": set(),
        "bars": set(),
        "disk": {"airflow", "mlflow", "bars"},
    }
    assert dag.get_task("disk").trigger_rule == "all_done"
    assert dag.params["dry_run"] is False


def test_airflow_can_store_it_and_read_it_back(dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.timetable.serialize() == dag.timetable.serialize()
    assert datetime.fromisoformat(stored.timetable.serialize()["since"]) < datetime.now(UTC)

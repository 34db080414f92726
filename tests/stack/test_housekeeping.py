"""Housekeeping of the running stack: old things go, needed ones stay, the disk is watched."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tradewind.orchestration.cleaning_request import PATH
from tradewind.orchestration.runtime.old_rows import TABLES
from tradewind.stack.layout import Layout

# Airflow's tables that grow with the DAGs, assets and people there are, and not with time; or whose
# rows go with those of other tables, by foreign keys.
BOUNDED = set(
    """
    ab_group ab_group_role ab_permission ab_permission_view ab_permission_view_role ab_register_user
    ab_role ab_user ab_user_group ab_user_role ab_view_menu alembic_version alembic_version_fab
    asset asset_active asset_alias asset_alias_asset asset_alias_asset_event asset_dag_run_queue
    asset_partition_dag_run asset_state_store asset_watcher backfill backfill_dag_run connection
    connection_test_request dag dag_bundle dag_bundle_team dag_code dag_favorite
    dag_owner_attributes dag_priority_parsing_request dag_run_note
    dag_schedule_asset_alias_reference dag_schedule_asset_name_reference
    dag_schedule_asset_reference dag_schedule_asset_uri_reference dag_tag dag_warning
    dagrun_asset_event deadline deadline_alert hitl_detail hitl_detail_history import_error
    log_template partitioned_asset_key_log rendered_task_instance_fields serialized_dag slot_pool
    task_inlet_asset_reference task_instance_history task_instance_note task_map
    task_outlet_asset_reference task_reschedule task_state_store team trigger variable xcom
    """.split()  # noqa: SIM905 - easier to read
)

# About three; others write to the same disk meanwhile.
FULL = r"full in [234]\.\d days"


def test_each_table_of_airflow_is_bounded_or_cleaned(stack: Stack) -> None:
    found = stack.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
                       database="airflow")  # fmt: skip
    tables = {row[0] for row in found}
    assert tables <= BOUNDED | TABLES
    assert not BOUNDED & TABLES
    assert tables >= TABLES - {"celery_taskmeta", "celery_tasksetmeta"}


def change(stack: Stack, database: str, statement: str, *values: object) -> None:
    with stack.cursor(database) as cursor:
        cursor.execute(statement, values)
        cursor.connection.commit()


@pytest.fixture(scope="module")
def old_logs(stack: Stack, airflow: Airflow) -> Path:
    """The folder of logs of a run that ended a year ago, and that a younger one came after."""
    old, younger = airflow.trigger("kept"), airflow.trigger("kept")
    for run_id in (old, younger):
        assert airflow.finished("kept", run_id)[0] == "success"
    logs = Layout(stack.settings.state).logs_dir / "tasks" / "dag_id=kept" / f"run_id={old}"
    found = list(logs.rglob("*.log"))
    assert found
    for path in found:
        os.utime(path, (1, 1))
    change(
        stack, "airflow",
        "UPDATE dag_run SET end_date = end_date - interval '1 year' WHERE run_id = %s", old,
    )  # fmt: skip
    return logs


@pytest.fixture(scope="module")
def deleted_run(stack: Stack, mlflow: httpx.Client) -> str:
    """A run of MLflow that was deleted long ago."""
    made = mlflow.post("/experiments/create", json={"name": "housekeeping"}).json()
    run = mlflow.post("/runs/create", json={"experiment_id": made["experiment_id"]}).json()
    run_id = str(run["run"]["info"]["run_id"])
    mlflow.post("/runs/delete", json={"run_id": run_id})
    change(stack, "mlflow", "UPDATE runs SET deleted_time = 1 WHERE run_uuid = %s", run_id)
    return run_id


def test_what_is_old_goes_and_what_takes_space_is_written_down(
    stack: Stack, airflow: Airflow, mlflow: httpx.Client, old_logs: Path, deleted_run: str
) -> None:
    records = Layout(stack.settings.state).housekeeping_dir / "sizes.jsonl"
    before = records.read_text() if records.exists() else ""
    expected = stack.json("housekeeping", "--dry-run")
    assert expected["airflow"]["removed"]["runs"] == 1
    assert expected["mlflow"]["removed"]["deleted runs"] >= 1
    assert old_logs.exists()
    assert (records.read_text() if records.exists() else "") == before

    done = stack.json("housekeeping")
    assert done["airflow"]["removed"]["runs"] == 1
    assert done["airflow"]["removed"]["log files"] >= 1
    assert not old_logs.exists()
    assert len(airflow.runs("kept")) == 1
    assert mlflow.get("/runs/get", params={"run_id": deleted_run}).status_code == 404

    usage = stack.json("disk")
    sizes = {part["name"]: part["bytes"] for part in usage["parts"]}
    assert set(sizes) == {
        "Airflow's logs", "MLflow's files", "Redis", "bars", "database airflow",
        "database mlflow", "database tradewind", "services' logs",
    }  # fmt: skip
    # The others have what other tests have left.
    assert all(sizes[name] > 2**12 for name in sizes if name not in {"bars", "MLflow's files"})
    assert stack.status()["disk"]["parts"] == usage["parts"]


def test_only_the_running_task_may_ask_for_it(stack: Stack, airflow: Airflow) -> None:
    address = stack.json("credentials")["airflow"]["address"] + PATH
    asked = {"needed": [], "dry_run": True}
    admin = str(airflow.http.headers["Authorization"])
    for authorization in ("", "Bearer x", admin, admin.replace("Bearer", "Basic")):
        answer = httpx.post(address, json=asked, headers={"Authorization": authorization})
        assert answer.status_code == httpx.codes.FORBIDDEN
        assert "only the running task airflow of housekeeping" in answer.text


def test_a_disk_that_fills_up_fails_the_run_and_the_doctor_says_it_too(stack: Stack) -> None:
    records = Layout(stack.settings.state).housekeeping_dir
    records.mkdir(exist_ok=True)
    file = records / "sizes.jsonl"
    before = file.read_text() if file.exists() else ""
    now, free = datetime.now(UTC), stack.json("disk")["free"]
    days = [
        {"at": (now - timedelta(days=day)).isoformat(), "free": free + day * free / 3, "sizes": {}}
        for day in (4, 3, 2, 1)
    ]
    try:
        file.write_text("".join(json.dumps(day) + "\n" for day in days))
        said = stack.run("housekeeping")
        assert said.returncode == 1
        assert "are free at" in said.stderr
        assert re.search(FULL, said.stderr)
        checks = json.loads(stack.run("doctor", "--json").stdout)
        [check] = [each for each in checks if each["name"] == "disk"]
        assert re.search(FULL, check["problem"])
    finally:
        file.write_text(before)

"""Up again after whatever happened: no data lost, nothing to be done by hand."""

from typing import Any

import httpx
import pytest

from tests.compose.project import (
    LONG_RUNNING,
    TARGETS,
    Project,
    run,
    s3_client,
    start_training,
)
from tests.support import wait_until

pytestmark = [pytest.mark.disturbs, pytest.mark.usefixtures("training")]

MIGRATIONS = {"airflow": "airflow-init", "mlflow": "mlflow-migrate"}
MAIN = "kill -KILL $(cut -d ' ' -f 1 /proc/1/task/1/children)"


def keepsakes(project: Project) -> dict[str, Any]:
    """What has to outlive everything."""
    secrets = project.secrets()
    s3 = s3_client(project, secrets["minio_root"])
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="mlflow")
    return {
        "secrets": secrets,
        "trainings": project.sql(
            "SELECT run_id, state FROM dag_run WHERE dag_id = 'train_believed' ORDER BY 1",
            "airflow",
        ),
        "versions": project.sql(
            "SELECT version, storage_location FROM model_versions ORDER BY 1", "mlflow"
        ),
        "ledger": project.sql("SELECT id, configuration FROM trial_ledger ORDER BY 1", "tradewind"),
        "bars": project.execute(
            "airflow-worker", "bash", "-c", "cd /var/lib/tradewind/market; find . -type f | sort"
        ).splitlines(),
        # Exactly: the sum of floats depends on the order that the rows are read in.
        "metrics": project.sql("SELECT count(*), sum(value::numeric) FROM metrics", "mlflow"),
        "artifacts": {
            entry["Key"]: entry["ETag"]
            for page in pages
            for entry in page["Contents"]
            if entry["Key"] != "tradewind-probe"  # there for a moment
        },
        "result": project.redis("-n", "1", "GET", "trading:kept"),
    }


@pytest.fixture
def before(project: Project) -> dict[str, Any]:
    project.redis("-n", "1", "SET", "trading:kept", "what a task returned")
    assert project.redis("WAITAOF", "1", "0", "5000").splitlines()[0] == "1"  # it is on disk
    found = keepsakes(project)
    assert ["success"] in [row[1:] for row in found["trainings"]]
    assert all(found.values())
    return found


def noted_versions(project: Project) -> dict[str, str]:
    """Which version each database was migrated for, as it says itself."""
    rows = project.sql(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database "
        "WHERE datname IN ('airflow', 'mlflow')"
    )
    return dict(rows)


def starts(project: Project) -> dict[str, str]:
    return {c.id: c.state["StartedAt"] for c in project.containers(*LONG_RUNNING)}


def test_another_up_changes_nothing(project: Project, before: dict[str, Any]) -> None:
    running = starts(project)
    project.up()
    assert starts(project) == running
    assert keepsakes(project) == before


def test_what_crashes_comes_back_by_itself(project: Project, before: dict[str, Any]) -> None:
    """Everything at once and in no order, as after the power failed."""
    containers = project.containers(*LONG_RUNNING)
    for c in containers:
        project.execute(c, "bash", "-c", MAIN, check=False)

    def restarted() -> bool:
        now = {c.id: c for c in project.containers(*LONG_RUNNING)}
        return all(
            c.id in now and now[c.id].about["RestartCount"] > c.about["RestartCount"]
            for c in containers
        )

    wait_until(restarted, 60)
    project.wait_healthy(240)
    assert keepsakes(project) == before


def test_what_was_killed_is_there_again_after_up(
    project: Project, before: dict[str, Any], airflow: httpx.Client
) -> None:
    running = set(starts(project))
    run("docker", "kill", *running)
    assert project.containers(*LONG_RUNNING) == []
    project.up()
    assert set(starts(project)) == running
    assert keepsakes(project) == before
    # A login of before is still one: the keys that sign it are the same.
    assert airflow.get("/api/v2/dags").is_success


def test_an_upgrade_by_down_and_up_migrates_first_and_keeps_everything(
    project: Project, before: dict[str, Any], airflow: httpx.Client
) -> None:
    for target in TARGETS:
        image = f"tradewind-{target}:{project.name}"
        run("docker", "build", "--tag", image, "-", input=f"FROM {image}\nLABEL next=yes\n")
    versions = noted_versions(project)
    assert set(versions) == set(MIGRATIONS)
    for name in versions:
        project.sql(f"COMMENT ON DATABASE {name} IS 'an older version'")
    seen = len(project.events())
    project.down("down")
    assert project.containers(stopped=True) == []
    project.up()
    first: dict[tuple[str, str], float] = {}
    for event in project.events()[seen:]:
        if event.what == "start" or (event.what == "die" and event.exit_code == "0"):
            first.setdefault((event.service, event.what), event.at)
    for c in project.containers(*LONG_RUNNING):
        application = c.service.split("-")[0]
        if application in MIGRATIONS:
            assert c.about["Config"]["Labels"]["next"] == "yes"
            assert first[c.service, "start"] > first[MIGRATIONS[application], "die"]
    for step in project.containers(*MIGRATIONS.values(), stopped=True):
        assert "migrated" in project.logs(step).splitlines()
    assert noted_versions(project) == versions
    assert keepsakes(project) == before
    # And it works: another training, to success.
    path = start_training(airflow)
    wait_until(lambda: airflow.get(path).json()["state"] in {"success", "failed"}, 180)
    assert airflow.get(path).json()["state"] == "success"

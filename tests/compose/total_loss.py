"""Everything deleted, and restored from a backup that was made while a training ran.

Part of the campaign: `pytest tests/compose/total_loss.py`. What `make test` does of it is in
`test_theirs.py`, where nothing is started after the restore.
"""

import json
from typing import Any

import httpx
import pytest

from tests.compose.project import Project, start_training
from tests.compose.test_recovery import keepsakes
from tests.support import wait_until

pytestmark = [pytest.mark.disturbs, pytest.mark.usefixtures("training")]
REPRODUCE = """
from tradewind.market.store.bar_store import BarStore
from tradewind.registry.reproduction import reproduce
from tradewind.settings import load_settings
settings = load_settings()
read = BarStore(settings.market_store).read
print(reproduce("believed", {}, read, home=settings.home).identical)
"""
OF_STORES = ("postgres_", "redis_", "minio_", "objects_")


def told(project: Project, *words: str) -> dict[str, Any]:
    """What a service of the profile `tools` said when it was run."""
    return json.loads(project.compose("run", "--rm", "-T", *words).stdout)


def state(airflow: httpx.Client, path: str) -> str:
    return airflow.get(path).json()["state"]


def test_after_a_total_loss_all_is_as_it_was_and_goes_on(
    project: Project, airflow: httpx.Client
) -> None:
    path = start_training(airflow)
    wait_until(lambda: state(airflow, path) == "running", 120)
    before = keepsakes(project)
    made = told(project, "backup", "--keep", "1")
    run_id = path.rpartition("/")[2]
    assert made["versions"] == len(before["versions"]) >= 1
    assert made["incomplete"] == []
    [kept] = json.loads(project.compose("run", "--rm", "-T", "backups").stdout)
    assert kept["name"] == made["backup"]["name"]

    project.down("--profile", "tools", "down", "--volumes", "--timeout", "10")
    restored = told(project, "restore")
    assert restored["backup"] == made["backup"]
    assert (restored["rows"], restored["files"]) == (made["rows"], made["files"])
    again = project.compose("run", "--rm", "-T", "restore", check=False)
    assert again.returncode == 1
    assert "there is data in database airflow" in again.stderr
    project.up()

    # A login of before is still one, and what was under way comes to its end by itself.
    wait_until(lambda: state(airflow, path) in {"success", "failed"}, 600)
    assert state(airflow, path) == "success"
    after = keepsakes_but_redis(project)
    assert after["trainings"] == [
        [run, "success" if run == run_id else was] for run, was in before["trainings"]
    ]
    for name in ("versions", "ledger", "bars"):
        assert after[name][: len(before[name])] == before[name], name
    assert after["artifacts"].keys() >= before["artifacts"].keys()
    for name, value in before["secrets"].items():
        assert (after["secrets"][name] == value) == (not name.startswith(OF_STORES)), name
    for number, _ in before["versions"]:
        said = project.execute(
            "airflow-worker", "with-secrets", "python", "-c", REPRODUCE.format(number), timeout=600
        )
        assert said.strip().endswith("True"), said


def keepsakes_but_redis(project: Project) -> dict[str, Any]:
    """What is restored: Redis has only what waits, and that is sent again."""
    project.redis("-n", "1", "SET", "trading:kept", "another result")
    return keepsakes(project)

"""A sweep over the Celery workers, of a strategy that brings a feature of its own."""

from typing import Any

import httpx
import pytest

from tests.compose.project import CHECKOUT, Project, start_training
from tests.support import wait_until

TRIALS, BATCHES = 4, 2
SWEPT = CHECKOUT / "tests" / "stack" / "strategies" / "swept.yaml"
OWN = '  - custom: {name: chance, function: "chance:noise", parameters: {seed: 1}}\n'


@pytest.fixture(scope="module")
def sweep(project: Project, airflow: httpx.Client) -> dict[str, Any]:
    """Airflow's account of a run, with ``tasks``; its strategy came while the stack ran."""
    text = SWEPT.read_text()
    for before, after in (
        ("trials: 16", f"trials: {TRIALS}"),
        ("batches: 4", f"batches: {BATCHES}"),
        ("features:\n", f"features:\n{OWN}"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    strategies = project.home / "strategies"
    (strategies / "chance.py").write_text((strategies / "noise_features.py").read_text())
    (strategies / "swept.yaml").write_text(text)
    path = start_training(airflow, "swept")
    wait_until(lambda: airflow.get(path).json()["state"] in {"success", "failed"}, 240)
    tasks = airflow.get(f"{path}/taskInstances").json()["task_instances"]
    return {**airflow.get(path).json(), "tasks": tasks}


def test_every_task_succeeds(sweep: dict[str, Any], mlflow: httpx.Client) -> None:
    states = {(task["task_id"], task["map_index"]): task["state"] for task in sweep["tasks"]}
    gate = version_tags(mlflow)["tradewind.gate"]
    # The gate may refuse it, and then nobody promotes it: that is a success, too.
    promoted = "success" if gate == "passed" else "skipped"
    assert states == {
        **dict.fromkeys([("ingest", -1), ("plan_sweep", -1), ("train", -1)], "success"),
        **{("run_trials", batch): "success" for batch in range(BATCHES)},
        ("judge", -1): "success",
        ("promote", -1): promoted,
        ("verify", -1): "success",
    }
    assert sweep["state"] == "success"


@pytest.mark.usefixtures("sweep")
def test_every_trial_is_in_the_ledger_once_and_counts(
    project: Project, mlflow: httpx.Client
) -> None:
    counted = project.sql(
        "SELECT count(*), count(DISTINCT configuration), count(failure) FROM trial_ledger "
        "WHERE strategy = 'swept'",
        "tradewind",
    )
    assert counted == [[str(TRIALS), str(TRIALS), "0"]]
    assert version_tags(mlflow)["tradewind.trials"] == str(TRIALS)


@pytest.mark.usefixtures("sweep")
def test_the_code_of_its_own_feature_is_on_record(mlflow: httpx.Client) -> None:
    assert len(version_tags(mlflow)["tradewind.features_sha256"]) == 64


def version_tags(mlflow: httpx.Client) -> dict[str, str]:
    found = mlflow.get(
        "/api/2.0/mlflow/model-versions/search", params={"filter": "name = 'swept'"}
    ).json()["model_versions"]
    assert len(found) == 1
    return {tag["key"]: tag["value"] for tag in found[0]["tags"]}

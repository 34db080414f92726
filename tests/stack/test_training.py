"""The main job: a strategy trained by Celery workers, registered, fetched back."""

import json
from typing import Any

import httpx
import psycopg2
import pytest

from tradewind.market.store import BarStore
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets


@pytest.fixture(scope="module")
def api(stack) -> Any:
    login = json.loads(stack.ok("credentials", "--json"))["airflow"]
    with httpx.Client(base_url=login["address"], timeout=30) as client:
        token = client.post(
            "/auth/token", json={"username": login["user"], "password": login["password"]}
        ).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture(scope="module")
def demo(stack) -> str:
    return stack.ok("demo", timeout=600)


def test_demo_shows_metrics_model_prediction_and_logins(stack, demo) -> None:
    logins = json.loads(stack.ok("credentials", "--json"))
    expected = ("sharpe", "momentum version", "champion", "forward return", "AAPL",
                logins["airflow"]["password"], logins["mlflow"]["address"])  # fmt: skip
    assert [text for text in expected if text not in demo] == []


@pytest.mark.usefixtures("demo")
def test_celery_workers_ran_the_run_and_it_succeeded(stack, api) -> None:
    runs = api.get("/api/v2/dags/train_momentum/dagRuns").json()["dag_runs"]
    assert runs
    assert {run["state"] for run in runs} == {"success"}
    tasks = api.get(
        f"/api/v2/dags/train_momentum/dagRuns/{runs[0]['dag_run_id']}/taskInstances"
    ).json()["task_instances"]
    assert {task["task_id"] for task in tasks} == {"ingest", "train", "verify"}
    assert {task["executor"] or "default" for task in tasks} == {"default"}
    assert {task["queue"] for task in tasks} == {"default"}
    option = api.get(
        "/api/v2/config/section/core/option/executor", headers={"Accept": "application/json"}
    ).json()
    assert option["sections"][0]["options"][0]["value"] == "CeleryExecutor"
    # Celery's own record: workers write a result for each task they ran.
    connection = psycopg2.connect(
        host="127.0.0.1", port=stack.settings.postgres_port, user="airflow", dbname="airflow",
        password=load_secrets(Layout(stack.settings.state)).postgres_airflow,
    )  # fmt: skip
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'")
            assert cursor.fetchone()[0] >= len(tasks)
    finally:
        connection.close()


@pytest.mark.usefixtures("demo")
def test_between_tasks_goes_a_reference_and_no_data(stack, api) -> None:
    run = api.get("/api/v2/dags/train_momentum/dagRuns").json()["dag_runs"][0]["dag_run_id"]
    entry = api.get(
        f"/api/v2/dags/train_momentum/dagRuns/{run}/taskInstances/ingest/xcomEntries/return_value"
    ).json()
    snapshot = json.loads(entry["value"]) if entry["value"].startswith('"') else entry["value"]
    assert BarStore(stack.settings.market_store).read(snapshot).height > 0


@pytest.mark.usefixtures("demo")
def test_another_training_adds_a_version_and_leaves_the_champion(stack) -> None:
    before = json.loads(stack.ok("models", "show", "momentum", "--json"))
    stack.ok("train", "momentum", "--wait", timeout=300)
    after = json.loads(stack.ok("models", "show", "momentum", "--json"))
    assert [v["version"] for v in after] == [before[0]["version"] + 1] + [
        v["version"] for v in before
    ]
    by_alias = {alias: v["version"] for v in after for alias in v["aliases"]}
    assert by_alias["challenger"] == after[0]["version"]
    assert by_alias["champion"] == 1
    assert after[0]["tags"]["tradewind.snapshot_id"] == after[1]["tags"]["tradewind.snapshot_id"]
    assert after[0]["metrics"] == after[1]["metrics"]  # same data, same seed, same result


@pytest.mark.usefixtures("demo")
def test_champion_and_challenger_predict_the_same_last_session(stack) -> None:
    found = [
        json.loads(stack.ok("predict", "momentum", "--alias", alias, "--json"))
        for alias in ("champion", "challenger")
    ]
    assert found[0]["session"] == "2013-03-01"
    assert set(found[0]["predictions"]) == {"AAPL", "GOOG", "IBM", "MSFT"}
    assert found[0]["predictions"] == found[1]["predictions"]


@pytest.mark.usefixtures("demo")
def test_the_evidence_is_in_mlflow(stack) -> None:
    login = json.loads(stack.ok("credentials", "--json"))["mlflow"]
    version = json.loads(stack.ok("models", "show", "momentum", "--json"))[-1]
    with httpx.Client(
        base_url=login["address"], auth=(login["user"], login["password"]), timeout=30
    ) as client:
        listed = client.get(
            "/api/2.0/mlflow/artifacts/list",
            params={"run_id": version["run_id"], "path": "backtest"},
        ).json()["files"]
        history = client.get(
            "/api/2.0/mlflow/metrics/get-history",
            params={"run_id": version["run_id"], "metric_key": "fold/sharpe"},
        ).json()["metrics"]
    assert [file["path"] for file in listed if file["path"].endswith(".png")]
    assert len(history) >= 3
    assert [m["step"] for m in history] == list(range(len(history)))


def test_a_strategy_that_does_not_exist_is_named_with_those_that_do(stack) -> None:
    result = stack.run("train", "nonesuch")
    assert result.returncode == 1
    assert "no strategy 'nonesuch'" in result.stderr
    assert "momentum" in result.stderr


@pytest.mark.usefixtures("demo")
def test_a_new_strategy_file_becomes_a_dag_and_a_wrong_one_hides_no_other(stack) -> None:
    text = (stack.home / "strategies" / "momentum.yaml").read_text()
    second = stack.home / "strategies" / "second.yaml"
    wrong = stack.home / "strategies" / "wrong.yaml"
    second.write_text(text.replace("name: momentum", "name: second"))
    wrong.write_text(text.replace("name: momentum", "name: wrong").replace("seed: 7", "seed: x"))
    try:
        stack.ok("train", "second", "--wait", timeout=300)
        result = stack.run("train", "wrong")
        assert result.returncode == 1
        assert "wrong.yaml" in result.stderr
        assert "seed" in result.stderr
    finally:
        second.unlink()
        wrong.unlink()

"""The main job: a strategy trained by Celery workers, registered, fetched back."""

import json

import httpx
import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tradewind.market.store.bar_store import BarStore


@pytest.fixture(scope="module")
def demo(stack: Stack) -> str:
    return stack.ok("demo", timeout=600)


def test_demo_shows_metrics_model_prediction_and_logins(stack: Stack, demo: str) -> None:
    logins = json.loads(stack.ok("credentials", "--json"))
    expected = ("sharpe", "momentum version", "champion", "forward return", "AAPL",
                logins["airflow"]["password"], logins["mlflow"]["address"])  # fmt: skip
    assert [text for text in expected if text not in demo] == []


def test_demo_shows_what_the_gate_refuses_and_overrules_it_by_name(stack: Stack, demo: str) -> None:
    words = " ".join(demo.split())
    first = stack.json("models", "show", "momentum")[-1]
    [refused] = [rule for rule in first["decision"]["rules"] if not rule["passed"]]
    assert refused["rule"] == "min_alpha_probability"
    assert first["verdict"].startswith("No better than holding: alpha ")
    assert first["verdict"] in words
    assert refused["reason"] in words
    assert "The gate had refused it: min_alpha_probability" in words
    assert "champion" in first["aliases"]
    assert "No better than holding" in " ".join(stack.ok("models", "list").split())


@pytest.mark.usefixtures("demo")
def test_celery_workers_ran_the_run_and_it_succeeded(stack: Stack, airflow: Airflow) -> None:
    [run] = airflow.runs("train_momentum")
    assert run["state"] == "success"
    tasks = airflow.tasks("train_momentum", run["dag_run_id"])
    done = dict.fromkeys(("ingest", "train", "judge", "verify"), "success")
    assert {t["task_id"]: t["state"] for t in tasks} == {**done, "promote": "skipped"}
    assert {task["executor"] or "default" for task in tasks} == {"default"}
    assert {task["queue"] for task in tasks} == {"default"}
    option = airflow.get("/config/section/core/option/executor")
    assert option["sections"][0]["options"][0]["value"].startswith("CeleryExecutor:")
    # Celery's own record: workers write a result for each task they ran.
    [[succeeded]] = stack.rows(
        "SELECT count(*) FROM celery.celery_taskmeta WHERE status = 'SUCCESS'", database="airflow"
    )
    assert succeeded >= len(tasks)


@pytest.mark.usefixtures("demo")
def test_between_tasks_goes_a_reference_and_no_data(stack: Stack, airflow: Airflow) -> None:
    [run] = airflow.runs("train_momentum")
    snapshot_id = airflow.returned("train_momentum", run["dag_run_id"], "ingest")
    store = BarStore(stack.settings.market_store)
    [taken] = [info for info in store.snapshots() if info.id == snapshot_id]
    assert set(taken.symbols) == {"AAPL", "GOOG", "IBM", "MSFT"}
    assert store.read(snapshot_id).height == taken.rows > 0


@pytest.fixture(scope="module")
def again(stack: Stack, airflow: Airflow, demo: str) -> dict[str, str | None]:
    """States of the tasks of a second training on the same bars."""
    assert demo
    stack.ok("train", "momentum", "--wait", timeout=600)
    return airflow.states("train_momentum", airflow.runs("train_momentum")[-1]["dag_run_id"])


def test_the_same_again_is_no_better_than_the_champion_and_is_refused(
    stack: Stack, again: dict[str, str | None]
) -> None:
    assert (again["judge"], again["promote"], again["verify"]) == ("success", "skipped", "success")
    second, first = stack.json("models", "show", "momentum")
    assert "champion" in first["aliases"]
    assert second["aliases"] == []
    refused = [rule["rule"] for rule in second["decision"]["rules"] if not rule["passed"]]
    assert refused == ["min_alpha_probability", "champion_margin"]
    assert first["tags"]["tradewind.snapshot_id"] == second["tags"]["tradewind.snapshot_id"]
    assert first["metrics"] == second["metrics"]  # same data, same seed, same result


@pytest.mark.usefixtures("again")
def test_the_champion_predicts_the_last_session(stack: Stack) -> None:
    found = stack.json("predict", "momentum")
    assert (found["version"], found["session"]) == (1, "2013-03-01")
    assert set(found["predictions"]) == {"AAPL", "GOOG", "IBM", "MSFT"}


@pytest.mark.usefixtures("demo")
def test_the_evidence_is_in_mlflow(stack: Stack, mlflow: httpx.Client) -> None:
    version = stack.json("models", "show", "momentum")[-1]
    listed = mlflow.get(
        "/artifacts/list", params={"run_id": version["run_id"], "path": "backtest"}
    ).json()["files"]
    history = mlflow.get(
        "/metrics/get-history", params={"run_id": version["run_id"], "metric_key": "fold/sharpe"}
    ).json()["metrics"]
    assert [file["path"] for file in listed if file["path"].endswith(".png")]
    assert len(history) >= 3
    assert [m["step"] for m in history] == list(range(len(history)))


def test_what_is_odd_about_a_source_is_said_and_is_no_error(stack: Stack) -> None:
    found = stack.json("data", "validate", "sample", "AAPL")
    [crash] = [each for each in found if each["rule"] == "large_move"]
    assert (crash["symbol"], crash["session"], crash["severity"]) == (
        "AAPL", "2000-09-29", "warning",
    )  # fmt: skip
    assert {each["severity"] for each in found} == {"warning"}
    unknown = stack.run("data", "validate", "nonesuch")
    assert unknown.returncode == 1
    assert "nonesuch" in unknown.stderr


@pytest.mark.usefixtures("demo")
def test_snapshots_are_listed_newest_first(stack: Stack) -> None:
    version = stack.json("models", "show", "momentum")[-1]
    found = stack.json("data", "snapshots")
    [taken] = [each for each in found if each["id"] == version["tags"]["tradewind.snapshot_id"]]
    assert (taken["source"], taken["rows"]) == ("sample", 11_958)
    assert [each["created"] for each in found] == sorted(
        (each["created"] for each in found), reverse=True
    )


def test_a_backtest_is_a_trial_in_the_ledger_and_registers_nothing(stack: Stack) -> None:
    found = stack.json("backtest", "crossover")
    assert found["folds"] >= 10
    assert found["metrics"]["trials"] == 1
    ledger = "SELECT snapshot_id, metrics FROM trial_ledger WHERE strategy = 'crossover'"
    [(snapshot_id, metrics)] = stack.rows(ledger)
    assert snapshot_id == found["snapshot_id"]
    assert metrics["sharpe"] == found["metrics"]["sharpe"]
    assert stack.json("backtest", "crossover") == found
    assert len(stack.rows(ledger)) == 1  # the same again is no other trial
    assert "crossover" not in [model["name"] for model in stack.json("models", "list")]


def test_a_strategy_that_does_not_exist_is_named_with_those_that_do(stack: Stack) -> None:
    result = stack.run("train", "nonesuch")
    assert result.returncode == 1
    assert "no strategy named 'nonesuch'" in result.stderr
    assert "momentum" in result.stderr


@pytest.mark.usefixtures("demo")
def test_a_new_strategy_file_becomes_a_dag_and_a_wrong_one_hides_no_other(stack: Stack) -> None:
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

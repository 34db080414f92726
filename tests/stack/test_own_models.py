"""A model of the desk's own, from its file to orders on paper."""

import json

import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack, WaitUntil

NAME = "sequential"
EXECUTED = f"execute_{NAME}"


@pytest.fixture(scope="module")
def run_id(stack: Stack, airflow: Airflow) -> str:
    stack.ok("train", NAME, "--wait", timeout=900)
    run = airflow.runs(f"train_{NAME}")[-1]
    assert run["state"] == "success"
    return str(run["dag_run_id"])


def test_it_is_trained_and_becomes_the_champion(
    stack: Stack, airflow: Airflow, run_id: str
) -> None:
    [version] = stack.json("models", "show", NAME)
    assert "champion" in version["aliases"]
    assert version["metrics"]["reproducible"] == 1.0
    rules = {rule["rule"]: rule["passed"] for rule in version["decision"]["rules"]}
    assert rules["reproducible"] is True
    tasks = {each["task_id"]: each for each in airflow.tasks(f"train_{NAME}", run_id)}
    names = [task["task_id"] for task in airflow.tasks(f"train_{NAME}", run_id)]
    assert names.count("run_folds") == version["metrics"]["n_folds"] > 1
    assert stack.rows("SELECT count(*) FROM walk_forward_folds", role="research") == [(0,)]
    said = [
        str(entry["event"]) for entry in airflow.log(f"train_{NAME}", run_id, tasks["train"], 1)
    ]
    assert [line for line in said if line.startswith("fitted 8 units on ")]


@pytest.mark.usefixtures("run_id")
def test_its_signals_become_orders_on_paper(
    stack: Stack, airflow: Airflow, wait_until: WaitUntil
) -> None:
    wait_until(lambda: airflow.runs(EXECUTED), 300)
    run = airflow.runs(EXECUTED)[0]
    state, tasks = airflow.finished(EXECUTED, run["dag_run_id"])
    assert state == "success", tasks
    signals = stack.json("signals", NAME)
    assert signals["weights"].keys() == {"AAPL", "IBM", "MSFT"}
    orders = stack.json("trading", "orders", NAME)
    assert orders
    assert {order["symbol"] for order in orders} <= {"AAPL", "IBM", "MSFT"}
    assert {order["state"] for order in orders} <= {"submitted", "accepted", "filled"}


@pytest.mark.usefixtures("run_id")
def test_it_is_reproduced_and_predicts_by_the_code_that_was_registered(stack: Stack) -> None:
    before = stack.json("predict", NAME)
    assert (before["version"], before["alias"]) == (1, "champion")
    code = stack.home / "strategies" / "sequential_model.py"
    kept = code.read_text()  # nothing runs by it any more: see the test before
    try:
        code.write_text("raise RuntimeError('edited since')\n")
        assert stack.json("predict", NAME) == before
        found = json.loads(stack.ok("reproduce", NAME, "1", "--json", timeout=600))
        assert found["identical"] is True  # and its folds are fitted in one process here
    finally:
        code.write_text(kept)

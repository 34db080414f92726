"""Models of other libraries, of the desk's own, and a rule, each traded on paper to the cent.

Part of the campaign: `pytest tests/stack/own_kinds_traded.py`. What `make test` does of it is in
`test_own_models.py`, where the orders of one such model are looked at.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import sessions
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack

COUNT = sessions.count_asked_for(5)
KINDS: dict[str, dict[str, Any]] = {
    "trees": {
        "kind": "estimator",
        "class": "xgboost:XGBRegressor",
        "parameters": {"n_estimators": 20, "max_depth": 3},
    },
    "network": {
        "kind": "custom",
        "class": "sequential_model:Network",
        "parameters": {"hidden": 8},
        "lookback": 10,
    },
    "rule": {
        "kind": "rule",
        "function": "leaning_rule:lean",
        "parameters": {"share": 0.25},
    },
}


def strategy(name: str) -> dict[str, Any]:
    found = {**sessions.STRATEGY, "name": f"traded_{name}", "model": KINDS[name]}
    if name == "rule":
        found["backtest"] = {**found["backtest"], "positions": "weights"}
    return found


@pytest.fixture(scope="module")
def traded(stack: Stack, airflow: Airflow) -> Path:
    """The checkout in which each of them was traded."""
    sessions.play(airflow, stack.home, COUNT, strategies=[strategy(name) for name in KINDS])
    return stack.home


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("name", KINDS)
def test_the_book_is_the_backtest_s_to_the_cent(stack: Stack, name: str) -> None:
    assert sessions.check_book(stack.rows, strategy(name)) > COUNT
    [compared] = stack.json("trading", "reconcile", f"traded_{name}")
    assert compared["difference"] == ""


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("name", KINDS)
def test_it_is_reproduced(stack: Stack, name: str) -> None:
    found = json.loads(stack.ok("reproduce", f"traded_{name}", "1", "--json", timeout=900))
    assert found["identical"] is True

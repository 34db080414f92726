"""Models of other libraries, of the desk's own, and a rule, each traded on paper to the cent.

Part of the campaign: `pytest tests/stack/own_kinds_traded.py`. What `make test` does of it is in
`test_own_models.py`, where the orders of one such model are looked at.
"""

import json

import pytest

from tests import sessions
from tests.own_kinds import COUNT, NETWORK, strategies
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack

STRATEGIES = strategies(NETWORK)


@pytest.fixture(scope="module", autouse=True)
def traded(stack: Stack, airflow: Airflow) -> None:
    sessions.play(airflow, stack.home, COUNT, strategies=list(STRATEGIES.values()))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_book_is_the_backtest_s_to_the_cent(stack: Stack, name: str) -> None:
    assert sessions.check_book(stack.rows, STRATEGIES[name]) > COUNT
    [compared] = stack.json("trading", "reconcile", name)
    assert compared["difference"] == ""


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_is_reproduced(stack: Stack, name: str) -> None:
    found = json.loads(stack.ok("reproduce", name, "1", "--json", timeout=900))
    assert found["identical"] is True

"""What is found where it was before version 0.2, until 0.3."""

import importlib
import subprocess
import sys

import pytest

MOVED = {
    "tradewind.orchestration.bridge": "tradewind.bridge",
    "tradewind.market.source": "tradewind.market.sources.source",
}


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_same_thing_and_says_where_it_is_now(old: str) -> None:
    new = importlib.import_module(MOVED[old])
    # Loads Airflow, whose logging takes over warnings, before they are listened to.
    names = {name: getattr(new, name) for name in new.__all__}
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is {MOVED[old]} now"):
        found = importlib.import_module(old)
    assert {name: getattr(found, name) for name in names} == names


def test_a_trigger_that_waits_in_airflow_s_database_is_found() -> None:
    script = """
from importlib import import_module
from tradewind.bridge import CeleryTaskTrigger
found = import_module("tradewind.orchestration.bridge.triggers")
assert found.CeleryTaskTrigger is CeleryTaskTrigger
"""
    subprocess.run([sys.executable, "-c", script], check=True)

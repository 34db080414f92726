"""A workflow of a desk's own, in Airflow, with the logins that a task has."""

from tests.stack.airflow import Airflow
from tests.stack.conftest import HANDED_IN as NAME
from tests.stack.conftest import Stack, WaitUntil


def test_what_it_hands_in_is_judged_registered_promoted_and_signalled(
    stack: Stack, airflow: Airflow, wait_until: WaitUntil
) -> None:
    airflow.patch("/dags/own_training", {"is_paused": False})
    run_id = airflow.trigger("own_training")
    state, tasks = airflow.finished("own_training", run_id)
    assert (state, tasks) == ("success", {"train": "success", "promote": "success"})
    [version] = stack.json("models", "show", NAME)
    assert "champion" in version["aliases"]
    assert version["tags"]["tradewind.airflow.run_id"] == run_id
    assert version["tags"]["tradewind.external"] == "true"
    assert version["metrics"]["trials"] == 1.0
    wait_until(lambda: stack.run("signals", NAME, "--json").returncode == 0, 300)
    signals = stack.json("signals", NAME)
    assert signals["model_version"] == 1
    assert signals["weights"].keys() == {"AAPL", "GOOG", "IBM", "MSFT"}
    assert not airflow.knows(f"train_{NAME}")  # there is nothing to train
    told = stack.run("train", NAME)
    assert told.returncode == 1
    assert "nothing to train here" in told.stderr

"""Runs that are asked for with a date, on the page and by Airflow's own command."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tests.support import wait_until
from tradewind.desk.airflow_client import AirflowClient
from tradewind.errors import OrchestrationError

TASKS = {"ingest", "train", "judge", "promote", "verify"}
ALERTED = """
    SELECT data::jsonb -> '__var' -> 'kwargs' -> '__var' ->> 'task_id' FROM callback
    WHERE data::text LIKE '%%task_never_began%%' AND data::text LIKE %s AND state = 'success'
"""


def test_a_run_of_long_ago_does_all_that_another_does(airflow: Airflow) -> None:
    asked = {"logical_date": "2010-01-04T22:00:00Z", "conf": {}}
    run = airflow.post("/dags/train_believed/dagRuns", asked)
    state, states = airflow.finished("train_believed", run["dag_run_id"])
    assert state == "success"
    assert set(states) == TASKS


def by_hand(stack: Stack, run_id: str, *words: str) -> None:
    """Trigger a training with Airflow's own command."""
    program = Path(sys.executable).with_name("airflow")
    done = subprocess.run(
        [str(program), "dags", "trigger", "train_believed", "--run-id", run_id, *words],
        cwd=stack.settings.state,
        env=stack.airflow_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("date", [(), ("--logical-date", "2009-03-09T22:00:00+00:00")])
def test_airflows_own_command_triggers_a_run(
    stack: Stack, airflow: Airflow, date: tuple[str, ...]
) -> None:
    run_id = f"by_hand_{len(date)}"
    by_hand(stack, run_id, *date)
    state, states = airflow.finished("train_believed", run_id)
    assert (state, set(states)) == ("success", TASKS)


@pytest.mark.parametrize(
    ("run_id", "words", "why", "made"),
    [
        ("ahead", ("--logical-date", "9999-12-30T00:00:00+00:00"), "is still to come", TASKS),
        ("ancient", ("--logical-date", "1800-01-01T00:00:00+00:00"), "is before 1900", set()),
        ("huge", ("--conf", f'{{"x": 1{"0" * 400}}}'), "conf.x: a whole number has 63", TASKS),
    ],
)
def test_a_run_of_nonsense_ends_by_name_and_no_other_waits_for_it(
    stack: Stack,
    airflow: Airflow,
    *,
    run_id: str,
    words: tuple[str, ...],
    why: str,
    made: set[str],
) -> None:
    by_hand(stack, run_id, *words)
    state, states = airflow.finished("train_believed", run_id, 60)
    assert (state, set(states)) == ("failed", made)
    assert why in airflow.get(f"/dags/train_believed/dagRuns/{run_id}")["note"]
    page = stack.json("credentials")["airflow"]
    with (
        AirflowClient(page["address"], page["user"], page["password"]) as client,
        pytest.raises(OrchestrationError, match=why),
    ):
        client.wait("train_believed", run_id)
    if made:
        assert [name for name, state in states.items() if state == "failed"] == ["ingest"]
        wait_until(
            lambda: stack.rows(ALERTED, f"%{run_id}%", database="airflow") == [("ingest",)], 60
        )

"""Runs that are asked for with a date of long ago, on the page and by Airflow's own command."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack

TASKS = {"ingest", "train", "judge", "promote", "verify"}


def environment_of(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def test_a_run_of_long_ago_does_all_that_another_does(airflow: Airflow) -> None:
    asked = {"logical_date": "2010-01-04T22:00:00Z", "conf": {}}
    run = airflow.post("/dags/train_believed/dagRuns", asked)
    state, states = airflow.finished("train_believed", run["dag_run_id"])
    assert state == "success"
    assert set(states) == TASKS


@pytest.mark.parametrize("date", [(), ("--logical-date", "2009-03-09T22:00:00+00:00")])
def test_airflows_own_command_triggers_a_run(
    stack: Stack, airflow: Airflow, date: tuple[str, ...]
) -> None:
    program = Path(sys.executable).with_name("airflow")
    run_id = f"by_hand_{len(date)}"
    done = subprocess.run(
        [str(program), "dags", "trigger", "train_believed", "--run-id", run_id, *date],
        cwd=stack.settings.state,
        env=environment_of(stack.service("airflow-scheduler")["pid"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    state, states = airflow.finished("train_believed", run_id)
    assert (state, set(states)) == ("success", TASKS)

"""Workers that are killed with all that they hold, and a web server that is away for a while."""

import os
import signal

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tests.stack.dags.held import TASKS
from tests.support import wait_until

WORKERS = ("airflow-worker-1", "airflow-worker-2")
SLOTS = 4


def test_what_killed_workers_held_is_done_again_and_costs_the_others_no_try(
    stack: Stack, airflow: Airflow
) -> None:
    folder = stack.settings.state / "held"
    folder.mkdir()
    run_id = airflow.trigger("held")
    wait_until(lambda: len(list(folder.glob("begun-*"))) == SLOTS, 300)
    begun = {int(path.name.removeprefix("begun-")) for path in folder.glob("begun-*")}
    sessions = [stack.service(name)["pid"] for name in (*WORKERS, "airflow-webserver")]
    for session in sessions:  # a heartbeat that nobody answers is no task's fault
        os.killpg(session, signal.SIGKILL)
    (folder / "go").touch()
    wait_until(lambda: stack.status()["healthy"], 300, of=stack.status)
    # Airflow's own rules would take 300 s for those that ran, and 600 s for those that waited.
    state, states = airflow.finished("held", run_id, 240)
    assert state == "success", states
    tries = {t["map_index"]: t["try_number"] for t in airflow.tasks("held", run_id)}
    assert tries == {n: 2 if n in begun else 1 for n in range(TASKS)}
    told = airflow.get("/eventLogs", dag_id="held", run_id=run_id, limit=200)["event_logs"]
    why = [event["extra"] for event in told if event["event"] == "state mismatch"]
    assert len(why) == SLOTS
    assert all("its worker died" in each for each in why)

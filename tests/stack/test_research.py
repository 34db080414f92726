"""Research on the real stack: sweeps that are killed, gates that refuse, leaks, the past."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import httpx
import psutil
import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import CHECKOUT, Stack, WaitUntil
from tradewind.market.store.bar_store import BarStore
from tradewind.stack.processes import session_members

TRIALS, BATCHES = 16, 4
FRIDAY = date(2010, 6, 4)


@pytest.fixture(scope="module", autouse=True)
def backfill(airflow: Airflow) -> int:
    """Id of a backfill of the Friday, begun before all else, since nobody waits for it yet."""
    live = airflow.trigger("train_dated")
    assert airflow.finished("train_dated", live)[0] == "success"
    return make_up_for(airflow)


@pytest.fixture(scope="module")
def swept_run(airflow: Airflow) -> str:
    return airflow.trigger("train_swept")


@pytest.fixture(scope="module")
def killed(stack: Stack, airflow: Airflow, swept_run: str) -> dict[str, Any]:
    """A task that judges trials, killed after some were judged and before all were."""
    dag_id, run_id = "train_swept", swept_run
    workers = [stack.service(name)["pid"] for name in ("airflow-worker-1", "airflow-worker-2")]
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        [[judged]] = (
            stack.rows("SELECT count(*) FROM trial_ledger WHERE strategy = 'swept'")
            if stack.rows("SELECT 1 FROM pg_tables WHERE tablename = 'trial_ledger'")
            else [[0]]
        )
        assert judged < TRIALS, "all were judged before one could be killed"
        running = [
            task
            for task in airflow.tasks(dag_id, run_id)
            if (task["task_id"], task["state"]) == ("run_trials", "running") and task["pid"]
        ]
        if not judged or not running:
            time.sleep(0.2)
            continue
        ours = {pid for members in session_members(workers).values() for pid in members}
        for task in running:
            if task["pid"] in ours and psutil.Process(task["pid"]).status() != "zombie":
                os.kill(task["pid"], signal.SIGKILL)
                return task
    raise AssertionError(f"no trial was judged: {airflow.states(dag_id, run_id)}")


@pytest.fixture(scope="module")
def sweep(airflow: Airflow, swept_run: str, killed: dict[str, Any]) -> list[dict[str, Any]]:
    """Tasks of the run in which one was killed."""
    assert killed["task_id"] == "run_trials"
    state, states = airflow.finished("train_swept", swept_run)
    assert state == "success", states
    return airflow.tasks("train_swept", swept_run)


@pytest.fixture(scope="module")
def swept(stack: Stack, sweep: list[dict[str, Any]]) -> dict[str, Any]:
    """The version that the sweep led to."""
    assert sweep
    [version] = stack.json("models", "show", "swept")
    return version


def test_a_killed_batch_is_tried_again_and_no_trial_is_lost_or_repeated(
    stack: Stack,
    airflow: Airflow,
    swept_run: str,
    killed: dict[str, Any],
    sweep: list[dict[str, Any]],
) -> None:
    batches = [task for task in sweep if task["task_id"] == "run_trials"]
    assert [task["map_index"] for task in batches] == list(range(BATCHES))
    assert {task["state"] for task in batches} == {"success"}
    tries = {task["map_index"]: task["try_number"] for task in batches}
    assert tries == {n: 2 if n == killed["map_index"] else 1 for n in range(BATCHES)}
    judged = [
        int(found[1])
        for task in batches
        for attempt in range(1, task["try_number"] + 1)
        for entry in airflow.log("train_swept", swept_run, task, attempt)
        if (found := re.fullmatch(rf"trial (\d+) of {TRIALS} is judged", str(entry["event"])))
    ]
    assert len(judged) == len(set(judged))
    # What the killed one finished in its last moment it could not tell.
    assert len(set(range(TRIALS)) - set(judged)) <= 1
    states = stack.rows(
        "SELECT trials.state, count(*) FROM trials JOIN studies USING (study_id) "
        "WHERE study_name LIKE 'swept-%%' GROUP BY 1", role="research",
    )  # fmt: skip
    assert states == [("COMPLETE", TRIALS)]


def test_celery_workers_ran_the_batches(stack: Stack, sweep: list[dict[str, Any]]) -> None:
    ids = [task["id"] for task in sweep if task["task_id"] == "run_trials"]
    assert len(ids) == BATCHES
    assert {task["executor"] or "default" for task in sweep} == {"default"}
    # Celery's own record: as many successes as tasks that ran, and more.
    [[succeeded]] = stack.rows(
        "SELECT count(*) FROM celery.celery_taskmeta WHERE status = 'SUCCESS'", database="airflow"
    )
    ran = [task for task in sweep if task["state"] == "success"]
    assert succeeded >= len(ran) >= BATCHES + 4


def test_every_trial_is_in_the_ledger_and_counted(stack: Stack, swept: dict[str, Any]) -> None:
    rows = stack.rows(
        "SELECT count(*), count(DISTINCT configuration), count(DISTINCT snapshot_id), "
        "min(snapshot_id) FROM trial_ledger WHERE strategy = 'swept'"
    )
    assert rows == [(TRIALS, TRIALS, 1, swept["tags"]["tradewind.snapshot_id"])]
    assert swept["metrics"]["trials"] == TRIALS
    assert swept["tags"]["tradewind.trials"] == str(TRIALS)
    assert 0.0 <= swept["metrics"]["pbo"] <= 1.0


def test_the_version_says_what_it_was_made_from(stack: Stack, swept: dict[str, Any]) -> None:
    tags = swept["tags"]
    head = subprocess.run(
        ["git", "-C", str(stack.home), "rev-parse", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    lock = hashlib.sha256((CHECKOUT / "uv.lock").read_bytes()).hexdigest()
    assert tags["tradewind.git_commit"] == head
    assert tags["tradewind.git_dirty"] == "false"
    assert tags["tradewind.lock_sha256"] == lock
    assert tags["tradewind.seed"] == "7"
    assert re.fullmatch(r"[0-9a-f]{64}", tags["tradewind.strategy_sha256"])
    bars = BarStore(stack.settings.market_store).read(tags["tradewind.snapshot_id"])
    assert str(bars["session"].max()) == tags["tradewind.data_end"] == "2013-03-01"


def test_all_evidence_is_in_mlflow(mlflow: httpx.Client, swept: dict[str, Any]) -> None:
    def files(path: str) -> set[str]:
        params = {"run_id": swept["run_id"], "path": path}
        return {f["path"] for f in mlflow.get("/artifacts/list", params=params).json()["files"]}

    assert {
        "strategy.json", "gate.json", "folds.json", "importance.json", "trials.parquet",
        "validation.json", "validation.md",
    } <= files("")  # fmt: skip
    assert {"tearsheet/tearsheet.html", "tearsheet/tearsheet.png"} <= files("tearsheet")
    assert "tables/trials.json" in files("tables")
    assert "backtest/equity.parquet" in files("backtest")


def test_the_decision_stands_on_the_version(swept: dict[str, Any]) -> None:
    rules = {rule["rule"]: rule for rule in swept["decision"]["rules"]}
    assert {"leakage", "data_errors", "min_deflated_sharpe", "max_pbo", "min_trades"} <= set(rules)
    assert rules["min_deflated_sharpe"]["bound"] == 0.95
    verdict = "passed" if swept["decision"]["passed"] else "refused"
    assert swept["tags"]["tradewind.gate"] == verdict
    whole = json.loads(swept["tags"]["tradewind.gate.decision"])
    assert {rule["rule"] for rule in whole["rules"]} == set(rules)
    assert ("challenger" in swept["aliases"]) == swept["decision"]["passed"]


def test_the_best_of_a_sweep_is_reproduced_to_the_bit(stack: Stack, swept: dict[str, Any]) -> None:
    found = stack.json("reproduce", "swept", str(swept["version"]))
    assert found["identical"]


def test_a_run_whose_sweep_the_version_before_planned_goes_on_after_an_upgrade(
    stack: Stack, airflow: Airflow, swept_run: str, swept: dict[str, Any]
) -> None:
    """0.1.0 named no study, and judged with other code: the trials are judged anew."""
    assert stack.json("models", "show", "swept") == [swept]
    study = "SELECT study_id FROM studies WHERE starts_with(study_name, 'swept-')"
    stack.change(
        f"UPDATE studies SET study_name = '0.1.0' WHERE study_id IN ({study})", role="research"
    )
    airflow.say("train_swept", swept_run, "plan_sweep", None, "study")
    airflow.clear("train_swept", swept_run, "train")
    state, states = airflow.finished("train_swept", swept_run)
    assert state == "success", states
    count = f"SELECT count(*) FROM trials WHERE study_id IN ({study})"
    [[trials]] = stack.rows(count, role="research")
    assert trials == TRIALS


def test_noise_is_refused_and_the_run_succeeds(
    stack: Stack, airflow: Airflow, trainings: dict[str, str]
) -> None:
    state, states = airflow.finished("train_noise", trainings["noise"])
    assert (state, states["judge"], states["promote"], states["verify"]) == (
        "success", "success", "skipped", "success",
    )  # fmt: skip
    [version] = stack.json("models", "show", "noise")
    assert version["aliases"] == []
    refused = [rule for rule in version["decision"]["rules"] if not rule["passed"]]
    assert "min_deflated_sharpe" in [rule["rule"] for rule in refused]
    assert all(rule["reason"] for rule in refused)


def test_what_the_gate_refused_is_promoted_only_with_a_reason_to_override_it(
    stack: Stack, mlflow: httpx.Client, airflow: Airflow, trainings: dict[str, str]
) -> None:
    airflow.finished("train_noise", trainings["noise"])
    words = ("models", "promote", "noise", "1", "--reason", "a look at it", "--by", "ann")
    plain = stack.run(*words)
    assert plain.returncode == 1
    assert "the gate refused noise version 1" in plain.stderr
    assert stack.json("models", "show", "noise")[0]["aliases"] == []
    stack.ok(*words, "--override", "a drill")
    assert "champion" in stack.json("models", "show", "noise")[0]["aliases"]
    [entry] = history(mlflow, "noise")
    assert '"override": "a drill"' in entry
    assert '"by": "ann"' in entry
    assert "min_deflated_sharpe" in entry
    back = stack.run("models", "rollback", "noise", "--reason", "the drill is over")
    assert back.returncode == 1
    assert "noise has no former champion" in back.stderr


def test_a_feature_that_knows_tomorrow_fails_the_run_at_once(
    stack: Stack, airflow: Airflow, trainings: dict[str, str]
) -> None:
    run_id = trainings["peeking"]
    state, states = airflow.finished("train_peeking", run_id)
    assert (state, states["train"]) == ("failed", "failed")
    [task] = [t for t in airflow.tasks("train_peeking", run_id) if t["task_id"] == "train"]
    assert task["try_number"] == 1
    errors = [
        f"{detail['exc_type']}: {detail['exc_value']}"
        for entry in airflow.log("train_peeking", run_id, task, 1)
        for detail in entry.get("error_detail") or []
    ]
    assert [error for error in errors if re.match("LeakError: .*feature tomorrow of AAPL", error)]
    assert stack.run("models", "show", "peeking").returncode == 1


def test_a_strategy_that_may_leak_is_trained_marked_and_refused(
    stack: Stack, airflow: Airflow, trainings: dict[str, str]
) -> None:
    state, states = airflow.finished("train_careless", trainings["careless"])
    assert (state, states["promote"]) == ("success", "skipped")
    [version] = stack.json("models", "show", "careless")
    assert version["tags"]["tradewind.leakage"] == "true"
    assert version["aliases"] == []
    refused = [r["rule"] for r in version["decision"]["rules"] if not r["passed"]]
    assert refused == ["leakage"]  # its gate asks for nothing else
    forced = stack.run("models", "promote", "careless", "1", "--reason", "x", "--override", "y")
    assert forced.returncode == 1
    assert "can never be promoted" in forced.stderr


def test_a_past_friday_trained_twice_is_the_same_and_knows_nothing_later(
    stack: Stack, airflow: Airflow, backfill: int, wait_until: WaitUntil
) -> None:
    dag_id = "train_dated"
    begins: list[Callable[[], int]] = [lambda: backfill, lambda: make_up_for(airflow)]
    for begin in begins:
        path = f"/backfills/{begin()}"
        wait_until(lambda path=path: airflow.get(path)["completed_at"], 600)
    [run] = [run for run in airflow.runs(dag_id) if run["run_type"] == "backfill"]
    assert run["state"] == "success"
    tasks = {task["task_id"]: task for task in airflow.tasks(dag_id, run["dag_run_id"])}
    assert tasks["promote"]["state"] == "skipped"
    said = [
        [
            entry["event"]
            for entry in airflow.log(dag_id, run["dag_run_id"], tasks["train"], attempt)
            if str(entry["event"]).startswith(("trained dated on", "registered dated version"))
        ]
        for attempt in (1, 2)
    ]
    assert len(said[0]) == 2
    assert said[0] == said[1]  # all metrics to the last digit, and what the model learnt
    past, champion = stack.json("models", "show", "dated")
    assert f"model {past['tags']['tradewind.model_sha256']}: " in said[0][0]
    assert past["tags"]["tradewind.airflow.run_id"] == run["dag_run_id"]
    assert past["aliases"] == []
    assert past["decision"] is None
    assert past["tags"]["tradewind.data_end"] == str(FRIDAY)
    assert "champion" in champion["aliases"]
    assert champion["tags"]["tradewind.data_end"] == "2013-03-01"
    assert (
        past["tags"]["tradewind.strategy_sha256"] == champion["tags"]["tradewind.strategy_sha256"]
    )
    store = BarStore(stack.settings.market_store)
    snapshot_id = past["tags"]["tradewind.snapshot_id"]
    [taken] = [info for info in store.snapshots() if info.id == snapshot_id]
    assert taken.as_of == datetime(2010, 6, 4, 22, tzinfo=UTC)
    assert store.read(snapshot_id)["session"].max() == FRIDAY
    refused = stack.run("models", "promote", "dated", str(past["version"]), "--reason", "old")
    assert refused.returncode == 1
    assert "the gate has not judged dated version" in refused.stderr


def test_no_slot_from_before_the_file_was_there_is_run(
    stack: Stack, airflow: Airflow, backfill: int
) -> None:
    assert backfill
    there = (stack.home / "strategies" / "dated.yaml").stat().st_ctime
    due = [
        datetime.fromisoformat(run["run_after"]).timestamp()
        for run in airflow.runs("train_dated")
        if run["run_type"] == "scheduled"
    ]
    assert [when for when in due if when < there] == []


def make_up_for(airflow: Airflow) -> int:
    """Begin a backfill of the Friday and return its id."""
    asked = {
        "dag_id": "train_dated", "from_date": f"{FRIDAY}T00:00:00Z",
        "to_date": f"{FRIDAY}T23:59:59Z", "reprocess_behavior": "completed", "max_active_runs": 1,
    }  # fmt: skip
    return airflow.post("/backfills", asked)["id"]


def history(mlflow: httpx.Client, name: str) -> list[str]:
    """Return the entries of a model's history, oldest first."""
    found = mlflow.get("/registered-models/get", params={"name": name}).json()
    tags = {tag["key"]: tag["value"] for tag in found["registered_model"]["tags"]}
    return [tags[key] for key in sorted(tags) if key.startswith("tradewind.promotion.")]

"""From a version that passed its gate to what it wants to hold: people, signals, a watch."""

import json
from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any

import httpx
import pytest

from tests.stack.airflow import Airflow, login
from tests.stack.conftest import Stack
from tests.support import wait_until

WAITING = {"awaiting_input", "deferred"}


@pytest.fixture(scope="module")
def ann(stack: Stack, airflow: Airflow) -> Iterator[Airflow]:
    """The session of somebody who is not the admin."""
    person = {"username": "ann", "first_name": "Ann", "last_name": "Lee", "email": "ann@localhost"}
    content = {**person, "password": "a secret", "roles": [{"name": "Op"}]}
    made = airflow.http.post("/auth/fab/v1/users", json=content)
    assert made.is_success, made.text
    address = stack.json("credentials")["airflow"]["address"]
    with login(address, "ann", "a secret") as session:
        yield session


@pytest.fixture(scope="module")
def approved(airflow: Airflow, ann: Airflow, trainings: dict[str, str]) -> str:
    """The run whose version Ann has approved."""
    run_id = trainings["asked"]
    airflow.reach("train_asked", run_id, "approve", WAITING)
    assert airflow.states("train_asked", run_id)["promote"] is None
    answer(ann, run_id, "Approve")
    state, states = airflow.finished("train_asked", run_id)
    assert state == "success", states
    return run_id


@pytest.fixture(scope="module")
def first_signals(airflow: Airflow, approved: str) -> str:
    """The run that the approval has started."""
    assert approved
    wait_until(lambda: airflow.runs("signals_asked"), 120)
    [run] = airflow.runs("signals_asked")
    assert run["run_type"] == "asset_triggered"
    state, _ = airflow.finished("signals_asked", run["dag_run_id"])
    assert state == "success"
    return run["dag_run_id"]


@pytest.fixture(scope="module")
def rejected(airflow: Airflow, ann: Airflow, approved: str) -> str:
    """Another run, whose version she has rejected."""
    assert approved
    run_id = airflow.trigger("train_asked")
    airflow.reach("train_asked", run_id, "approve", WAITING)
    answer(ann, run_id, "Reject")
    state, states = airflow.finished("train_asked", run_id)
    assert (state, states["promote"], states["verify"]) == ("success", "skipped", "success")
    return run_id


@pytest.fixture(scope="module")
def ingested(airflow: Airflow, first_signals: str) -> Iterator[str]:
    """A run that stored new bars, with the DAGs of one strategy alone waiting for them."""
    assert first_signals
    kinds = ("signals_", "monitor_")
    for kind in kinds:
        airflow.patch("/dags", {"is_paused": True}, dag_id_pattern=kind)
        airflow.patch(f"/dags/{kind}asked", {"is_paused": False})
    try:
        run_id = airflow.trigger("ingest_sample")
        state, _ = airflow.finished("ingest_sample", run_id)
        assert state == "success"
        yield run_id
    finally:
        for kind in kinds:
            airflow.patch("/dags", {"is_paused": False}, dag_id_pattern=kind)


@pytest.fixture(scope="module")
def live(airflow: Airflow, ingested: str) -> dict[str, tuple[str, str]]:
    """Runs that the new bars have started, with their states, by DAG."""
    assert ingested
    found = {}

    def begun(dag_id: str, earlier: int) -> bool:
        return len(airflow.runs(dag_id)) > earlier

    for dag_id, earlier in (("signals_asked", 1), ("monitor_asked", 0)):
        wait_until(partial(begun, dag_id, earlier), 120)
        [run] = airflow.runs(dag_id)[earlier:]
        assert run["run_type"] == "asset_triggered"
        found[dag_id] = (run["dag_run_id"], airflow.finished(dag_id, run["dag_run_id"])[0])
    return found


@pytest.mark.usefixtures("approved")
def test_a_version_becomes_champion_when_a_person_approves(mlflow: httpx.Client) -> None:
    model = registered(mlflow, "asked")
    assert model["aliases"]["champion"] == 1
    entry = history(model)[0]
    assert (entry["kind"], entry["version"], entry["former"]) == ("promotion", 1, None)
    assert entry["by"] == "ann"
    assert "approved" in entry["reason"]


@pytest.mark.usefixtures("rejected")
def test_a_version_that_a_person_rejects_stays_what_it_is(stack: Stack) -> None:
    second, first = stack.json("models", "show", "asked")
    assert first["aliases"] == ["champion"]
    assert second["aliases"] == ["challenger"]
    assert second["decision"]["passed"]


def test_a_new_champion_says_at_once_what_it_wants_to_hold(
    stack: Stack, airflow: Airflow, first_signals: str
) -> None:
    told = airflow.returned("signals_asked", first_signals, "signal")
    assert stack.json("signals", "asked")["weights"] == told["weights"]
    [event] = airflow.events(source_dag_id="train_asked")["asset_events"]
    assert (event["name"], event["extra"]) == ("champion_asked", {"model_version": 1})


@pytest.mark.usefixtures("rejected", "live")
def test_promotion_by_hand_can_be_taken_back(
    stack: Stack, mlflow: httpx.Client, airflow: Airflow
) -> None:
    said = stack.ok("models", "promote", "asked", "2", "--reason", "it is newer", "--by", "bob")
    assert "signals_asked makes its signals now" in said
    assert announced(airflow, 3)[-1] == {"session": "2013-03-01", "model_version": 2}
    assert stack.json("signals", "asked")["model_version"] == 2
    promoted = registered(mlflow, "asked")
    assert (promoted["aliases"]["champion"], promoted["aliases"]["previous"]) == (2, 1)
    stack.ok("models", "rollback", "asked", "--reason", "too early", "--by", "bob")
    assert announced(airflow, 4)[-1] == {"session": "2013-03-01", "model_version": 1}
    back = registered(mlflow, "asked")
    assert back["aliases"]["champion"] == 1
    assert "previous" not in back["aliases"]
    assert [(e["kind"], e["version"], e["former"], e["by"]) for e in history(back)] == [
        ("promotion", 1, None, "ann"), ("promotion", 2, 1, "bob"), ("rollback", 1, 2, "bob"),
    ]  # fmt: skip
    assert stack.run("models", "rollback", "asked", "--reason", "again").returncode == 1


def test_new_bars_start_whoever_waits_for_them(
    airflow: Airflow, ingested: str, live: dict[str, tuple[str, str]]
) -> None:
    counts = airflow.returned("ingest_sample", ingested, "ingest")
    assert counts["new"] == 196  # FB, which no strategy had asked for
    assert {dag_id: state for dag_id, (_, state) in live.items()} == {
        "signals_asked": "success",
        "monitor_asked": "success",
    }


def test_signals_are_stored_for_the_next_session(
    stack: Stack, airflow: Airflow, mlflow: httpx.Client, live: dict[str, tuple[str, str]]
) -> None:
    run_id, _ = live["signals_asked"]
    told = airflow.returned("signals_asked", run_id, "signal")
    rows = stack.rows(
        "SELECT session, trade_session, model_version, symbol, weight, snapshot_id "
        "FROM signals WHERE strategy = 'asked' AND model_version = 1 ORDER BY symbol"
    )
    assert [row[3] for row in rows] == ["AAPL", "GOOG", "IBM", "MSFT"]
    assert {row[:3] for row in rows} == {(date(2013, 3, 1), date(2013, 3, 4), 1)}
    assert {row[3]: row[4] for row in rows} == told["weights"]
    assert 0.0 < sum(row[4] for row in rows) <= 1.0
    for (strategy,) in stack.rows("SELECT DISTINCT strategy FROM signals"):
        assert "champion" in registered(mlflow, strategy)["aliases"]
    shown = stack.json("signals", "asked")
    assert (shown["weights"], shown["model_version"]) == (told["weights"], 1)
    assert (shown["session"], shown["trade_session"]) == ("2013-03-01", "2013-03-04")
    assert {shown["snapshot_id"]} == {row[5] for row in rows}
    without = stack.run("signals", "ridge", "--json")  # it has no champion
    assert (without.returncode, without.stdout.strip()) == (3, "null")
    old = stack.json("signals", "asked", "--session", "2013-03-01")
    assert old["weights"] == told["weights"]
    assert all(
        old["weights"][symbol] == pytest.approx(sum(own) / len(own), abs=1e-9)
        for symbol, own in old["tranches"].items()
    )
    assert {len(own) for own in old["tranches"].values()} == {5}  # the horizon


def test_the_watch_over_the_champion_is_in_mlflow(
    mlflow: httpx.Client, airflow: Airflow, live: dict[str, tuple[str, str]]
) -> None:
    run_id, _ = live["monitor_asked"]
    found = mlflow.get("/experiments/get-by-name", params={"experiment_name": "asked.monitor"})
    experiment = found.json()["experiment"]["experiment_id"]
    [run] = mlflow.post("/runs/search", json={"experiment_ids": [experiment]}).json()["runs"]
    assert run["info"]["status"] == "FINISHED"
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tags["tradewind.champion"] == "1"
    assert metrics["live_sessions"] == 0.0  # it was trained on the last there are
    assert metrics["reasons"] == 0.0
    assert {"psi/return_5", "ks/volatility_21"} <= set(metrics)
    assert airflow.states("monitor_asked", run_id)["retrain"] == "skipped"


def test_an_ingestion_that_finds_nothing_new_starts_nothing(
    stack: Stack, airflow: Airflow, live: dict[str, tuple[str, str]]
) -> None:
    begun = f"/dags/signals_asked/dagRuns/{live['signals_asked'][0]}"
    airflow.patch("/dags/signals_asked", {"is_paused": True})
    try:
        # Queued anew, as a run is behind another that waits for somebody.
        assert airflow.patch(begun, {"state": "queued"})["start_date"] is None
        run_id = airflow.trigger("ingest_sample")
        state, states = airflow.finished("ingest_sample", run_id)
        assert (state, states["ingest"]) == ("success", "skipped")
    finally:
        airflow.patch("/dags/signals_asked", {"is_paused": False})
        airflow.finished("signals_asked", live["signals_asked"][0])
    assert stack.json("data", "ingest", "sample")["new"] == 0
    events = airflow.events(source_dag_id="ingest_sample")
    assert events["total_entries"] == 1  # of the first run


def announced(airflow: Airflow, count: int) -> list[dict[str, Any]]:
    """Wait for so many events of stored signals, and return what they say, oldest first."""

    def events() -> list[dict[str, Any]]:
        found = airflow.events(source_dag_id="signals_asked", order_by="timestamp")
        assert {event["name"] for event in found["asset_events"]} <= {"signals_asked"}
        return [event["extra"] for event in found["asset_events"]]

    wait_until(lambda: len(events()) >= count, 300, of=events)
    assert len(events()) == count
    return events()


def answer(person: Airflow, run_id: str, option: str) -> None:
    path = f"/dags/train_asked/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    assert "champion?" in person.get(path)["subject"]
    person.patch(path, {"chosen_options": [option]})


def registered(mlflow: httpx.Client, name: str) -> dict[str, Any]:
    """Return a model's tags, and the number that each alias stands for."""
    found = mlflow.get("/registered-models/get", params={"name": name}).json()["registered_model"]
    return {
        "tags": {tag["key"]: tag["value"] for tag in found["tags"]},
        "aliases": {alias["alias"]: int(alias["version"]) for alias in found.get("aliases", [])},
    }


def history(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return who was champion when, oldest first."""
    tags = model["tags"]
    return [json.loads(tags[key]) for key in sorted(tags) if "tradewind.promotion." in key]

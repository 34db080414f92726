"""The stack on the PostgreSQL and Redis that a team runs already, with TLS before both."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.stack.airflow import Airflow, login
from tests.stack.conftest import Stack, commit, make_stack
from tests.stack.team import PASSWORD, Team, behind_tls, running_team
from tests.support import wait_until

TASKS = 5000
WAITING = 100
# As `tests/stack/strategies` has them, but trained in seconds.
SMALL = """\
name: small
description: two stocks, one feature, few folds
universe: {source: sample, symbols: [AAPL, MSFT], calendar: XNYS}
horizon: 5
label: forward_return
features:
  - return: {window: 5}
model: {kind: lightgbm, rounds: 5, learning_rate: 0.1, num_leaves: 3}
walk_forward: {train: 1260, test: 630}
backtest: {positions: long_flat, commission_bps: 1.0, slippage_bps: 4.0}
execution: "off"
seed: 7
"""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team") / "theirs") as made:
        yield made


@pytest.fixture(scope="module")
def found(team: Team) -> tuple[dict[bytes, object], str]:
    """What the team had before the stack came, tasks that wait for a worker among it."""
    with team.app() as app:
        for number in range(WAITING):
            app.send_task("tests.stack.their_app.note", (number,))
    return team.objects(), team.dump()


@pytest.fixture(scope="module")
def guest(
    tmp_path_factory: pytest.TempPathFactory, team: Team, found: tuple[dict[bytes, object], str]
) -> Iterator[Stack]:
    """A checkout whose settings name the team's services; nothing has been started."""
    assert found
    made = make_stack(tmp_path_factory.mktemp("guest") / "desk")
    (made.home / "strategies" / "small.yaml").write_text(SMALL)
    commit(made.home)
    with behind_tls(team) as settings:
        try:
            yield replace(made, environment={**made.environment, **settings})
        finally:
            made.run("down")


@pytest.fixture(scope="module")
def adopted(guest: Stack, team: Team) -> Stack:
    """The checkout, moved in."""
    host = replace(guest, environment={**guest.environment, **team.logins})
    host.ok("adopt", "--apply")
    return guest


@pytest.fixture(scope="module")
def running(adopted: Stack) -> Stack:
    adopted.ok("up", "--detach", timeout=1800)
    return adopted


@pytest.fixture(scope="module")
def airflow(running: Stack) -> Iterator[Airflow]:
    page = running.json("credentials")["airflow"]
    with login(page["address"], page["user"], page["password"]) as session:
        yield session


def states(said: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Return by service and thing how it was found."""
    return {
        (part["service"], each["what"]): each["state"]
        for part in said["parts"]
        for each in part["findings"]
    }


def test_looking_changes_nothing(
    guest: Stack, team: Team, found: tuple[dict[bytes, object], str]
) -> None:
    without = guest.run("adopt")
    assert without.returncode == 1
    assert "Give ADOPT_POSTGRES_LOGIN=user:password" in without.stdout
    assert "CREATE ROLE" in without.stdout
    assert "SCRAM-SHA-256$" in without.stdout
    host = replace(guest, environment={**guest.environment, **team.logins})
    assert host.run("adopt").returncode == 1
    roles = team.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1")
    assert roles == [("analyst",), ("postgres",)]
    assert (team.objects(), team.dump()) == found


def test_what_can_only_be_changed_there_is_said(guest: Stack, team: Team) -> None:
    """Nothing is made while something is in the way."""
    url = guest.environment["TRADEWIND_REDIS_URL"].replace("/2?", "/0?")
    host = replace(
        guest, environment={**guest.environment, **team.logins, "TRADEWIND_REDIS_URL": url}
    )
    said = host.run("adopt", "--apply", "--json")
    assert said.returncode == 1
    assert "others use database 0" in said.stdout
    assert "end it in /1" in said.stdout
    assert "a Celery application without a prefix" in said.stdout


def test_moving_in_twice_is_moving_in_once(adopted: Stack, team: Team) -> None:
    said = adopted.json("adopt")
    assert set(states(said).values()) <= {"ready", "note"}
    assert [part["commands"] for part in said["parts"]] == [[], []]
    owners = team.execute(
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database ORDER BY datname"
    )
    ours = {(name, name) for name in ("airflow", "mlflow", "tradewind")}
    assert set(owners) - ours == {
        (name, "postgres") for name in ("desk", "postgres", "template0", "template1")
    }
    secrets = (adopted.settings.state / "secrets.json").read_text()
    assert PASSWORD in secrets
    assert PASSWORD not in str(adopted.run("doctor", "--json").stdout)


def test_their_tasks_and_ours_go_on_side_by_side(
    running: Stack, team: Team, airflow: Airflow, found: tuple[dict[bytes, object], str]
) -> None:
    assert (team.objects(), team.dump()) == found  # we are up, and their tasks still wait
    team.start_worker()
    with team.app() as app:

        def send() -> None:
            for number in range(WAITING, TASKS):
                app.send_task("tests.stack.their_app.note", (number,))

        sender = threading.Thread(target=send)
        sender.start()
        run_id = airflow.trigger("train_small")
        state, tasks = airflow.finished("train_small", run_id)
        assert state == "success", tasks
        sender.join()
    with team.client() as client:
        wait_until(lambda: client.hlen("done") == TASKS, 600)
        wait_until(lambda: not client.exists("unacked"), 60)
        assert set(client.hvals("done")) == {b"1"}
    assert running.status()["healthy"]


def test_their_restart_is_gone_through(running: Stack, team: Team, airflow: Airflow) -> None:
    team.stop_worker()
    before = team.objects(), team.dump()
    run_id = airflow.trigger("train_small")
    airflow.reach("train_small", run_id, "train", {"running", "success"})
    team.restart()
    state, tasks = airflow.finished("train_small", run_id)
    assert state == "success", tasks
    wait_until(lambda: running.status()["healthy"], 180, of=running.status)
    assert (team.objects(), team.dump()) == before
    assert len(running.json("models", "show", "small")) == 2


def test_the_doctor_says_what_is_held_by_convention(running: Stack) -> None:
    checks = {check["name"]: check for check in running.json("doctor")}
    assert {"postgres encryption", "postgres clock", "redis eviction"} <= checks.keys()
    assert not checks["postgres connections"]["problem"]
    user = checks["redis user trading"]
    assert not user["problem"]
    assert "trading:* of database 3 is held by its settings, not by Redis" in user["note"]

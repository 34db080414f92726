"""All that a desk does, on services that a team runs, which are restarted in the middle of it.

Once with TLS before PostgreSQL and Redis; once with PgBouncer before PostgreSQL, and a Redis that
sentinels name, whose master is killed. A sweep, sessions traded on paper, a version that waits for
a person, a backup.

Part of the campaign: `pytest tests/stack/theirs_whole.py`. What `make test` does of it is in
`test_theirs.py`, `test_pooler.py` and `test_sentinels.py`.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from tests import sessions
from tests.stack.airflow import Airflow, login
from tests.stack.conftest import STRATEGIES, Stack, commit, make_stack
from tests.stack.pooler import pooler_before
from tests.stack.sentinels import running_sentinels
from tests.stack.team import Team, behind_tls, running_team
from tests.support import wait_until

COUNT = sessions.count_asked_for(3)
TRIALS = 16
UNDER_WAY = {"running", "success", "failed"}


@dataclass(frozen=True)
class Guest:
    """A stack on a team's services.

    Attributes
    ----------
    stack : Stack
    team : Team
        Whose PostgreSQL it uses, and who has things of their own there.
    before : object
        These things, as they were.
    restart : callable
        Restarts both services, or has another take over.
    """

    stack: Stack
    team: Team
    before: object
    restart: Callable[[], None]


@pytest.fixture(scope="module", params=["tls", "pooled"])
def guest(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    root = tmp_path_factory.mktemp("whole")
    with ExitStack() as ends:
        team = ends.enter_context(running_team(root / "theirs"))
        logins = team.logins
        restart: Callable[[], None] = team.restart
        if request.param == "tls":
            told = ends.enter_context(behind_tls(team))
        else:
            watched = ends.enter_context(running_sentinels(root / "sentinels"))
            logins |= watched.logins
            port = ends.enter_context(pooler_before(team))
            told = {
                "TRADEWIND_POSTGRES_URL": f"postgresql://127.0.0.1:{port}/",
                "TRADEWIND_REDIS_URL": watched.url,
            }

            def restart() -> None:
                watched.fail_over()
                team.postgres.stop()
                team.postgres.start()

        made = make_stack(root / "desk")
        shutil.copytree(STRATEGIES, made.home / "strategies", dirs_exist_ok=True)
        commit(made.home)
        # `Stack.rows` asks at that port; the stack itself goes by the address.
        told["TRADEWIND_POSTGRES_PORT"] = str(team.postgres.port)
        made = replace(made, environment={**made.environment, **told})
        before = team.objects(), team.dump()
        itself = {"TRADEWIND_POSTGRES_URL": f"postgresql://127.0.0.1:{team.postgres.port}/"}
        try:
            host = {**made.environment, **logins}
            if request.param == "pooled":  # which lets in no role that is not there yet
                replace(made, environment=host | itself).ok("adopt", "--apply")
            replace(made, environment=host).ok("adopt", "--apply")
            made.ok("up", "--detach", timeout=1800)
            yield Guest(made, team, before, restart)
        finally:
            made.run("down")


@pytest.fixture(scope="module")
def airflow(guest: Guest) -> Iterator[Airflow]:
    page = guest.stack.json("credentials")["airflow"]
    with login(page["address"], page["user"], page["password"]) as session:
        yield session


@pytest.fixture(scope="module")
def worked(guest: Guest, airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the backup said that was made after all of it."""
    begun: dict[str, str] = {}

    def during(number: int) -> None:
        if number != 1:
            return
        for name in ("swept", "asked"):
            wait_until(partial(airflow.knows, f"train_{name}"), 300)
            begun[name] = airflow.trigger(f"train_{name}")
        airflow.reach("train_swept", begun["swept"], "plan_sweep", UNDER_WAY)
        guest.restart()
        # A page says so while its database is away; tasks ask again by themselves.
        wait_until(partial(airflow.knows, f"execute_{sessions.NAME}"), 120)
        wait_until(lambda: guest.stack.status()["healthy"], 180, of=guest.stack.status)

    sessions.play(airflow, guest.stack.home, COUNT, during)
    airflow.reach("train_asked", begun["asked"], "approve", {"awaiting_input", "deferred"})
    path = f"/dags/train_asked/dagRuns/{begun['asked']}/taskInstances/approve/-1/hitlDetails"
    airflow.patch(path, {"chosen_options": ["Approve"]})
    for name, run_id in begun.items():
        state, tasks = airflow.finished(f"train_{name}", run_id, 1800)
        assert state == "success", tasks
    return guest.stack.json("backup", str(tmp_path_factory.mktemp("backups")))


@pytest.mark.usefixtures("worked")
def test_the_book_is_the_backtest_s_to_the_cent(guest: Guest) -> None:
    assert sessions.check_book(guest.stack.rows) > COUNT
    [compared] = guest.stack.json("trading", "reconcile", sessions.NAME)
    assert compared["difference"] == ""
    found = guest.stack.rows("SELECT count(*), count(DISTINCT client_order_id) FROM trading.orders")
    assert found[0][0] == found[0][1] > 0


@pytest.mark.usefixtures("worked")
def test_each_trial_of_the_sweep_is_in_the_ledger_once(guest: Guest) -> None:
    rows = guest.stack.rows("SELECT configuration FROM trial_ledger WHERE strategy = 'swept'")
    assert len(rows) == len({str(row) for row in rows}) == TRIALS


@pytest.mark.usefixtures("worked")
def test_what_a_person_approved_gives_signals(guest: Guest, airflow: Airflow) -> None:
    wait_until(lambda: airflow.runs("signals_asked"), 300)
    [run] = airflow.runs("signals_asked")
    state, tasks = airflow.finished("signals_asked", run["dag_run_id"])
    assert state == "success", tasks
    assert guest.stack.rows("SELECT count(*) FROM signals WHERE strategy = 'asked'")[0][0]


def test_all_is_well_and_theirs_is_as_it_was(guest: Guest, worked: Any) -> None:
    assert worked["versions"] >= 3  # one each of three strategies
    assert worked["incomplete"] == []
    wait_until(lambda: guest.stack.status()["healthy"], 180, of=guest.stack.status)
    checks = guest.stack.json("doctor")
    assert [check for check in checks if check["problem"]] == []
    assert (guest.team.objects(), guest.team.dump()) == guest.before

"""A backup that was made while orders flowed and a sweep ran, restored where there is nothing.

Part of the campaign: `pytest tests/stack/restored_whole.py`. What `make test` does of it is in
`test_restore.py`, where of the restored stack only MLflow is started.
"""

import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests import sessions
from tests.stack.airflow import Airflow, login
from tests.stack.conftest import Stack, make_stack
from tests.stack.playing import (
    BOOK,
    COUNT,
    EXECUTED,
    SWEPT,
    Played,
    count,
    reproduce,
    trials,
    versions,
)

TRIALS = 16


@pytest.fixture(scope="module")
def restored(
    stack: Stack, played: Played, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """Another checkout with the same files of the user, and no data but the backup's."""
    made = make_stack(tmp_path_factory.mktemp("restored") / "h o me")
    for folder in ("strategies", "sources", "dags"):
        shutil.copytree(stack.home / folder, made.home / folder, dirs_exist_ok=True)
    try:
        told = made.json("restore", str(played.place), "--key", str(played.key))
        made.ok("up", "--detach", timeout=1800)
        yield made, told
    finally:
        made.run("down")


@pytest.fixture(scope="module")
def resumed(restored: tuple[Stack, dict[str, Any]], played: Played) -> Iterator[Airflow]:
    """Airflow, once what was under way has come to its end, and nobody helped."""
    made, told = restored
    page = made.json("credentials")["airflow"]
    with login(page["address"], page["user"], page["password"]) as session:
        for dag_id, run_id in played.interrupted.items():
            state, tasks = session.finished(dag_id, run_id, 900)
            assert state == "success", tasks
            ended = session.get(f"/dags/{dag_id}/dagRuns/{run_id}")["end_date"]
            # Else the backup would not have interrupted it.
            assert datetime.fromisoformat(ended) > datetime.fromisoformat(told["backup"]["made"])
        yield session


@pytest.mark.usefixtures("resumed")
def test_the_book_is_the_same_to_the_cent_with_each_order_once(
    restored: tuple[Stack, dict[str, Any]], stack: Stack
) -> None:
    made, _ = restored
    assert sessions.check_book(made.rows) > 5 * COUNT
    for table, query in BOOK.items():
        found, expected = (
            sorted(map(str, each.rows(query, sessions.LAST))) for each in (made, stack)
        )
        assert found == expected, table
        assert found
    assert count(made, "trading.intents") == 3 * (COUNT + 1)
    [compared] = made.json("trading", "reconcile", sessions.NAME)
    assert compared["difference"] == ""


def test_the_sweep_went_on_where_it_was(
    restored: tuple[Stack, dict[str, Any]], stack: Stack, resumed: Airflow
) -> None:
    made, _ = restored
    assert trials(made) == TRIALS
    assert len(resumed.runs(EXECUTED)) == COUNT + 1
    # Both systems went on by themselves, to the same trials.
    query = "SELECT configuration, sharpe FROM trial_ledger WHERE strategy = %s ORDER BY 1"
    assert made.rows(query, SWEPT) == stack.rows(query, SWEPT)


@pytest.mark.usefixtures("resumed")
def test_every_version_is_reproduced_bit_for_bit(restored: tuple[Stack, dict[str, Any]]) -> None:
    made, told = restored
    found = versions(made)
    assert {name for name, _ in found} >= {sessions.NAME, SWEPT}
    assert len(found) > told["versions"] >= 1
    assert told["incomplete"] == []
    reproduce(made, found)


def test_all_is_well(restored: tuple[Stack, dict[str, Any]]) -> None:
    made, _ = restored
    checks = made.json("doctor")
    assert [check for check in checks if check["problem"]] == []

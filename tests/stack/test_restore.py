"""A backup that was made while orders flowed and a sweep ran, restored where there is nothing.

Of the restored stack what models need is started, and no more; that what was under way goes on is
in `restored_whole.py`.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests import sessions
from tests.stack.conftest import Stack, make_stack
from tests.stack.playing import BOOK, COUNT, Played, count, reproduce, trials, versions
from tests.support import kill_tree, wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.state import read_state

PART = (
    "postgres", "databases", "redis", "forkserver", "mlflow-migrate", "mlflow", "trading-migrate",
    "backups",
)  # fmt: skip


@pytest.fixture(scope="module")
def restored(
    stack: Stack, played: Played, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """Another checkout with the same files of the user, and no data but the backup's."""
    whole = make_stack(tmp_path_factory.mktemp("restored") / "h o me")
    for folder in ("strategies", "sources", "dags"):
        shutil.copytree(stack.home / folder, whole.home / folder, dirs_exist_ok=True)
    clock = {"TRADEWIND_BACKUP_TO": "by the clock", "TRADEWIND_BACKUP_EVERY_HOURS": "24"}
    made = replace(whole, environment={**whole.environment, **clock}).part(*PART)
    try:
        refused = made.run("restore", str(played.place))
        assert refused.returncode == 1
        assert "--key" in refused.stderr
        assert not (made.settings.state / "postgres").exists()
        told = made.json("restore", str(played.place), "--key", str(played.key))
        made.ok("up", "--detach", timeout=600)
        yield made, told
    finally:
        state = read_state(Layout(made.settings.state))
        if state is not None and state.supervised():
            kill_tree(state.pid)  # in a moment: nobody needs it any more


def test_the_book_is_the_same_with_nothing_twice(
    restored: tuple[Stack, dict[str, Any]], stack: Stack
) -> None:
    made, _ = restored
    for table, query in BOOK.items():
        found, went_on = (
            Counter(map(str, each.rows(query, sessions.LAST))) for each in (made, stack)
        )
        assert found, table
        assert found <= went_on, table
    assert count(made, "trading.intents") == 3 * (COUNT + 1)
    assert trials(made) >= 1


def test_every_version_is_reproduced_bit_for_bit(restored: tuple[Stack, dict[str, Any]]) -> None:
    made, told = restored
    found = versions(made)
    assert len(found) == told["versions"] >= 1
    assert told["incomplete"] == []
    reproduce(made, found)


def test_the_stack_makes_backups_by_the_clock(restored: tuple[Stack, dict[str, Any]]) -> None:
    made, _ = restored
    wait_until(lambda: made.json("backups"), 300, of=lambda: made.run("logs", "backups").stdout)
    assert made.status()["healthy"]
    [kept] = made.json("backups")
    assert (made.home / "by the clock" / kept["name"] / "manifest.json").exists()

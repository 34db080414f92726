"""From new bars to positions, on real sessions, through the containers."""

import json
from collections.abc import Sequence
from datetime import date

import httpx
import pytest

from tests import sessions
from tests.compose.project import Project
from tests.stack.airflow import Airflow

COUNT = sessions.count_asked_for(3)


@pytest.fixture(scope="module")
def played(project: Project, airflow: httpx.Client) -> list[date]:
    """The sessions that were traded, after the one in which the account was opened."""
    return sessions.play(Airflow(airflow), project.home, COUNT)


@pytest.mark.usefixtures("played")
def test_the_book_is_the_backtest_s_to_the_cent(project: Project) -> None:
    def ask(query: str) -> Sequence[Sequence[object]]:
        return project.sql(query, "tradewind")

    assert sessions.check_book(ask) > 5 * COUNT


def test_the_command_line_in_the_container_shows_the_book(
    project: Project, played: list[date]
) -> None:
    def asked(*words: str) -> list[dict[str, object]]:
        shown = project.execute(
            "trading-worker", "with-secrets", "tradewind", "trading", *words, "--json"
        )
        return json.loads(shown)

    assert [day["session"] for day in asked("pnl", "daily")] == [str(day) for day in played]
    [compared] = asked("reconcile", "daily")
    assert compared["difference"] == ""
    assert {order["state"] for order in asked("orders", "daily")} == {"filled", "accepted"}


@pytest.mark.usefixtures("played")
def test_trading_is_halted_and_resumed_in_the_container(project: Project) -> None:
    command = ("with-secrets", "tradewind", "trading")
    project.execute("trading-worker", *command, "halt", "--reason", "a test")
    halted = "SELECT halted, reason FROM trading.halts ORDER BY id DESC LIMIT 1"
    assert project.sql(halted, "tradewind") == [["t", "a test"]]
    project.execute("trading-worker", *command, "resume", "--reason", "it is over")
    assert project.sql(halted, "tradewind") == [["f", "it is over"]]

"""From new bars to positions, on real sessions, through the whole local stack.

In each session but the last, one of the services that it goes through is killed at a random moment.
`TRADED_SESSIONS` says how many sessions there are, `TRADED_THROUGH_KILLS_OF` which services are
killed, in turn; with the seed that a run prints, `TRADED_SEED` draws the moments again.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import sessions
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack, commit
from tests.stack.playing import COUNT, Played
from tests.support import wait_until

Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def traded(played: Played) -> Ask:
    """The database, once the sessions have been traded."""
    return played.rows


@pytest.fixture(scope="module", autouse=True)
def committed(stack: Stack) -> Iterator[None]:
    """Commit what was delivered: a training of another test is made from the commit it names."""
    yield
    commit(stack.home)


def test_the_book_is_the_backtest_s_to_the_cent(traded: Ask) -> None:
    assert sessions.check_book(traded) > 5 * COUNT


def test_each_symbol_had_one_intent_a_session_and_one_order_at_most(traded: Ask) -> None:
    intents = traded(
        "SELECT count(*), count(DISTINCT session) FROM trading.intents WHERE account = 'daily'"
    )
    assert intents == [(3 * (COUNT + 1), COUNT + 1)]
    states = dict(
        traded(
            "SELECT state, count(*) FROM (SELECT DISTINCT ON (client_order_id) state "
            "FROM trading.order_events JOIN trading.orders USING (client_order_id) "
            "WHERE account = 'daily' ORDER BY client_order_id, sequence DESC) AS last "
            "GROUP BY state"
        )
    )
    assert states.keys() == {"filled", "accepted"}  # those for the next open are still working
    assert sum(states.values()) == orders_on_paper(traded)


@pytest.mark.usefixtures("traded")
def test_the_command_line_shows_the_book(stack: Stack) -> None:
    orders = stack.json("trading", "orders", "daily")
    assert {order["state"] for order in orders} == {"filled", "accepted"}
    filled = [order for order in orders if order["state"] == "filled"]
    fills = stack.json("trading", "fills", "daily")
    assert len(fills) == len(filled)
    days = stack.json("trading", "pnl", "daily")
    assert [day["session"] for day in days] == [str(day) for day in sessions.sessions(COUNT)]
    for order in (filled[0], orders[-1]):
        shown = stack.json("trading", "explain", order["client_order_id"])
        assert (shown["shares"], shown["symbol"]) == (order["shares"], order["symbol"])
        assert shown["trade_session"] == order["session"] > shown["signal_session"]
        assert len(shown["tranches"]) == 1  # the horizon
    held = stack.json("trading", "positions", "daily")
    assert {each["symbol"] for each in held} <= set(sessions.SYMBOLS)
    assert any(each["shares"] < 0 for each in held)
    later = stack.json("trading", "orders", "daily", "--since", str(sessions.NEXT))
    assert {order["state"] for order in later} == {"accepted"}
    assert "daily" in stack.ok("trading", "orders")
    [compared] = stack.json("trading", "reconcile", "daily")
    assert compared["difference"] == ""
    assert compared["compared"]["fills"] == len(fills)


@pytest.mark.usefixtures("traded")
def test_a_difference_to_the_broker_fails_the_run_and_is_named(
    stack: Stack, airflow: Airflow
) -> None:
    # Shares that the broker has and nobody here has asked for.
    stack.change("INSERT INTO paper.adjustments (account, session, symbol, shares) "
                 "VALUES ('daily', '2005-03-04', 'MSFT', 7)")  # fmt: skip
    try:
        refused = stack.run("trading", "reconcile", "daily")
        assert refused.returncode == 1
        assert "MSFT" in refused.stdout
        run_id = airflow.trigger("execute_daily")
        state, tasks = airflow.finished("execute_daily", run_id)
        assert state == "failed"
        assert tasks["reconcile"] == "failed"
        assert tasks["submit"] == "upstream_failed"
        assert "MSFT" in log_of(airflow, run_id, "reconcile")
    finally:
        stack.change("DELETE FROM paper.adjustments WHERE shares = 7")
    stack.ok("trading", "reconcile", "daily")


@pytest.mark.usefixtures("traded")
def test_no_order_leaves_while_trading_is_halted(stack: Stack, airflow: Airflow) -> None:
    assert stack.run("trading", "halt", "nobody", "--reason", "a test").returncode == 1
    stack.ok("trading", "halt", "daily", "--reason", "the market is mad")
    before = orders_on_paper(stack.rows)
    sessions.deliver_session(stack.home, sessions.NEXT)
    number = len(airflow.runs("execute_daily")) + 1
    sessions.run(airflow, "ingest_vendor")
    wait_until(lambda: len(airflow.runs("execute_daily")) == number, 300)
    run_id = airflow.runs("execute_daily")[-1]["dag_run_id"]
    state, tasks = airflow.finished("execute_daily", run_id)
    assert (state, tasks["settle"], tasks["submit"]) == ("failed", "success", "failed")
    assert "the market is mad" in log_of(airflow, run_id, "submit")
    assert orders_on_paper(stack.rows) == before
    stack.ok("trading", "resume", "daily", "--reason", "it calmed down")
    sessions.run(airflow, "execute_daily")
    assert orders_on_paper(stack.rows) > before
    stack.ok("trading", "reconcile")


@pytest.mark.usefixtures("traded")
def test_a_run_that_the_version_before_began_goes_on_after_an_upgrade(
    stack: Stack, airflow: Airflow
) -> None:
    """0.1.0 told an account neither up to where to settle nor when the exchange opens."""
    sessions.run(airflow, "execute_daily")
    run_id = airflow.runs("execute_daily")[-1]["dag_run_id"]
    said = airflow.returned("execute_daily", run_id, "quote")
    older = {key: said[key] for key in ("account", "session", "model_version", "quotes")}
    airflow.say("execute_daily", run_id, "quote", older, "return_value")
    stack.change("DELETE FROM trading.openings WHERE account = 'daily'")
    airflow.clear("execute_daily", run_id, "settle")
    state, tasks = airflow.finished("execute_daily", run_id)
    assert state == "success", tasks
    assert stack.rows("SELECT 1 FROM trading.openings WHERE account = 'daily'")


def orders_on_paper(rows: Ask) -> int:
    [(count,)] = rows("SELECT count(*) FROM paper.orders WHERE account = 'daily'")
    return count


def log_of(airflow: Airflow, run_id: str, task_id: str) -> str:
    [task] = [t for t in airflow.tasks("execute_daily", run_id) if t["task_id"] == task_id]
    return str(airflow.log("execute_daily", run_id, task, task["try_number"]))

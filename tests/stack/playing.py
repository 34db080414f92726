"""Sessions traded through the whole stack, some with a killed service, the last with a backup."""

import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import sessions
from tests.stack.airflow import Airflow
from tests.stack.conftest import HANDED_IN, Stack
from tests.support import wait_until

COUNT = sessions.count_asked_for(3)
KILLED = os.environ.get("TRADED_THROUGH_KILLS_OF", "airflow-triggerer trading-worker").split()
SEED = os.environ.get("TRADED_SEED", str(random.SystemRandom().randrange(10**6)))
STEPS = ("quote", "settle", "reconcile", "submit", "confirm")
BEGUN = {"queued", "running", "deferred", "up_for_retry", "success"}
SWEPT = "resumed"  # the strategy whose sweep the backup interrupts
EXECUTED = f"execute_{sessions.NAME}"
BOOK = {
    "intents": "SELECT account, session, symbol, shares FROM trading.intents WHERE session <= %s",
    "orders": "SELECT client_order_id, shares FROM trading.orders WHERE signal_session <= %s",
    "equity": "SELECT session, cash, positions, equity FROM trading.equity WHERE session <= %s",
    "bookings": "SELECT session, symbol, kind, shares, price, amount FROM trading.bookings "
    "WHERE session <= %s",
}


@dataclass(frozen=True)
class Played:
    """What was traded, and the backup that was made in the midst of it.

    Attributes
    ----------
    rows : callable
        Asks the database `tradewind`.
    place : Path
        Where the backup is, encrypted.
    key : Path
        File of its private key.
    interrupted : dict
        Runs that were under way, by DAG.
    """

    rows: Callable[..., list[Any]]
    place: Path
    key: Path
    interrupted: dict[str, str]


def play(stack: Stack, airflow: Airflow, folder: Path) -> Played:
    """Trade `COUNT` sessions; `folder` is for the backup."""
    draw = random.Random(SEED)  # noqa: S311 -- moments, not secrets
    sys.stdout.write(f"TRADED_SEED={SEED}\n")
    text = (stack.home / "strategies" / "swept.yaml").read_text(encoding="utf-8")
    lay = stack.home / "strategies" / f"{SWEPT}.yaml"
    lay.write_text(text.replace("\nname: swept", f"\nname: {SWEPT}", 1), encoding="utf-8")
    played = Played(stack.rows, folder / "backups", folder / "key", {})

    def during(number: int) -> None:
        if number == COUNT:
            back_up(stack, airflow, played)
            return
        service, step = KILLED[number % len(KILLED)], draw.choice(STEPS)
        run_id = airflow.runs(EXECUTED)[-1]["dag_run_id"]
        airflow.reach(EXECUTED, run_id, step, BEGUN)
        time.sleep(draw.uniform(0, 1))
        states = airflow.states(EXECUTED, run_id)
        stack.kill(service)
        sys.stdout.write(f"{number}. {service} killed when {states}\n")

    sessions.play(airflow, stack.home, COUNT, during)
    return played


def back_up(stack: Stack, airflow: Airflow, played: Played) -> None:
    """Back up while a session's intents are written and its orders are not, and a sweep runs."""
    played.interrupted[EXECUTED] = airflow.runs(EXECUTED)[-1]["dag_run_id"]
    with orders_held(stack):
        wait_until(lambda: count(stack, "trading.intents") == 3 * (COUNT + 1), 300)
        wait_until(lambda: airflow.knows(f"train_{SWEPT}"), 300)
        played.interrupted[f"train_{SWEPT}"] = airflow.trigger(f"train_{SWEPT}")
        wait_until(lambda: trials(stack), 300)
        public = stack.ok("backup-key", str(played.key)).strip()
        made = stack.json("backup", str(played.place), "--encrypt-to", public)
        assert count(stack, "trading.orders") < made["rows"]["tradewind"]
    sys.stdout.write(f"{COUNT}. {made}\n")


@contextmanager
def orders_held(stack: Stack) -> Any:
    """Let nobody write an order, and everybody read."""
    with stack.cursor("tradewind") as cursor:
        cursor.execute("LOCK TABLE trading.orders IN SHARE MODE")
        yield


def count(stack: Stack, table: str) -> int:
    return stack.rows(f"SELECT count(*) FROM {table} WHERE account = '{sessions.NAME}'")[0][0]


def trials(stack: Stack) -> int:
    """How many trials of the sweep are in the ledger."""
    return stack.rows("SELECT count(*) FROM trial_ledger WHERE strategy = %s", SWEPT)[0][0]


def versions(stack: Stack) -> list[tuple[str, int]]:
    """All versions of all models."""
    return [
        (model["name"], version["version"])
        for model in stack.json("models", "list")
        for version in stack.json("models", "show", model["name"])
    ]


def reproduce(stack: Stack, found: list[tuple[str, int]]) -> None:
    """Reproduce versions bit for bit, two at a time; what was made elsewhere cannot be."""
    ours = [version for version in found if version[0] != HANDED_IN]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda version: stack.ok("reproduce", version[0], str(version[1])), ours))

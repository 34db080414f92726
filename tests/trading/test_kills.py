"""`kill -9` of worker, Redis and PostgreSQL at random moments of the flow of orders.

A session is driven as `execute_<strategy>` drives it: by tasks that are sent by name, and sent
again as other tasks when no answer comes, as Airflow's next try does. While it runs, one of the
three is killed and started again. In the end the book is the backtest's to the cent, and the
broker's records are the book's. `TRADEWIND_KILLS` says how often each is killed; with the seed
that a run prints, `TRADEWIND_KILL_SEED` draws its moments again.
"""

import json
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import psutil
import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from tests.postgres import RunningPostgres, running_postgres
from tests.redis_server import RedisServer, running_redis
from tests.support import kill_tree, wait_until
from tests.trading.books import (
    FIRST,
    SESSIONS,
    TERMS,
    Desk,
    assert_same,
    expected_books,
    weights_of,
)
from tests.trading.workers import Workers
from tradewind.errors import TradingError
from tradewind.trading.app import KEY_PREFIX
from tradewind.trading.book.outbox import STREAM
from tradewind.trading.migrate import migrate

KILLS = int(os.environ.get("TRADEWIND_KILLS", "3"))
SEED = int(os.environ.get("TRADEWIND_KILL_SEED", random.SystemRandom().randrange(10**6)))

PATIENCE = 3.0  # seconds until a step without an answer is sent again
TRIES = 40
PAUSE = 0.2  # seconds after a step that failed


@dataclass
class System:
    """Everything that can be killed, and who sends to it."""

    postgres: RunningPostgres
    redis: RedisServer
    workers: Workers

    def __post_init__(self) -> None:
        self.url = self.redis.url
        # No results of Celery's own: they would be listened for, and this reads them.
        self.client = Celery("anybody", broker=self.url)
        self.client.conf.update(
            broker_transport_options={"global_keyprefix": KEY_PREFIX},
            task_default_queue="trading",
        )

    def connected(self) -> Redis:
        """Connect as the trading application's user."""
        return Redis.from_url(self.url, decode_responses=True)

    def send(self, task: str, *arguments: str) -> str:
        """Send a task once; returns its id."""
        name = str(uuid.uuid4())
        self.client.send_task(task, arguments, task_id=name, retry=False)
        return name

    def answer(self, task_id: str, seconds: float) -> dict[str, Any] | None:
        """Return how a task ended, or None if it has not after a while."""
        deadline = time.monotonic() + seconds
        with self.connected() as redis:
            while time.monotonic() < deadline:
                found: Any = redis.get(f"{KEY_PREFIX}celery-task-meta-{task_id}")
                if found and (answer := json.loads(found))["status"] in {"SUCCESS", "FAILURE"}:
                    return dict(answer)
                time.sleep(0.02)
        return None

    def step(self, task: str, *arguments: str) -> int:
        """Have a task done, however often it must be sent; returns how often that was."""
        trouble: Any = None
        for tried in range(1, TRIES + 1):
            try:
                answer = self.answer(self.send(task, *arguments), PATIENCE)
            except (OperationalError, RedisError) as error:
                answer, trouble = None, error
            if answer is None:
                continue
            if answer["status"] == "SUCCESS":
                return tried
            trouble = answer["result"]
            # Airflow would raise the alarm, and must not have had to.
            assert trouble["exc_type"] != "ReconciliationError", trouble
            time.sleep(PAUSE)
        raise AssertionError(f"{task} was sent {TRIES} times, and is not done: {trouble}")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("kills")
    with (
        running_postgres(folder / "postgres") as postgres,
        running_redis(folder / "redis") as redis,
    ):
        migrate(postgres.url)
        workers = Workers(folder, redis, postgres.url)
        workers.start()
        made = System(postgres, redis, workers)
        try:
            made.step("trading.health")
            yield made
        finally:
            made.client.close()
            workers.stop()


class Flow:
    """Sessions of an account, one after the other."""

    def __init__(self, system: System, account: str) -> None:
        self.system = system
        self.desk = Desk(system.postgres.url, replace(TERMS, account=account))
        self.account = account
        self.days: list[date] = []
        self.weights: list[dict[str, float]] = []
        self.doing = ""
        self.failed = 0

    def close(self) -> None:
        self.desk.close()

    def prepare(self) -> date:
        """Store the next session's signals and quotes, as Airflow's own workers do."""
        number = len(self.days)
        day = SESSIONS[FIRST + number]
        self._here("signal", lambda: self.desk.signal(day, weights_of(number)))
        self._here("quote", lambda: (self.desk.quote if number else self.desk.open)(day))
        return day

    def run(self) -> int:
        """Take the next session from its signals to its orders; returns how often steps failed."""
        before = self.failed
        day = self.prepare()
        for task, *arguments in (
            ("trading.settle", str(day)),
            ("trading.reconcile",),
            ("trading.submit", str(day)),
            ("trading.reconcile",),
        ):
            self.doing = task
            self.failed += self.system.step(task, self.account, *arguments) - 1
        self.weights.append(weights_of(len(self.days)))
        self.days.append(day)
        return self.failed - before

    def _here(self, name: str, step: Callable[[], object]) -> None:
        """Do what a worker of Airflow does by itself, until it is done."""
        self.doing = name
        for _ in range(TRIES):
            try:
                step()
            except TradingError:
                self.failed += 1
                time.sleep(PAUSE)
            else:
                return
        raise AssertionError(f"{name} failed {TRIES} times")

    def rows(self) -> list[object]:
        """Return how much there is of everything, of all accounts."""
        tables = ("intents", "orders", "order_events", "fills", "bookings", "equity", "events")
        every = [f"trading.{table}" for table in tables]
        every += [f"paper.{table}" for table in ("orders", "order_events", "executions")]
        return [self.desk.rows(f"SELECT '{table}', count(*) FROM {table}") for table in every]

    def waiting(self) -> int:
        """Return how many in the database wait for a lock that another one has."""
        [(count,)] = self.desk.rows("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(str(count))

    def check(self) -> None:
        """Nothing is missing and nothing is there twice: in the book, at the broker, outside."""
        desk, mine = self.desk, f"account = '{self.account}'"
        desk.engine.dispose()
        assert_same(desk, expected_books(self.days, self.weights))
        wanted = desk.rows(f"SELECT session, symbol FROM trading.intents WHERE {mine} "
                           "AND shares <> 0 ORDER BY 1, 2")  # fmt: skip
        sent = desk.rows("SELECT signal_session, symbol FROM trading.orders "
                         f"WHERE {mine} ORDER BY 1, 2")  # fmt: skip
        assert wanted == sent
        assert len(sent) >= 2 * len(self.days)
        order = "client_order_id, symbol, shares, session"
        states = {}
        for schema, state in (("trading", "state"), ("paper", "status")):
            states[schema] = desk.rows(
                f"SELECT DISTINCT ON (client_order_id) {order}, {state} FROM {schema}.orders "
                f"JOIN {schema}.order_events USING (client_order_id) WHERE {mine} "
                "ORDER BY client_order_id, sequence DESC"
            )
        assert states["trading"] == states["paper"]
        assert len(states["trading"]) == len(sent)
        assert {state for *_, day, state in states["paper"] if day <= self.days[-1]} == {"filled"}
        fill = "execution_id, client_order_id, session, symbol, shares, price, commission, slippage"
        ours = desk.rows(f"SELECT {fill} FROM trading.fills WHERE {mine} ORDER BY 1")
        assert ours == desk.rows(f"SELECT {fill} FROM paper.executions WHERE {mine} ORDER BY 1")
        assert len({fill[1] for fill in ours}) == len(ours)
        self.system.step("trading.reconcile", self.account)
        told = {str(row[0]) for row in desk.rows(f"SELECT id FROM trading.events WHERE {mine}")}
        assert len(told) == len(ours) + len(self.days) - 1
        with self.system.connected() as redis:

            def untold() -> set[str]:
                entries: Any = redis.xrange(STREAM)
                return told - {fields["id"] for _, fields in entries}

            wait_until(lambda: not untold(), 30, of=untold)


def drawn(name: str) -> random.Random:
    return random.Random(f"{SEED} {name}")  # noqa: S311 -- moments, not secrets


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def kill_worker(system: System, number: int, draw: random.Random) -> str:
    """Kill all of it, or its main process, or one of those that do the tasks."""
    worker = system.workers.processes[-1]
    pool = psutil.Process(worker.pid).children()
    if number % 3 == 0 and pool:
        draw.choice(pool).kill()  # the main process starts another
        return "a process of the pool"
    if number % 3 == 1:
        kill_tree(worker.pid)
    else:
        worker.kill()
    worker.wait()
    system.workers.start()
    # Those that did tasks finish what they do, and then find themselves alone.
    _, left = psutil.wait_procs(pool, timeout=60)
    assert left == []
    return "all processes" if number % 3 == 1 else "the main process"


def kill_redis(system: System, number: int, draw: random.Random) -> str:
    """Kill it, every other time while it writes its file."""
    del draw
    system.redis.kill()
    half = number % 2 == 0
    if half:
        system.redis.write_half()
    system.redis.start()
    return "it, while it wrote" if half else "it"


def kill_postgres(system: System, number: int, draw: random.Random) -> str:
    """Kill all of its processes, or the main one."""
    del draw
    everything = number % 2 == 0
    system.postgres.kill(everything=everything)
    system.postgres.start()
    return "all processes" if everything else "the main process"


@pytest.mark.parametrize("kill", [kill_worker, kill_redis, kill_postgres])
def test_killed_at_random_moments_nothing_is_lost_and_nothing_done_twice(
    system: System, kill: Callable[[System, int, random.Random], str]
) -> None:
    draw = drawn(kill.__name__)
    say(f"\n{kill.__name__}, TRADEWIND_KILLS={KILLS} TRADEWIND_KILL_SEED={SEED}")
    with closing(Flow(system, kill.__name__)) as flow, ThreadPoolExecutor(1) as pool:

        def strike(number: int, after: float) -> tuple[float, str, str]:
            time.sleep(after)
            return time.monotonic(), flow.doing, kill(system, number, draw)

        lengths = []
        for _ in range(6):
            began = time.monotonic()
            assert flow.run() == 0
            lengths.append(time.monotonic() - began)
        undisturbed = statistics.median(lengths[1:])  # the first opens the account
        say(f"undisturbed: {undisturbed:.2f} s a session")
        kills = missed = 0
        while kills < KILLS:
            moment = draw.uniform(0, undisturbed)
            killed = pool.submit(strike, kills + 1, moment)
            began = time.monotonic()
            failed = flow.run()
            ended = time.monotonic()
            struck, doing, how = killed.result()
            if struck > ended:  # this session was a fast one
                missed += 1
                continue
            kills += 1
            say(
                f"{kills:3}. {how}, after {moment:.2f} s, in {doing}: tried again {failed} times, "
                f"done after {ended - began:.1f} s"
            )
        say(f"{missed} kills came after a session's end")
        flow.check()


def test_tasks_that_come_again_when_all_is_over_change_nothing(system: System) -> None:
    """What a worker had taken when it was killed is given out again by the next that starts."""
    with closing(Flow(system, "late")) as flow:
        flow.run()
        day = flow.prepare()
        with flow.desk.engine.connect() as holder:
            holder.exec_driver_sql("LOCK TABLE paper.orders IN ACCESS EXCLUSIVE MODE")
            late = []

            def waits(count: int) -> bool:
                return flow.waiting() == count

            # Settling has the account before the orders ask for it: they are of a settled session.
            for waiting, task in enumerate(("trading.settle", "trading.submit"), 1):
                late.append(system.send(task, flow.account, str(day)))
                wait_until(partial(waits, waiting), 60, of=flow.waiting)
            kill_worker(system, 1, drawn("late"))
            holder.rollback()
        for each in late:  # in any order, so that what is not due yet may be refused
            assert system.answer(each, 120) is not None
        with system.connected() as redis:
            wait_until(lambda: not redis.hlen(f"{KEY_PREFIX}unacked"), 60)
        for _ in range(3):
            flow.run()
        before = flow.rows()
        for task in ("trading.settle", "trading.submit"):  # and once more, when all is over
            answer = system.answer(system.send(task, flow.account, str(day)), 120)
            assert answer is not None
            assert answer["status"] == "SUCCESS", answer
        assert flow.rows() == before
        flow.check()

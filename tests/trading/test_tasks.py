"""A real Celery worker, asked by name as a foreign application would ask it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from celery.result import AsyncResult
from redis import Redis

from tests.redis_server import RedisServer, running_redis
from tests.support import wait_until
from tests.trading.books import DAYS, Desk, assert_same, expected_books, weights_of
from tests.trading.workers import Workers
from tradewind.errors import ReconciliationError, TradingError
from tradewind.trading.book.outbox import STREAM


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running
        # A result of Celery's that is collected later would look for its Redis, and wait for it.
        gc.collect()


@pytest.fixture
def workers(tmp_path: Path, server: RedisServer, book_url: str) -> Iterator[Workers]:
    with server.admin as admin:
        admin.flushdb()
    made = Workers(tmp_path, server, book_url)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def held_submission(desk: Desk, workers: Workers) -> Iterator[AsyncResult]:
    """Ask for orders to be sent, and hold the first meanwhile, written down as about to be."""
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    with desk.engine.connect() as holder:
        holder.exec_driver_sql("LOCK TABLE paper.orders IN ACCESS EXCLUSIVE MODE")
        answer = workers.client.send_task("trading.submit", ["momentum", str(DAYS[0])])
        wait_until(
            lambda: desk.rows("SELECT 1 FROM trading.order_events WHERE state = 'submitted'"), 60
        )
        yield answer  # let go of with the connection


def test_sessions_through_a_worker_add_up_to_the_cent(desk: Desk, workers: Workers) -> None:
    days = DAYS[3:7]
    weights = [weights_of(day) for day in range(len(days))]
    desk.open(days[0])
    for day, wanted in zip(days, weights, strict=True):
        desk.signal(day, wanted)
        if day != days[0]:
            desk.quote(day)
        settled = workers.ask("trading.settle", "momentum", str(day))
        assert settled["account"] == "momentum"
        workers.ask("trading.reconcile", "momentum")
        sent = workers.ask("trading.submit", "momentum", str(day))
        assert sent["states"] == {"accepted": 3}
        found = workers.ask("trading.reconcile", "momentum")
        assert found["settled"] == str(day)
    assert_same(desk, expected_books(days, weights))
    with Redis.from_url(workers.server.url, decode_responses=True) as redis:
        wait_until(lambda: redis.xlen(STREAM) == 12, 30)  # 9 fills, 3 ends of days


def test_an_error_comes_back_by_its_name_and_with_its_words(desk: Desk, workers: Workers) -> None:
    with pytest.raises(TradingError, match="no account ghost was opened"):
        workers.ask("trading.settle", "ghost", "2005-02-22")
    with pytest.raises(TradingError, match="is no session"):
        workers.ask("trading.submit", "ghost", "yesterday")
    desk.open(DAYS[0])
    desk.change(
        "INSERT INTO paper.adjustments (account, session, symbol, shares) "
        f"VALUES ('momentum', '{DAYS[0]}', 'IBM', 3)"
    )
    with pytest.raises(ReconciliationError, match="position in IBM is 0 here and 3 at the broker"):
        workers.ask("trading.reconcile", "momentum")


def test_a_worker_that_is_killed_with_a_task_leaves_it_to_another(
    desk: Desk, workers: Workers
) -> None:
    with held_submission(desk, workers) as answer:
        [worker] = workers.processes
        for child in psutil.Process(worker.pid).children():
            child.kill()
    # Late acknowledgement and rejection on loss: the task is given out again, to a new child.
    assert answer.get(timeout=120)["states"] == {"accepted": 3}
    assert desk.rows("SELECT count(*) FROM paper.orders") == [(3,)]
    desk.reconcile()


def test_what_was_done_while_redis_was_away_is_told_when_it_is_back(
    desk: Desk, workers: Workers
) -> None:
    with held_submission(desk, workers) as answer:
        workers.server.kill()
    accepted = "SELECT 1 FROM trading.order_events WHERE state = 'accepted'"
    wait_until(lambda: len(desk.rows(accepted)) == 3, 60)
    workers.server.start()
    assert answer.get(timeout=120)["states"] == {"accepted": 3}

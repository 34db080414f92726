"""From a vendor's refresh to orders at Alpaca's stand-in, in one go, and killed at random moments.

Bars come from the vendor's server, a model fitted on them makes signals, real trading workers send
the orders through `alpaca-py`, and the stand-in fills them at the bars' own opens. At random
moments the refresh, the worker, Redis or PostgreSQL is killed. In the end the book is the
backtest's to the cent, and the broker's records are the book's.

`TRADEWIND_REFRESH_KILLS` says how often; `make campaign` kills ten times. `TRADEWIND_KILL_SEED`
draws the moments of a run again.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tests.postgres import running_postgres
from tests.redis_server import running_redis
from tests.support import typed
from tests.trading.books import BARS, SESSIONS, SYMBOLS, Desk, assert_same
from tests.trading.refresh_and_signal import ACCOUNT, Day, strategy_of
from tests.trading.test_kills import (
    SEED,
    System,
    drawn,
    kill_postgres,
    kill_redis,
    kill_worker,
    say,
)
from tests.trading.workers import Workers
from tests.vendors.alpaca_broker_server import AlpacaBrokerServer, Opening, VendorAccount
from tests.vendors.alpaca_server import AlpacaServer
from tradewind.bookings import price_of, split_between
from tradewind.broker_login import LOGIN
from tradewind.research.backtest.books import keep_books
from tradewind.trading.broker import BROKER
from tradewind.trading.migrate import migrate
from tradewind.vendor_keys import key_variable

KILLS = int(os.environ.get("TRADEWIND_REFRESH_KILLS", "1"))
NEW_YORK = ZoneInfo("America/New_York")
NUMBER, KEY, SECRET = "PA1", "PK111", "5ecr3t-0ne"
TRIES = 8
LEAST = 2  # sessions; the first opens the account
# AAPL has just been split: the stand-in fills an order as it was sent, and the backtest takes one
# that waits for its open through the split.
FIRST = SESSIONS.index(date(2005, 3, 1))


def quotes() -> dict[tuple[str, date], tuple[Opening, Decimal]]:
    """Return how each symbol opens on each session, and what a share has become by then."""
    found: dict[tuple[str, date], tuple[Opening, Decimal]] = {}
    for symbol in SYMBOLS:
        before = 1.0
        for row in BARS.filter(pl.col("symbol") == symbol).iter_rows(named=True):
            ratio = split_between(before, row["split_factor"])
            before = row["split_factor"]
            split = Decimal(ratio.numerator) / Decimal(ratio.denominator)
            found[symbol, row["session"]] = Opening(price_of(row["open"])), split
    return found


@dataclass
class Place:
    """All that there is: the vendor, the exchange, the stores and the trading workers."""

    system: System
    vendor: AlpacaServer
    exchange: AlpacaBrokerServer
    home: Path
    refreshes: list[subprocess.Popen[str]] = field(default_factory=list)

    def refresh(self, day: Day) -> None:
        """Do a session's refresh in a process of its own, until it is done."""
        for _ in range(TRIES):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.trading.refresh_and_signal"], text=True,
                stdin=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            self.refreshes.append(process)
            _, said = process.communicate(json.dumps(asdict(day)))
            if process.returncode == 0:
                return
            time.sleep(0.2)  # as a task's next try waits
        raise AssertionError(f"the refresh failed {TRIES} times: {said}")

    def kill_refresh(self) -> bool:
        """Kill the process that refreshes, if there is one; tell whether there was."""
        running = [process for process in self.refreshes if process.poll() is None]
        for process in running:
            process.kill()
        return bool(running)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    known = quotes()
    vendor = AlpacaServer(BARS.filter(pl.col("session") >= date(2003, 1, 2)))
    exchange = AlpacaBrokerServer(
        [VendorAccount(NUMBER, KEY, SECRET)],
        SESSIONS,
        lambda symbol, session: known[symbol, session][0] if (symbol, session) in known else None,
        datetime.combine(SESSIONS[FIRST], datetime.min.time(), NEW_YORK),
    )
    exchange.parts = 1
    exchange.split = lambda symbol, session: known[symbol, session][1]
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for server in (vendor, exchange):
            stack.enter_context(server.running())
        address = f"alpaca://paper?account.desk={NUMBER}&url={exchange.url}"
        patch.setenv(BROKER, address)
        patch.setenv(LOGIN, f"{KEY}:{SECRET}")
        patch.setenv(key_variable("alpaca"), vendor.key)
        postgres = stack.enter_context(running_postgres(tmp_path / "postgres"))
        redis = stack.enter_context(running_redis(tmp_path / "redis"))
        migrate(postgres.url)
        workers = Workers(tmp_path, redis, postgres.url)
        workers.start()
        stack.callback(workers.stop)
        system = System(postgres, redis, workers)
        stack.callback(system.client.close)
        system.step("trading.health")
        yield Place(system, vendor, exchange, tmp_path / "bars")


class Days:
    """Sessions of an account, one after the other."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.days: list[date] = []
        self.doing = ""
        self.refreshed = threading.Event()
        self.refreshing = self.trading = 0.0  # seconds that they took the last time

    def run(self) -> None:
        """Take the next session from the vendor's bars to orders, and its open."""
        place, number = self.place, FIRST + len(self.days)
        session, coming = SESSIONS[number], SESSIONS[number + 1]
        if self.days:
            place.exchange.open_session(session)
        place.exchange.now = datetime.combine(session, datetime.min.time(), NEW_YORK).replace(
            hour=23, minute=30
        )
        place.vendor.today = session
        began = time.monotonic()
        self.refreshed.clear()
        place.refresh(
            Day(
                "desk", place.vendor.url, place.system.postgres.url, str(place.home),
                str(SESSIONS[FIRST - 1]), str(session), str(coming),
                place.exchange.now.isoformat(),
            )
        )  # fmt: skip
        self.refreshing = time.monotonic() - began
        self.refreshed.set()
        for task, *arguments in (
            ("trading.settle", str(session)),
            ("trading.reconcile",),
            ("trading.submit", str(session)),
            ("trading.reconcile",),
        ):
            self.doing = task
            place.system.step(task, "desk", *arguments)
        self.doing = ""
        self.trading = time.monotonic() - began - self.refreshing
        self.days.append(session)

    def check(self) -> None:
        """Each intent has one order there, filled once; book, broker and backtest agree."""
        with closing(Desk(self.place.system.postgres.url, ACCOUNT)) as desk:
            desk.terms = type(ACCOUNT)(**{**asdict(ACCOUNT), "account": "desk"})
            weights = pl.DataFrame(
                desk.rows("SELECT symbol, session, weight::float8 FROM signals"),
                schema={"symbol": pl.String, "session": pl.Date, "weight": pl.Float64},
                orient="row",
            )
            rules = strategy_of("desk").backtest
            used = BARS.filter(pl.col("session").is_in(self.days))
            assert_same(desk, keep_books(weights, used, rules, sizing="close"))
            wanted = {
                (str(name), int(shares), str(session))
                for name, shares, session in desk.rows(
                    "SELECT client_order_id, o.shares, trade_session FROM trading.intents i JOIN "
                    "trading.orders o USING (account, symbol, model_version) "
                    "WHERE i.session = o.signal_session AND i.shares <> 0"
                )
            }
            [(intents,)] = desk.rows("SELECT count(*) FROM trading.intents WHERE shares <> 0")
            account = self.place.exchange.accounts[NUMBER]
            sent = [
                (
                    order["client_order_id"].partition("/")[0],
                    int(order["qty"]) * (1 if order["side"] == "buy" else -1),
                    str(order["session"]),
                )
                for order in account.orders
            ]
            assert len(sent) == len(set(sent)) == typed(intents, int)
            assert set(sent) == wanted
            last = str(self.days[-1])
            filled = [o for o in account.orders if str(o["session"]) <= last]
            assert {order["status"] for order in filled} == {"filled"}
            assert len(account.trades) == len(filled)
            booked = desk.rows("SELECT execution_id FROM trading.fills")
            assert {row[0] for row in booked} == {trade["id"] for trade in account.trades}
        self.place.system.step("trading.reconcile", "desk")


class Strikes:
    """What is killed, and when: all ways one after the other."""

    def __init__(self, place: Place, days: Days) -> None:
        self.days = days
        self.draw = drawn("refresh to orders")
        self.struck: list[str] = []
        self._place = place
        self._ways = [
            self._at_an_order(taken=True), self._in_refresh, self._of(kill_worker),
            self._at_an_order(taken=False), self._of(kill_redis), self._of(kill_postgres),
        ]  # fmt: skip

    def prepare(self) -> Callable[[], None]:
        """Get the next way ready; what is returned runs beside a session."""
        return self._ways[len(self.struck) % len(self._ways)]()

    def _at_an_order(self, *, taken: bool) -> Callable[[], Callable[[], None]]:
        """Kill the worker when its order is at the exchange, and the book does not know of that."""

        def strike() -> None:
            kill_worker(self._place.system, 1, self.draw)
            self._note(f"the worker, its order {'taken' if taken else 'not taken'}")

        def prepare() -> Callable[[], None]:
            exchange = self._place.exchange
            exchange.after_order = strike if taken else None
            exchange.before_order = None if taken else strike
            return lambda: None

        return prepare

    def _in_refresh(self) -> Callable[[], None]:
        moment = self.draw.uniform(0, self.days.refreshing)

        def strike() -> None:
            time.sleep(moment)
            if self._place.kill_refresh():
                self._note(f"the refresh, after {moment:.2f} s")

        return strike

    def _of(self, kill: Callable[[System, int, Any], str]) -> Callable[[], Callable[[], None]]:
        def prepare() -> Callable[[], None]:
            moment = self.draw.uniform(0, self.days.trading)

            def strike() -> None:
                self.days.refreshed.wait()
                time.sleep(moment)
                doing = self.days.doing
                how = kill(self._place.system, len(self.struck), self.draw)
                if doing:
                    self._note(f"{kill.__name__}: {how}, {moment:.2f} s into trading, in {doing}")

            return strike

        return prepare

    def _note(self, what: str) -> None:
        self.struck.append(what)
        say(f"{len(self.struck):3}. {what}")


def test_from_refresh_to_orders_in_one_go(place: Place) -> None:
    say(f"\nTRADEWIND_REFRESH_KILLS={KILLS} TRADEWIND_KILL_SEED={SEED}")
    days = Days(place)
    strikes = Strikes(place, days)
    days.run()
    with ThreadPoolExecutor(1) as pool:
        while len(strikes.struck) < KILLS or len(days.days) < LEAST:
            beside = pool.submit(strikes.prepare() if len(strikes.struck) < KILLS else lambda: None)
            days.run()
            beside.result()
    days.check()
    say(f"{len(days.days)} sessions, {len(place.vendor.requests)} requests to the vendor, "
        f"{len(place.exchange.requests)} to the exchange")  # fmt: skip

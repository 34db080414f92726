"""Every step done twice, by two at once, or killed at any line and done again: one order each."""

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from tests.trading.books import DAYS, Desk, assert_same, expected_books, weights_of
from tradewind.errors import TradingError
from tradewind.trading.orders import OrderTicket


class KilledError(Exception):
    """What a kill is to the code it hits: nothing after this line is done."""


@contextmanager
def killed_at(statement: int) -> Iterator[list[int]]:
    """Die before a statement to the database, the book's or the broker's; yields their number."""
    count = [0]

    def before(*_: object) -> None:
        count[0] += 1
        if count[0] == statement:
            raise KilledError(f"statement {statement}")

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        yield count
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)


def survives(step: Callable[[], object]) -> int:
    """Do a step, killed at its first statement, then at the second, and so on until it is done."""
    for kills in range(500):
        with killed_at(kills + 1):
            try:
                step()
            except KilledError:
                continue
            return kills
    raise AssertionError("never finished")


def test_killed_before_each_statement_every_session_comes_out_the_same(desk: Desk) -> None:
    days = DAYS[3:6]  # AAPL's split is on the second
    weights = [weights_of(day) for day in range(len(days))]
    desk.open(days[0])
    kills = 0
    for day, wanted in zip(days, weights, strict=True):
        desk.signal(day, wanted)
        if day != days[0]:
            kills += survives(partial(desk.quote, day))
            kills += survives(partial(desk.settle, day))
        desk.reconcile()
        kills += survives(partial(desk.submit, day))
        desk.reconcile()
    assert kills > 100
    assert_same(desk, expected_books(days, weights))
    ids = desk.rows("SELECT client_order_id FROM paper.orders")
    assert len(ids) == len(set(ids)) == 9


def test_done_twice_nothing_changes(desk: Desk) -> None:
    tables = ("accounts", "quotes", "intents", "orders", "order_events", "fills", "bookings",
              "equity", "events")  # fmt: skip

    def counts() -> list[object]:
        return [desk.rows(f"SELECT count(*) FROM trading.{table}") for table in tables]

    for day in (0, 1):
        desk.run(DAYS[day], weights_of(day))
        found = counts()
        desk.run(DAYS[day], weights_of(day))
        assert counts() == found


@pytest.mark.parametrize("workers", [2, 6])
def test_workers_that_do_it_at_one_moment_send_each_order_once(book_url: str, workers: int) -> None:
    desks = [Desk(book_url) for _ in range(workers)]
    days = DAYS[:3]
    weights = [weights_of(day) for day in range(len(days))]
    try:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda desk: desk.open(days[0]), desks))
            for day, wanted in zip(days, weights, strict=True):
                desks[0].signal(day, wanted)
                list(pool.map(Desk.quote, desks, [day] * workers))
                list(pool.map(Desk.settle, desks, [day] * workers))
                answers = list(pool.map(Desk.submit, desks, [day] * workers))
                assert all(answer == answers[0] for answer in answers)
        desks[0].reconcile()
        assert desks[0].rows("SELECT count(*) FROM paper.orders") == [(9,)]
        assert_same(desks[0], expected_books(days, weights))
    finally:
        for desk in desks:
            desk.close()


class LosesAnswers:
    """A broker whose first answer to each order is lost, after it took the order or before.

    All else is the broker's that it stands before.
    """

    def __init__(self, desk: Desk, *, taken: bool) -> None:
        self.real = desk.broker
        self.taken = taken
        self.sent: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    async def submit(self, order: OrderTicket) -> None:
        again = order.client_order_id in self.sent
        self.sent.append(order.client_order_id)
        if again or self.taken:
            await self.real.submit(order)
        if not again:
            raise TradingError("the line to the broker is down")


@pytest.mark.parametrize("taken", [True, False])
def test_an_order_whose_answer_was_lost_is_sent_again_under_its_id(
    desk: Desk, *, taken: bool
) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    broker = desk.broker = LosesAnswers(desk, taken=taken)  # type: ignore[assignment]
    for lost in range(3):
        with pytest.raises(TradingError, match="line to the broker is down"):
            desk.submit(DAYS[0])
        assert len(broker.sent) == 2 * lost + 1
    assert desk.submit(DAYS[0]).states == {"accepted": 3}
    assert len(set(broker.sent)) == 3
    desk.broker = broker.real
    desk.quote(DAYS[1])
    [settled] = desk.settle(DAYS[1])
    assert settled.fills == 3
    desk.reconcile()


@pytest.mark.parametrize(("taken", "state", "fills"), [(True, "filled", 1), (False, "expired", 0)])
def test_an_order_whose_fate_is_unknown_is_settled_by_what_the_broker_says(
    desk: Desk, state: str, fills: int, *, taken: bool
) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    broker = LosesAnswers(desk, taken=taken)
    desk.broker = broker  # type: ignore[assignment]
    with pytest.raises(TradingError, match="line"):
        desk.submit(DAYS[0])
    desk.broker = broker.real
    desk.quote(DAYS[1])
    [settled] = desk.settle(DAYS[1])
    assert settled.fills == fills
    last = desk.rows(
        "SELECT state FROM trading.order_events ORDER BY created_at DESC, sequence DESC LIMIT 1"
    )
    assert last == [(state,)]
    desk.reconcile()
    # What was not sent then is too late now, and so are its intents.
    assert desk.submit(DAYS[0]).states == {state: 1, "refused": 2}
    reasons = desk.rows("SELECT DISTINCT reasons FROM trading.order_events WHERE state = 'refused'")
    assert reasons == [
        (
            [
                f"too late: the open of {DAYS[1]} is over: momentum is settled up to {DAYS[1]}",
                f"stale signal: 1 open has gone by since {DAYS[0]}, after which it was made, and "
                "risk.max_signal_age is 0. Newer bars make newer signals; `execution: replay` "
                "plays the past on paper",
            ],
        )
    ]
    desk.reconcile()


def test_one_session_is_traded_by_one_model_version(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0), version=1)
    first = desk.submit(DAYS[0])
    desk.signal(DAYS[0], {"AAPL": 1.0}, version=2)
    assert desk.submit(DAYS[0]) == first
    assert desk.rows("SELECT DISTINCT model_version FROM trading.intents") == [(1,)]


def test_a_position_whose_symbol_is_wanted_no_more_is_sold(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    desk.run(DAYS[1], {"AAPL": 0.1})
    desk.run(DAYS[2], {"AAPL": 0.1})
    assert desk.rows(
        "SELECT DISTINCT symbol FROM trading.bookings WHERE symbol <> '' "
        "GROUP BY symbol HAVING sum(shares) <> 0"
    ) == [("AAPL",)]


def test_what_comes_too_early_says_what_is_missing(desk: Desk) -> None:
    with pytest.raises(TradingError, match="no account momentum was opened"):
        desk.settle(DAYS[0])
    with pytest.raises(TradingError, match="no account momentum was opened"):
        desk.submit(DAYS[0])
    with pytest.raises(TradingError, match="not open: open it before its quotes"):
        desk.quote(DAYS[1])
    desk.open(DAYS[0])
    with pytest.raises(TradingError, match=f"no signals of momentum for {DAYS[0]}"):
        desk.submit(DAYS[0])
    with pytest.raises(TradingError, match=f"no quotes of momentum for {DAYS[1]}"):
        desk.settle(DAYS[1])
    desk.signal(DAYS[1], weights_of(0))
    with pytest.raises(TradingError, match=f"settled up to {DAYS[0]}, not to {DAYS[1]}"):
        desk.submit(DAYS[1])


def test_a_database_without_the_book_is_said_to_be(postgres_url: str) -> None:
    for schema in ("trading", "paper"):
        with sa.create_engine(postgres_url, poolclass=sa.NullPool).begin() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
    with (
        closing(Desk(postgres_url)) as desk,
        pytest.raises(TradingError, match=r"trading\.migrate"),
    ):
        desk.settle(dt.date(2005, 2, 22))

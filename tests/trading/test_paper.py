"""The paper broker: the contract of all brokers, and what it fills at which price, exactly."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import insert

from tradewind.bookings import cents
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.testing.broker import (
    FIRST,
    SECOND,
    SIGNAL,
    BrokerContract,
    Market,
    ticket,
)
from tradewind.trading.book import schema
from tradewind.trading.book.accounts import Account, open_account
from tradewind.trading.book.database import open_database
from tradewind.trading.broker import Broker, SimulatedBroker, open_broker
from tradewind.trading.brokers.paper import PaperBroker
from tradewind.trading.migrate import migrate
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderState, OrderTicket

TERMS = Account(
    account="mine",
    capital=Decimal(1_000_000),
    commission_bps=Decimal("1.5"),
    slippage_bps=Decimal("4.25"),
    borrow_bps=Decimal(50),
    lot_size=1,
    max_participation=Decimal("0.1"),
    max_weight=Decimal(1),
    max_gross=Decimal(1),
    max_net=Decimal(1),
    max_order_volume=Decimal("0.1"),
    max_price_move=Decimal("0.4"),
    max_signal_age=0,
    delisting_return=Decimal(0),
    execution="replay",
)
THIRD = dt.date(2024, 1, 10)


def quote(
    symbol: str,
    session: dt.date,
    price: Decimal | int,
    *,
    volume: int = 1_000_000,
    split: Fraction = Fraction(1),
    account: str = "mine",
) -> dict[str, Any]:
    return {
        "account": account,
        "session": session,
        "symbol": symbol,
        "open": Decimal(price),
        "close": Decimal(price),
        "volume": volume,
        "split_numerator": split.numerator,
        "split_denominator": split.denominator,
        "dividend": Decimal(0),
    }


def open_accounts(url: str, terms: Sequence[Account], quotes: Sequence[dict[str, Any]]) -> None:
    with open_database(url) as engine:
        for one in terms:
            open_account(engine, one, SIGNAL)
        with engine.begin() as connection:
            known = [row for row in quotes if row["session"] <= SIGNAL]
            connection.execute(sa.insert(schema.quotes), known)
    for one in terms:
        TO_COME[one.account] = [
            row for row in quotes if row["account"] == one.account and row["session"] > SIGNAL
        ]


# Quotes of sessions that an account has still to be told of.
TO_COME: dict[str, list[dict[str, Any]]] = {}


def tell(url: str, account: str, session: dt.date) -> None:
    """Tell an account of a session's quotes, once, before it is traded."""
    rows = [row for row in TO_COME[account] if row["session"] == session]
    if rows:
        with open_database(url) as engine, engine.begin() as connection:
            connection.execute(insert(schema.quotes).on_conflict_do_nothing(), rows)


class OnPaper:
    """The market of the contract, as quotes."""

    accounts = ("mine", "yours")

    def __init__(self, url: str) -> None:
        self._url = url
        rows = [
            quote(symbol, session, price, volume=volume, account=account)
            for account in self.accounts
            for session in (SIGNAL, FIRST, SECOND)
            for symbol, price, volume in (("AAPL", 100, 10**6), ("MSFT", 50, 10**6), ("IBM", 9, 99))
        ]
        open_accounts(url, [TERMS, replace(TERMS, account="yours")], rows)

    def broker(self) -> Broker:
        return open_broker("paper", self._url)

    async def trade(self, broker: Broker, account: str, session: dt.date) -> None:
        assert isinstance(broker, SimulatedBroker)
        tell(self._url, account, session)
        await broker.trade(account, session)


class TestPaperBroker(BrokerContract):
    @pytest.fixture
    def market(self, book_url: str) -> Market:
        return OnPaper(book_url)


def trade(
    url: str, orders: Sequence[OrderTicket], *sessions: dt.date, account: str = "mine"
) -> tuple[Sequence[BrokerOrder], Sequence[BrokerFill], dict[str, int]]:
    """Send orders and trade sessions; returns what the broker says then."""

    async def all_of_it() -> tuple[Sequence[BrokerOrder], Sequence[BrokerFill], dict[str, int]]:
        broker = PaperBroker("paper", url)
        try:
            for order in orders:
                await broker.submit(order)
            for session in sessions:
                tell(url, account, session)
                await broker.trade(account, session)
            return (
                await broker.orders(account),
                await broker.fills(account),
                dict(await broker.positions(account)),
            )
        finally:
            await broker.close()

    return asyncio.run(all_of_it())


def objection(url: str, order: OrderTicket) -> str:
    with pytest.raises(OrderRejectedError) as found:
        trade(url, [order])
    return str(found.value)


def test_a_fill_costs_the_basis_points_of_its_notional_in_cents(book_url: str) -> None:
    price = Decimal("33.33333333")
    open_accounts(book_url, [TERMS], [quote("AAPL", day, price) for day in (SIGNAL, FIRST)])
    _, [fill], _ = trade(book_url, [ticket("mine", "AAPL", -1_001)], FIRST)
    notional = price * 1_001
    assert fill == BrokerFill(
        execution_id="mine-one.1",
        client_order_id="mine-one",
        account="mine",
        symbol="AAPL",
        session=FIRST,
        shares=-1_001,
        price=price,
        commission=cents(notional * Decimal("0.00015")),
        slippage=cents(notional * Decimal("0.000425")),
    )
    assert (fill.commission, fill.slippage) == (Decimal("5.00"), Decimal("14.18"))


def test_slippage_goes_no_further_than_the_limit(book_url: str) -> None:
    open_accounts(book_url, [TERMS], [quote("AAPL", day, 100) for day in (SIGNAL, FIRST)])
    limits = {"at": Decimal(100), "near": Decimal("100.01"), "far": Decimal(101)}
    orders = [ticket("mine", "AAPL", 100, name=name, limit=it) for name, it in limits.items()]
    _, fills, _ = trade(book_url, orders, FIRST)
    slippage = {fill.client_order_id: fill.slippage for fill in fills}
    expected = {"at": "0.00", "near": "1.00", "far": "4.25"}
    assert slippage == {f"mine-{name}": Decimal(it) for name, it in expected.items()}
    assert {fill.price for fill in fills} == {Decimal(100)}


def test_a_session_is_shared_by_the_orders_of_a_symbol(book_url: str) -> None:
    terms = replace(TERMS, lot_size=10)
    rows = [quote("AAPL", day, 100, volume=2_999) for day in (SIGNAL, FIRST)]
    open_accounts(book_url, [terms], rows)
    orders = [ticket("mine", "AAPL", shares, name=str(shares)) for shares in (100, -250, 50)]
    told, fills, _ = trade(book_url, orders, FIRST)
    # 299 shares may be traded: 100, then 199 of which whole lots, then 9, which are none.
    assert [fill.shares for fill in fills] == [100, -190]
    assert [(order.filled, order.status) for order in told] == [
        (100, OrderState.FILLED),
        (-190, OrderState.EXPIRED),
        (0, OrderState.EXPIRED),
    ]


def test_positions_and_waiting_orders_go_through_a_split(book_url: str) -> None:
    rows = [quote("AAPL", SIGNAL, 90), quote("AAPL", FIRST, 90)]
    rows.append(quote("AAPL", SECOND, 61, split=Fraction(3, 2)))
    open_accounts(book_url, [TERMS], rows)
    _, _, before = trade(book_url, [ticket("mine", "AAPL", 11)], FIRST)
    assert before == {"AAPL": 11}
    orders = [
        ticket("mine", "AAPL", 7, name="market", session=SECOND),
        ticket("mine", "AAPL", 1, name="above", limit=Decimal(91), session=SECOND),
        ticket("mine", "AAPL", 1, name="below", limit=Decimal(92), session=SECOND),
    ]
    told, fills, after = trade(book_url, orders, SECOND)
    # 11 become 16.5; 7 become 10.5; limits of 91 and 92 become 60.67 and 61.33.
    assert after == {"AAPL": 16 + 10 + 1}
    assert [fill.shares for fill in fills] == [11, 10, 1]
    assert [(order.shares, order.filled, order.status) for order in told[1:]] == [
        (7, 10, OrderState.FILLED),
        (1, 0, OrderState.EXPIRED),
        (1, 1, OrderState.FILLED),
    ]


def test_what_a_reverse_split_leaves_nothing_of_expires(book_url: str) -> None:
    rows = [quote("AAPL", SIGNAL, 1), quote("AAPL", FIRST, 10, split=Fraction(1, 10))]
    open_accounts(book_url, [TERMS], rows)
    [told], fills, held = trade(book_url, [ticket("mine", "AAPL", 9)], FIRST)
    assert (told.status, told.filled, list(fills), held) == (OrderState.EXPIRED, 0, [], {})


def test_a_symbol_that_is_halted_on_the_day_is_not_traded(book_url: str) -> None:
    rows = [quote("AAPL", SIGNAL, 100), quote("MSFT", SIGNAL, 50), quote("MSFT", FIRST, 50)]
    open_accounts(book_url, [TERMS], rows)
    [told], _, held = trade(book_url, [ticket("mine")], FIRST)
    assert (told.status, held) == (OrderState.EXPIRED, {})


def test_orders_that_cannot_be_are_rejected_and_stay_so(book_url: str) -> None:
    rows = [quote("AAPL", day, 100) for day in (SIGNAL, FIRST, SECOND)]
    rows += [quote("GONE", SIGNAL, 5)]
    open_accounts(book_url, [replace(TERMS, lot_size=10)], rows)
    assert objection(book_url, ticket("mine", "NOSUCH", name="a")) == "unknown symbol NOSUCH"
    assert "no multiple of the lot size 10" in objection(book_url, ticket("mine", shares=15))
    trade(book_url, [ticket("mine", shares=20, name="b")], FIRST)
    late = ticket("mine", shares=20, name="c")
    assert f"too late: the open of {FIRST} is over" in objection(book_url, late)
    gone = ticket("mine", "GONE", name="d", session=SECOND)
    assert f"no quote of GONE on {FIRST}" in objection(book_url, gone)
    for limit in ("0", "-1", "NaN", "Infinity", "1.123456789"):
        bad = ticket("mine", shares=20, name="e", limit=Decimal(limit), session=SECOND)
        assert "is no price" in objection(book_url, bad)
    # In the meantime it could be filled; but it was said that it would not be.
    with open_database(book_url) as engine, engine.begin() as connection:
        connection.execute(sa.insert(schema.quotes), [quote("NOSUCH", SIGNAL, 5)])
    assert objection(book_url, ticket("mine", "NOSUCH", name="a")) == "unknown symbol NOSUCH"
    told, _, held = trade(book_url, [], SECOND)
    assert held == {"AAPL": 20}
    assert [order.status for order in told].count(OrderState.REJECTED) == 4
    assert all(order.reason for order in told if order.status == OrderState.REJECTED)


def test_what_is_left_of_a_position_is_sold_whatever_the_lots(book_url: str) -> None:
    rows = [quote("AAPL", SIGNAL, 90), quote("AAPL", FIRST, 90)]
    rows += [quote("AAPL", SECOND, 60, split=Fraction(3, 2)), quote("AAPL", THIRD, 60)]
    open_accounts(book_url, [replace(TERMS, lot_size=10)], rows)
    trade(book_url, [ticket("mine", shares=10)], FIRST, SECOND)
    rest = ticket("mine", shares=-15, name="rest", session=THIRD)
    _, _, held = trade(book_url, [rest], THIRD)
    assert held == {}


def test_sessions_are_traded_in_their_order_and_with_quotes(book_url: str) -> None:
    open_accounts(book_url, [TERMS], [quote("AAPL", day, 100) for day in (SIGNAL, SECOND)])
    with pytest.raises(TradingError, match=f"no quotes of {FIRST}"):
        trade(book_url, [ticket("mine")], FIRST)
    [told], _, _ = trade(book_url, [], SECOND)
    assert told.status == OrderState.EXPIRED
    with pytest.raises(TradingError, match=f"has traded {SECOND}"):
        trade(book_url, [], FIRST)


def test_other_brokers_are_named_when_there_is_none_of_a_name(book_url: str) -> None:
    with pytest.raises(
        TradingError, match=r"no broker named 'nobody' .* There are: alpaca, ib, paper"
    ):
        open_broker("nobody://host", book_url)
    with pytest.raises(TradingError, match="no options"):
        open_broker("paper://host", book_url)


def test_workers_that_send_and_trade_at_one_moment_do_it_once(book_url: str) -> None:
    open_accounts(book_url, [TERMS], [quote("AAPL", day, 100) for day in (SIGNAL, FIRST)])
    sent = [ticket("mine", name=name) for name in ("one", "two")]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: trade(book_url, sent), range(6)))
        told = list(pool.map(lambda _: trade(book_url, [], FIRST), range(6)))
    assert all(one == told[0] for one in told)
    orders, fills, held = told[0]
    assert (len(orders), len(fills), held) == (2, 2, {"AAPL": 20})


# --- Whatever happens


# Each example has an account of its own, in one book for all.
NAMES = (f"account{number}" for number in count())


@pytest.fixture(scope="module")
def shared_url(postgres_url: str) -> str:
    migrate(postgres_url)
    return postgres_url


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "MSFT"]),
        st.integers(-400, 400).filter(bool),
        st.none() | st.integers(80, 120).map(Decimal),
        st.sampled_from([FIRST, SECOND]),
    ),
    max_size=6,
)
DAYS = st.fixed_dictionaries(
    {
        (symbol, session): st.tuples(
            st.integers(80, 120).map(Decimal),
            st.integers(0, 5_000),
            st.sampled_from([Fraction(1), Fraction(2), Fraction(3, 2), Fraction(1, 10)]),
        )
        for symbol in ("AAPL", "MSFT")
        for session in (FIRST, SECOND)
    }
)


def prepared(
    url: str, lot: int, days: dict[tuple[str, dt.date], tuple[Decimal, int, Fraction]]
) -> str:
    account = next(NAMES)
    rows = [quote(symbol, SIGNAL, 100, account=account) for symbol in ("AAPL", "MSFT")]
    rows += [
        quote(symbol, session, price, volume=volume, split=split, account=account)
        for (symbol, session), (price, volume, split) in days.items()
    ]
    open_accounts(url, [replace(TERMS, account=account, lot_size=lot)], rows)
    return account


def tickets(
    account: str, orders: list[tuple[str, int, Decimal | None, dt.date]], lot: int
) -> list[OrderTicket]:
    return [
        ticket(account, symbol, shares * lot, name=str(index), limit=limit, session=session)
        for index, (symbol, shares, limit, session) in enumerate(orders)
    ]


@settings(max_examples=25, deadline=None)  # each is some 40 statements of a real database
@given(orders=ORDERS, days=DAYS, lot=st.sampled_from([1, 7]))
def test_fills_keep_to_order_limit_lot_and_volume(
    shared_url: str,
    orders: list[tuple[str, int, Decimal | None, dt.date]],
    days: dict[tuple[str, dt.date], tuple[Decimal, int, Fraction]],
    lot: int,
) -> None:
    account = prepared(shared_url, lot, days)
    sent = {order.client_order_id: order for order in tickets(account, orders, lot)}
    told, fills, held = trade(shared_url, list(sent.values()), FIRST, SECOND, account=account)
    assert len(told) == len(sent)
    assert len({fill.client_order_id for fill in fills}) == len(fills)
    traded: dict[tuple[str, dt.date], int] = {}
    for fill in fills:
        order = sent[fill.client_order_id]
        price, _, split = days[fill.symbol, fill.session]
        most = int(order.shares * split)
        assert (fill.symbol, fill.session) == (order.symbol, order.session)
        assert fill.shares * order.shares > 0
        assert abs(fill.shares) <= abs(most)
        assert fill.shares == most or fill.shares % lot == 0
        assert fill.price == price
        if order.limit_price is not None:
            limit, paid = Fraction(order.limit_price) / split, Fraction(fill.price)
            assert paid <= limit if fill.shares > 0 else paid >= limit
        place = (fill.symbol, fill.session)
        traded[place] = traded.get(place, 0) + abs(fill.shares)
    for place, shares in traded.items():
        assert shares <= days[place][1] // 10
    by_order = {fill.client_order_id: fill.shares for fill in fills}
    for order_told in told:
        asked = int(order_told.shares * days[order_told.symbol, order_told.session][2])
        filled = by_order.get(order_told.client_order_id, 0)
        assert order_told.filled == filled
        done = bool(filled) and filled == asked
        assert order_told.status == (OrderState.FILLED if done else OrderState.EXPIRED)
    for symbol in ("AAPL", "MSFT"):
        shares = 0
        for session in (FIRST, SECOND):
            shares = int(shares * days[symbol, session][2])
            shares += sum(f.shares for f in fills if (f.symbol, f.session) == (symbol, session))
        assert held.get(symbol, 0) == shares


class Crash(BaseException):
    """What no code catches, as a process that is killed catches nothing."""


class Writes:
    """Counts what changes the database, each statement and each commit, and crashes before one.

    Between two of them a crash leaves the same behind wherever it comes.
    """

    def __init__(self) -> None:
        self.at: int | None = None
        self.count = 0

    def statement(self, *context: Any) -> None:
        if not context[2].startswith("SELECT"):
            self.step()

    def step(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.at:
            raise Crash


@pytest.fixture
def writes() -> Iterator[Writes]:
    found = Writes()
    hooks = {"before_cursor_execute": found.statement, "commit": found.step}
    for name, hook in hooks.items():
        sa.event.listen(sa.Engine, name, hook)
    yield found
    for name, hook in hooks.items():
        sa.event.remove(sa.Engine, name, hook)


def test_a_crash_at_any_line_neither_loses_nor_doubles_anything(
    shared_url: str, writes: Writes
) -> None:
    days = {
        (symbol, session): (Decimal(100), volume, split)
        for symbol, volume in (("AAPL", 10_000), ("MSFT", 50))
        for session, split in ((FIRST, Fraction(1)), (SECOND, Fraction(3, 2)))
    }
    orders = [
        ("AAPL", 11, None, FIRST),
        ("MSFT", -9, None, FIRST),
        ("AAPL", 3, Decimal(99), SECOND),
    ]

    def outcome(crash_at: int | None) -> tuple[object, int]:
        """Trade two sessions, once more after each crash, until they are through."""
        account = prepared(shared_url, 1, days)
        steps = [
            ([one for one in tickets(account, orders, 1) if one.session == session], session)
            for session in (FIRST, SECOND)
        ]
        writes.at, writes.count = crash_at, 0
        for sent, session in steps:
            for _ in range(2):
                try:
                    trade(shared_url, sent, session, account=account)
                    break
                except Crash:
                    writes.at = None
            else:
                raise AssertionError("crashed twice")
        count = writes.count
        told, fills, held = trade(shared_url, [], account=account)
        return repr((told, fills, held)).replace(f"'{account}", "'"), count

    expected, writes_in_all = outcome(None)
    assert writes_in_all > 20
    for at in range(1, writes_in_all + 1):
        found, _ = outcome(at)
        assert found == expected, at

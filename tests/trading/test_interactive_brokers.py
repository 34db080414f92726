"""The broker `ib`: the contract of all brokers, and what its gateway is particular about."""

import asyncio
import datetime as dt
import inspect
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ib_async import IB

from tests.trading.gateway import FakeIB, Gateway
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.testing.broker import (
    FIRST,
    SIGNAL,
    BrokerContract,
    Market,
    only_order,
    run,
    ticket,
)
from tradewind.trading.broker import Broker, open_broker
from tradewind.trading.brokers.interactive_brokers import InteractiveBrokers
from tradewind.trading.orders import OrderState

NEW_YORK = ZoneInfo("America/New_York")
ADDRESS = "ib://gateway:4002?account.mine=DU1&account.yours=DU2&timeout=5"


def at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute), NEW_YORK)


class AtTheGateway:
    """The market of the contract, as a gateway."""

    accounts = ("mine", "yours")

    def __init__(self) -> None:
        self.gateway = Gateway(at(SIGNAL, 18), ("DU1", "DU2"))

    def broker(self, address: str = ADDRESS) -> Broker:
        self.gateway.clients.clear()  # whoever was there before is gone
        made: Callable[[], Any] = lambda: FakeIB(self.gateway)  # noqa: E731
        return InteractiveBrokers(address, "", new_client=made, clock=lambda: self.gateway.now)

    async def trade(self, broker: Broker, account: str, session: dt.date) -> None:
        del broker, account
        self.gateway.auction(at(session, 9, 30))


class TestInteractiveBrokers(BrokerContract):
    @pytest.fixture
    def market(self) -> Market:
        return AtTheGateway()


@pytest.fixture
def market() -> AtTheGateway:
    return AtTheGateway()


def test_the_fake_is_called_as_the_real_one_is() -> None:
    names = [name for name in vars(FakeIB) if not name.startswith("_")]
    assert "placeOrder" in names
    for name in names:
        real = inspect.signature(getattr(IB, name))
        ours = inspect.signature(getattr(FakeIB, name))
        assert [(one.name, one.kind, one.default) for one in ours.parameters.values()] == [
            (one.name, one.kind, one.default) for one in real.parameters.values()
        ], name
    client = IB()
    assert hasattr(client.wrapper, "completedOrder")
    assert hasattr(client, "updateEvent")
    assert hasattr(client.client, "clientId")


def test_it_is_found_by_its_name() -> None:
    broker = open_broker(ADDRESS, "postgresql://nowhere")
    assert isinstance(broker, InteractiveBrokers)


def test_orders_are_for_the_opening_auction_and_carry_our_word(market: AtTheGateway) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine", "BRK.B", -7, name="a", limit=Decimal("350.25")))
        await broker.submit(ticket("yours", "AAPL", 3, name="b"))
        await market.trade(broker, "mine", FIRST)
        assert dict(await broker.positions("mine")) == {"BRK.B": -7}
        [fill] = await broker.fills("mine")
        assert (fill.symbol, fill.price, fill.commission) == (
            "BRK.B",
            Decimal("350.5"),
            Decimal("0.38"),
        )
        await broker.close()

    run(test())
    first, second = (one.order for one in market.gateway.placed)
    assert (first.orderType, first.lmtPrice, first.action, first.totalQuantity) == (
        "LMT",
        350.25,
        "SELL",
        7,
    )
    assert (second.orderType, second.action, second.totalQuantity) == ("MKT", "BUY", 3)
    assert (first.tif, first.account, first.orderRef) == ("OPG", "DU1", "mine-a/20240108/-7")
    assert (second.tif, second.account, second.orderRef) == ("OPG", "DU2", "yours-b/20240108/3")
    assert first.clientId != second.clientId


def test_an_order_for_an_open_that_is_over_would_be_filled_at_the_next(
    market: AtTheGateway,
) -> None:
    async def test() -> None:
        market.gateway.now = at(FIRST, 9, 27)
        broker = market.broker()
        await broker.submit(ticket("mine", name="in-time"))
        market.gateway.now = at(FIRST, 9, 28)
        await broker.submit(ticket("mine", name="in-time"))
        for session in (FIRST, SIGNAL):
            with pytest.raises(OrderRejectedError, match=f"too late for the open of {session}"):
                await broker.submit(ticket("mine", name="late", session=session))
        await broker.close()

    run(test())
    assert len(market.gateway.placed) == 1


def test_a_rejection_brings_the_brokers_words(market: AtTheGateway) -> None:
    async def test() -> None:
        broker = market.broker()
        market.gateway.refuse = "Order rejected - reason: no shares to borrow"
        for _ in range(2):
            with pytest.raises(OrderRejectedError, match="no shares to borrow"):
                await broker.submit(ticket("mine"))
        assert (await only_order(broker, "mine")).status == OrderState.REJECTED
        await broker.close()

    run(test())
    assert len(market.gateway.placed) == 1


def test_an_order_whose_fate_is_unknown_is_not_sent_again(market: AtTheGateway) -> None:
    async def test() -> None:
        market.gateway.silent = True
        broker = market.broker(ADDRESS.replace("timeout=5", "timeout=0.2"))
        with pytest.raises(TradingError, match="did not answer within") as unknown:
            await broker.submit(ticket("mine"))
        assert not isinstance(unknown.value, OrderRejectedError)
        await broker.close()
        broker = market.broker()
        await broker.submit(ticket("mine"))
        assert (await only_order(broker, "mine")).status == OrderState.ACCEPTED
        await broker.close()

    run(test())
    assert len(market.gateway.placed) == 1


def test_a_corrected_execution_is_told_once(market: AtTheGateway) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine"))
        await market.trade(broker, "mine", FIRST)
        [before] = await broker.fills("mine")
        market.gateway.execute(0, 10, 99.5, revision="02")
        [after] = await broker.fills("mine")
        assert (before.price, after.price) == (Decimal(100), Decimal("99.5"))
        assert before.execution_id != after.execution_id
        await broker.close()

    run(test())


def test_what_others_do_in_the_account_is_not_ours_but_its_shares_are_there(
    market: AtTheGateway,
) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine"))
        for word in ("", "by hand", "a/b/c"):
            foreign = deepcopy(market.gateway.placed[0])
            foreign.order.orderRef, foreign.order.permId = word, 7
            market.gateway.placed.append(foreign)
        await market.trade(broker, "mine", FIRST)
        assert len(await broker.orders("mine")) == len(await broker.fills("mine")) == 1
        assert dict(await broker.positions("mine")) == {"AAPL": 40}
        await broker.close()

    run(test())


def test_a_lost_connection_is_made_again_by_the_next_question(market: AtTheGateway) -> None:
    async def test() -> None:
        broker = market.broker()
        market.gateway.up = False
        with pytest.raises(TradingError, match="gateway:4002 is out of reach"):
            await broker.orders("mine")
        market.gateway.up = True
        assert list(await broker.orders("mine")) == []
        with pytest.raises(TradingError, match=r"account\.other=CODE"):
            await broker.orders("other")
        await broker.close()

    run(test())


def test_parts_of_a_share_are_no_position_of_the_book(market: AtTheGateway) -> None:
    market.gateway.positions["DU1", "AAPL"] = 0.5
    with pytest.raises(TradingError, match=r"AAPL .* of 0\.5 shares"):
        asyncio.run(market.broker().positions("mine"))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ib://gateway:4002", "ib://gateway:4002?account.momentum"),
        ("ib://gateway:4002?account.a=", "no account is named"),
        ("ib://gateway:4002?account.a=DU1&account.b=DU1", "two accounts share one"),
        ("ib://gateway:4002?account.a=DU1&colour=red", "no option colour"),
        ("ib://gateway:high?account.a=DU1", "Port"),
        ("ib://gateway:1?account.a=DU1&timezone=Mars", "Mars"),
        ("ib://gateway:1?account.a=DU1&client_id=one", "client_id"),
    ],
)
def test_an_address_that_is_wrong_says_how_to_write_it(address: str, reason: str) -> None:
    with pytest.raises(TradingError) as found:
        InteractiveBrokers(address, "")
    assert reason in str(found.value)
    assert "Write ib://" in str(found.value)

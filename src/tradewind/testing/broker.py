"""What every broker must do, as tests: derive a class from `BrokerContract`, and give it a market.

The market holds AAPL, MSFT and IBM. AAPL and MSFT open at 100 and 50; IBM's volume is so thin that
of an order of 1,000 shares only some can be filled.
"""

import asyncio
import datetime as dt
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

import pytest

from tradewind.errors import OrderRejectedError, TradingError
from tradewind.trading.broker import Broker
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderKind, OrderState, OrderTicket

SIGNAL, FIRST, SECOND = (dt.date(2024, 1, day) for day in (5, 8, 9))
AAPL, MSFT = Decimal(100), Decimal(50)


class Market(Protocol):
    """Where a broker trades, which outlives the broker's objects."""

    accounts: tuple[str, str]

    def broker(self) -> Broker:
        """Another object of the broker, as after a restart."""
        ...

    async def trade(self, broker: Broker, account: str, session: dt.date) -> None:
        """Let a session's open come, and what was not filled there expire."""
        ...


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def ticket(
    account: str,
    symbol: str = "AAPL",
    shares: int = 10,
    *,
    name: str = "one",
    limit: Decimal | None = None,
    session: dt.date = FIRST,
) -> OrderTicket:
    return OrderTicket(
        client_order_id=f"{account}-{name}",
        account=account,
        symbol=symbol,
        shares=shares,
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        limit_price=limit,
        session=session,
    )


async def only_order(broker: Broker, account: str) -> BrokerOrder:
    [order] = await broker.orders(account)
    return order


def shares_of(fills: Sequence[BrokerFill]) -> dict[str, int]:
    found: dict[str, int] = {}
    for fill in fills:
        found[fill.symbol] = found.get(fill.symbol, 0) + fill.shares
    return {symbol: shares for symbol, shares in found.items() if shares}


class BrokerContract:
    """Tests of a broker; the fixture `market` is the deriving class's."""

    @pytest.fixture
    def market(self) -> Market:
        raise NotImplementedError("derive the fixture `market`: docs/own-broker.md shows one")

    def test_it_is_a_broker(self, market: Market) -> None:
        async def test() -> None:
            broker = market.broker()
            assert isinstance(broker, Broker)
            await broker.close()

        run(test())

    def test_an_account_begins_with_nothing(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            assert list(await broker.orders(mine)) == []
            assert list(await broker.fills(mine)) == []
            assert dict(await broker.positions(mine)) == {}
            await broker.close()

        run(test())

    def test_an_order_waits_for_its_open(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine))
            assert await only_order(broker, mine) == BrokerOrder(
                f"{mine}-one", mine, "AAPL", 10, FIRST, OrderState.ACCEPTED, 0
            )
            assert list(await broker.fills(mine)) == []
            assert dict(await broker.positions(mine)) == {}
            await broker.close()

        run(test())

    def test_an_order_that_is_sent_again_is_one_order(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine))
            await broker.submit(ticket(mine))
            await broker.close()
            after_restart = market.broker()
            await after_restart.submit(ticket(mine))
            await market.trade(after_restart, mine, FIRST)
            await after_restart.submit(ticket(mine))  # a crash before the answer was written down
            assert (await only_order(after_restart, mine)).status == OrderState.FILLED
            assert dict(await after_restart.positions(mine)) == {"AAPL": 10}
            await after_restart.close()

        run(test())

    def test_an_id_belongs_to_one_order(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine))
            for other in ({"shares": 11}, {"symbol": "MSFT"}, {"shares": -10}):
                with pytest.raises(TradingError, match=f"{mine}-one"):
                    await broker.submit(replace(ticket(mine), **other))
            assert (await only_order(broker, mine)).shares == 10
            await broker.close()

        run(test())

    def test_fills_are_signed_priced_and_add_up_to_the_positions(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine, "AAPL", 10, name="buy"))
            await broker.submit(ticket(mine, "MSFT", -20, name="sell"))
            await market.trade(broker, mine, FIRST)
            await broker.close()
            broker = market.broker()
            fills = await broker.fills(mine)
            assert shares_of(fills) == {"AAPL": 10, "MSFT": -20}
            assert dict(await broker.positions(mine)) == {"AAPL": 10, "MSFT": -20}
            assert {fill.symbol: fill.price for fill in fills} == {"AAPL": AAPL, "MSFT": MSFT}
            assert {fill.session for fill in fills} == {FIRST}
            assert {fill.client_order_id for fill in fills} == {f"{mine}-buy", f"{mine}-sell"}
            assert len({fill.execution_id for fill in fills}) == len(fills)
            for fill in fills:
                for money in (fill.commission, fill.slippage):
                    assert money >= 0
                    assert money == money.quantize(Decimal("0.01"))
            orders = {order.symbol: order for order in await broker.orders(mine)}
            assert {order.status for order in orders.values()} == {OrderState.FILLED}
            assert {one: order.filled for one, order in orders.items()} == shares_of(fills)
            assert await broker.fills(mine) == fills
            await broker.close()

        run(test())

    def test_only_what_is_asked_for_is_told(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, other] = market.broker(), market.accounts
            await broker.submit(ticket(mine, name="old"))
            await market.trade(broker, mine, FIRST)
            await broker.submit(ticket(mine, "MSFT", 5, name="new", session=SECOND))
            await market.trade(broker, mine, SECOND)
            assert len(await broker.orders(mine)) == len(await broker.fills(mine)) == 2
            assert [one.symbol for one in await broker.orders(mine, SECOND)] == ["MSFT"]
            assert [one.symbol for one in await broker.fills(mine, SECOND)] == ["MSFT"]
            assert list(await broker.orders(other)) == []
            assert list(await broker.fills(other)) == []
            assert dict(await broker.positions(other)) == {}
            assert dict(await broker.positions(mine)) == {"AAPL": 10, "MSFT": 5}
            await broker.close()

        run(test())

    @pytest.mark.parametrize(
        ("shares", "limit", "filled"),
        [(10, 100, 10), (10, 101, 10), (10, 99, 0), (-10, 100, -10), (-10, 99, -10), (-10, 101, 0)],
    )
    def test_a_limit_is_kept_to(self, market: Market, shares: int, limit: int, filled: int) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine, "AAPL", shares, limit=Decimal(limit)))
            await market.trade(broker, mine, FIRST)
            order = await only_order(broker, mine)
            assert order.filled == filled
            assert order.status == (OrderState.FILLED if filled else OrderState.EXPIRED)
            assert dict(await broker.positions(mine)) == ({"AAPL": filled} if filled else {})
            await broker.close()

        run(test())

    def test_what_is_not_filled_at_the_open_expires(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine, "IBM", 1_000))
            await market.trade(broker, mine, FIRST)
            order = await only_order(broker, mine)
            assert order.status == OrderState.EXPIRED
            assert 0 < order.filled < order.shares == 1_000
            assert shares_of(await broker.fills(mine)) == {"IBM": order.filled}
            await market.trade(broker, mine, SECOND)
            assert dict(await broker.positions(mine)) == {"IBM": order.filled}
            await broker.close()

        run(test())

    def test_what_is_cancelled_is_not_filled(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine))
            await broker.cancel(f"{mine}-one")
            await broker.cancel(f"{mine}-one")
            await market.trade(broker, mine, FIRST)
            order = await only_order(broker, mine)
            assert (order.status, order.filled) == (OrderState.CANCELLED, 0)
            assert dict(await broker.positions(mine)) == {}
            await broker.close()

        run(test())

    def test_cancelling_comes_too_late_for_what_is_filled(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine))
            await market.trade(broker, mine, FIRST)
            await broker.cancel(f"{mine}-one")
            assert (await only_order(broker, mine)).status == OrderState.FILLED
            await broker.close()

        run(test())

    def test_cancelling_what_never_was_is_an_error(self, market: Market) -> None:
        async def test() -> None:
            broker = market.broker()
            with pytest.raises(TradingError, match="never-sent"):
                await broker.cancel("never-sent")
            await broker.close()

        run(test())

    def test_an_unknown_symbol_is_rejected_each_time(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            for _ in range(2):
                with pytest.raises(OrderRejectedError, match="NOSUCH"):
                    await broker.submit(ticket(mine, "NOSUCH", name="bad"))
            await broker.submit(ticket(mine, name="good"))
            await market.trade(broker, mine, FIRST)
            assert dict(await broker.positions(mine)) == {"AAPL": 10}
            told = {order.status for order in await broker.orders(mine)}
            assert told - {OrderState.REJECTED} == {OrderState.FILLED}
            await broker.close()

        run(test())

    def test_an_order_for_an_open_that_is_over_is_rejected_each_time(self, market: Market) -> None:
        async def test() -> None:
            broker, [mine, _] = market.broker(), market.accounts
            await broker.submit(ticket(mine, name="in-time"))
            await market.trade(broker, mine, FIRST)
            for _ in range(2):
                with pytest.raises(OrderRejectedError, match=f"open of {FIRST}"):
                    await broker.submit(ticket(mine, name="late"))
            await broker.submit(ticket(mine, name="next", session=SECOND))
            assert dict(await broker.positions(mine)) == {"AAPL": 10}
            taken = {one.client_order_id for one in await broker.orders(mine)
                     if one.status is not OrderState.REJECTED}  # fmt: skip
            assert taken == {f"{mine}-in-time", f"{mine}-next"}
            await broker.close()

        run(test())

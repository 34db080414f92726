"""Interactive Brokers, through its gateway and ``ib_async`` (extra ``ib``).

Orders are market-on-open and limit-on-open. The exchange cancels what the opening auction does not
fill; the book calls that order expired.

The broker keeps one text of ours with an order and its executions, ``orderRef``. It holds the
`client_order_id`, by which a repeated order is found, the session, and the shares as they were
ordered. Orders and executions without such a text are not ours and are ignored; reconciliation
finds what they do to positions.

The gateway reports open orders, and those that were completed or executed since its midnight. So an
account must be settled and reconciled on the day of its session.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tradewind.errors import OrderRejectedError, TradingError
from tradewind.trading.brokers._ib_link import Link
from tradewind.trading.brokers.ib_address import Address
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderState, OrderTicket

if TYPE_CHECKING:
    from ib_async import IB

__all__ = ["InteractiveBrokers"]


class InteractiveBrokers:
    """A broker for each account that its address names.

    Parameters
    ----------
    address : str
        ``ib://host:port?account.NAME=CODE``, see docs/trading.md.
    database_url : str
        Not used: the broker has its own records.
    new_client : callable
        Makes an ``ib_async.IB``.
    clock : callable
        Tells the time, with its zone.
    """

    def __init__(
        self,
        address: str,
        database_url: str,  # noqa: ARG002
        *,
        new_client: "Callable[[], IB] | None" = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._address = Address.parse(address)
        self._new_client = new_client or _client
        self._clock = clock
        self._links: dict[str, Link] = {}

    async def submit(self, order: OrderTicket) -> None:
        """Send an order for the opening auction; see `tradewind.trading.broker.Broker`."""
        async with self._link(order.account) as link:
            if found := await link.trade_of(order.client_order_id):
                _refuse_another(order, link.order_of(found, {}))
                if link.state_of(found, 0) is OrderState.REJECTED:
                    raise OrderRejectedError(link.reason_of(found))
                return
            if any(fill.client_order_id == order.client_order_id for fill in await link.fills()):
                return
            now = self._clock().astimezone(self._address.timezone)
            if (now.date(), now.time()) >= (order.session, self._address.until):
                raise OrderRejectedError(
                    f"too late for the open of {order.session}: it is {now:%Y-%m-%d %H:%M %Z}"
                )
            await link.place(order)

    async def cancel(self, client_order_id: str) -> None:
        """Ask the broker to cancel an order; see `tradewind.trading.broker.Broker`."""
        for account in self._address.accounts:
            async with self._link(account) as link:
                if found := await link.trade_of(client_order_id):
                    link.cancel(found)
                    return
        raise TradingError(f"Interactive Brokers has no order {client_order_id}")

    async def orders(self, account: str, since: date | None = None) -> Sequence[BrokerOrder]:
        """Return an account's orders that are open, or were completed today."""
        async with self._link(account) as link:
            filled: dict[str, int] = {}
            for fill in await link.fills():
                name = fill.client_order_id
                filled[name] = filled.get(name, 0) + fill.shares
            found = [link.order_of(trade, filled) for trade in (await link.trades()).values()]
        return [order for order in found if since is None or order.session >= since]

    async def fills(self, account: str, since: date | None = None) -> Sequence[BrokerFill]:
        """Return an account's executions of today, with their commissions.

        Slippage is in the price.
        """
        async with self._link(account) as link:
            found = await link.fills()
        return [fill for fill in found if since is None or fill.session >= since]

    async def positions(self, account: str) -> Mapping[str, int]:
        """Return the shares an account holds by symbol, whoever bought them."""
        async with self._link(account) as link:
            return await link.positions()

    async def close(self) -> None:
        """Disconnect."""
        for link in self._links.values():
            link.client.disconnect()
        self._links.clear()

    @asynccontextmanager
    async def _link(self, account: str) -> AsyncIterator[Link]:
        """Yield an account's connection, and turn the gateway's errors into ours."""
        where = f"Interactive Brokers at {self._address.host}:{self._address.port}"
        try:
            link = self._links.get(account)
            if link is None or not link.client.isConnected():
                link = self._links[account] = await self._connect(account)
            yield link
        except TimeoutError as error:
            raise TradingError(
                f"{where} did not answer within {self._address.timeout:g} s; the same is asked "
                "again by the next try"
            ) from error
        except OSError as error:
            raise TradingError(
                f"{where} is out of reach: {error}. See that the gateway runs, is logged in and "
                "lets this machine in (its settings, API)"
            ) from error

    async def _connect(self, account: str) -> Link:
        from ib_async import StartupFetch

        names = list(self._address.accounts)
        if account not in names:
            raise TradingError(
                f"TRADEWIND_BROKER names no account of Interactive Brokers for {account}: add "
                f"account.{account}=CODE to it"
            )
        link = Link(self._new_client(), account, self._address)
        await link.client.connectAsync(
            self._address.host,
            self._address.port,
            clientId=self._address.client_id + names.index(account),
            timeout=self._address.timeout,
            account=link.code,
            raiseSyncErrors=True,
            fetchFields=StartupFetch.ORDERS_OPEN | StartupFetch.EXECUTIONS,
        )
        return link


def _client() -> "IB":
    try:
        from ib_async import IB
    except ImportError as error:
        raise TradingError(
            "the broker `ib` needs ib_async: install tradewind with its extra `ib`"
        ) from error
    return IB()


def _refuse_another(order: OrderTicket, found: BrokerOrder) -> None:
    if (order.symbol, order.shares, order.session) != (found.symbol, found.shares, found.session):
        raise TradingError(
            f"Interactive Brokers has another order by the id {order.client_order_id}: {found}, "
            f"and was now sent {order}"
        )

"""Interactive Brokers, through its gateway and ``ib_async`` (extra ``ib``).

Orders are market-on-open and limit-on-open: what the opening auction does not fill is cancelled by
the exchange, which is what a book that trades at opens means by an expired order.

The broker keeps one word of ours with an order and its executions, ``orderRef``. It holds the
`client_order_id`, by which an order that is sent again is found, and what else must be known of it
later: the session, and the shares as they were ordered. Orders and executions without such a word
are somebody else's and passed over; what they do to positions, reconciliation finds.

The gateway tells of open orders, and of what was completed or executed since its midnight. So an
account must be settled and reconciled on the day of its session.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self

from tradewind.bookings import cents, decimal_of, price_of
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.foreign import ForeignNames
from tradewind.trading.brokers.ib_address import Address
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderKind, OrderState, OrderTicket

if TYPE_CHECKING:
    from ib_async import IB, Contract, Fill, Order, Trade

__all__ = ["FOREIGN", "InteractiveBrokers"]

FOREIGN: Final = (
    ForeignNames(
        "ib_async",
        ("ib_async:IB.wrapper", "ib_async.wrapper:Wrapper.completedOrder"),
        "tell an order that expired from one that was cancelled",
        "no account at Interactive Brokers is reached",
    ),
)

_AT_THE_OPEN: Final = "OPG"
_STATES: Final = {"Filled": OrderState.FILLED, "Inactive": OrderState.REJECTED}
_ENDED: Final = frozenset({"Cancelled", "ApiCancelled"})
_PENDING: Final = frozenset({"PendingSubmit", "ApiPending"})


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
        self._links: dict[str, _Link] = {}

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
        """Ask for an order to be taken back; see `tradewind.trading.broker.Broker`."""
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
    async def _link(self, account: str) -> "AsyncIterator[_Link]":
        """Yield an account's connection; errors of the gateway become ours."""
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

    async def _connect(self, account: str) -> "_Link":
        from ib_async import StartupFetch

        names = list(self._address.accounts)
        if account not in names:
            raise TradingError(
                f"TRADEWIND_BROKER names no account of Interactive Brokers for {account}: add "
                f"account.{account}=CODE to it"
            )
        link = _Link(self._new_client(), account, self._address)
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


@dataclass(frozen=True)
class _Reference:
    """What is kept with an order at the broker."""

    client_order_id: str
    session: date
    shares: int

    @classmethod
    def of(cls, order: OrderTicket) -> Self:
        return cls(order.client_order_id, order.session, order.shares)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return None for what is not of ours."""
        name, *rest = text.rsplit("/", 2)
        if len(rest) != 2:  # noqa: PLR2004
            return None
        try:
            return cls(name, date.fromisoformat(rest[0]), int(rest[1]))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.client_order_id}/{self.session:%Y%m%d}/{self.shares}"


class _Link:
    """The connection of one account."""

    def __init__(self, client: "IB", account: str, address: Address) -> None:
        self.client = client
        self.code = address.accounts[account]
        self._account = account
        self._address = address
        self._endings: dict[int, str] = {}
        self._keep_endings(client.wrapper)

    def _keep_endings(self, wrapper: Any) -> None:  # noqa: ANN401
        """Remember in which words an order was completed; ib_async lets them go."""
        completed = wrapper.completedOrder

        def remember(contract: "Contract", order: "Order", state: Any) -> None:  # noqa: ANN401
            self._endings[order.permId] = state.completedStatus
            completed(contract, order, state)

        wrapper.completedOrder = remember

    async def trades(self) -> "dict[str, Trade]":
        """Return our orders by their id, open ones and those completed today."""
        # One after the other: an order that is completed in between is in both, not in none.
        found: dict[str, Trade] = {}
        for trade in [
            *await self._answer(self.client.reqAllOpenOrdersAsync()),
            *await self._answer(self.client.reqCompletedOrdersAsync(apiOnly=False)),
        ]:
            reference = _Reference.parse(trade.order.orderRef)
            if reference is not None and trade.order.account == self.code:
                found[reference.client_order_id] = trade
        return found

    async def trade_of(self, client_order_id: str) -> "Trade | None":
        return (await self.trades()).get(client_order_id)

    async def place(self, order: OrderTicket) -> None:
        """Send an order, and wait until the broker has it, or will not have it."""
        from ib_async import LimitOrder, MarketOrder, Stock

        name = order.symbol.replace(".", " ")  # BRK.B is BRK B there
        asked = Stock(name, "SMART", self._address.currency)
        [contract] = await self._answer(self.client.qualifyContractsAsync(asked))
        if contract is None:
            raise OrderRejectedError(f"unknown symbol {order.symbol}")
        action = "BUY" if order.shares > 0 else "SELL"
        common = {
            "tif": _AT_THE_OPEN,
            "account": self.code,
            "orderRef": str(_Reference.of(order)),
        }
        sent: Order
        if order.kind is OrderKind.LIMIT and order.limit_price is not None:
            price = float(order.limit_price)
            sent = LimitOrder(action, abs(order.shares), price, **common)
        else:
            sent = MarketOrder(action, abs(order.shares), **common)
        trade = self.client.placeOrder(contract, sent)
        await self._until(trade.statusEvent, lambda: trade.orderStatus.status not in _PENDING)
        if trade.orderStatus.status in _ENDED or trade.orderStatus.status == "Inactive":
            raise OrderRejectedError(self.reason_of(trade))

    def cancel(self, trade: "Trade") -> None:
        if trade.isDone():
            return
        if trade.order.clientId != self.client.client.clientId:
            raise TradingError(
                f"order {trade.order.orderRef} was placed by client {trade.order.clientId}, and "
                "can be cancelled by that one alone, or in TWS"
            )
        self.client.cancelOrder(trade.order)

    async def fills(self) -> list[BrokerFill]:
        """Return our executions of today; the last of each that was corrected."""
        from ib_async import ExecutionFilter

        await self._answer(self.client.reqExecutionsAsync(ExecutionFilter(acctCode=self.code)))
        # What the request returns never learns of its commission; the client's own list does.
        found: dict[str, tuple[str, Fill, _Reference]] = {}
        for fill in self.client.fills():
            reference = _Reference.parse(fill.execution.orderRef)
            if reference is not None and fill.execution.acctNumber == self.code:
                # A correction has the same number but for what follows its last dot.
                number, _, revision = fill.execution.execId.rpartition(".")
                found[number] = max(
                    found.get(number, ("", fill, reference)), (revision, fill, reference),
                    key=lambda one: one[0],
                )  # fmt: skip
        last = [(fill, reference) for _, fill, reference in found.values()]
        await self._until(
            self.client.updateEvent, lambda: all(fill.commissionReport.execId for fill, _ in last)
        )
        return sorted(
            (self._fill(fill, reference) for fill, reference in last),
            key=lambda fill: (fill.session, fill.execution_id),
        )

    async def positions(self) -> dict[str, int]:
        return {
            _symbol(one.contract): _whole(one.position, f"position in {one.contract.symbol}")
            for one in await self._answer(self.client.reqPositionsAsync())
            if one.account == self.code and one.position
        }

    def order_of(self, trade: "Trade", filled: Mapping[str, int]) -> BrokerOrder:
        reference = _Reference.parse(trade.order.orderRef)
        if reference is None:
            raise TradingError(f"order {trade.order.orderRef} at Interactive Brokers is not ours")
        shares = filled.get(reference.client_order_id, 0)
        status = self.state_of(trade, shares)
        return BrokerOrder(
            client_order_id=reference.client_order_id,
            account=self._account,
            symbol=_symbol(trade.contract),
            shares=reference.shares,
            session=reference.session,
            status=status,
            filled=shares,
            reason=self.reason_of(trade) if status is OrderState.REJECTED else "",
        )

    def state_of(self, trade: "Trade", filled: int) -> OrderState:
        status = trade.orderStatus.status
        if status in _ENDED:
            ending = self._endings.get(trade.order.permId, "").lower()
            if "reject" in ending:
                return OrderState.REJECTED
            return OrderState.CANCELLED if "by trader" in ending else OrderState.EXPIRED
        working = OrderState.PARTIALLY_FILLED if filled else OrderState.ACCEPTED
        return _STATES.get(status, working)

    def reason_of(self, trade: "Trade") -> str:
        said = [entry.message for entry in trade.log if entry.message]
        ending = self._endings.get(trade.order.permId, "")
        return (said[-1] if said else "") or ending or f"it is {trade.orderStatus.status}"

    def _fill(self, fill: "Fill", reference: _Reference) -> BrokerFill:
        execution = fill.execution
        shares = _whole(execution.shares, f"execution {execution.execId}")
        return BrokerFill(
            execution_id=execution.execId,
            client_order_id=reference.client_order_id,
            account=self._account,
            symbol=_symbol(fill.contract),
            session=execution.time.astimezone(self._address.timezone).date(),
            shares=shares if execution.side == "BOT" else -shares,
            price=price_of(execution.price),
            commission=cents(decimal_of(fill.commissionReport.commission)),
            slippage=Decimal("0.00"),
        )

    async def _answer(self, request: Any) -> Any:  # noqa: ANN401
        return await asyncio.wait_for(request, self._address.timeout)

    async def _until(self, event: Any, condition: Callable[[], bool]) -> None:  # noqa: ANN401
        """Wait until a condition is true that only changes when an event comes."""
        come = asyncio.Event()

        def wake(*_: object) -> None:
            come.set()

        event += wake
        try:
            async with asyncio.timeout(self._address.timeout):
                while not condition():
                    await come.wait()
                    come.clear()
        finally:
            event -= wake


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


def _symbol(contract: "Contract") -> str:
    return contract.symbol.replace(" ", ".")


def _whole(shares: float, what: str) -> int:
    if shares != int(shares):
        raise TradingError(
            f"{what} at Interactive Brokers is of {shares} shares: the book holds whole ones"
        )
    return int(shares)

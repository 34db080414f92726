"""One account's connection to Interactive Brokers: its orders, executions and positions."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self

from tradewind.bookings import cents, decimal_of, price_of
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.foreign import ForeignNames
from tradewind.trading.brokers.ib_address import Address
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderKind, OrderState, OrderTicket

if TYPE_CHECKING:
    from ib_async import IB, Contract, Fill, Order, Trade

__all__ = ["FOREIGN", "Link"]

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


@dataclass(frozen=True)
class _Reference:
    """The text that the broker keeps with an order."""

    client_order_id: str
    session: date
    shares: int

    @classmethod
    def of(cls, order: OrderTicket) -> Self:
        return cls(order.client_order_id, order.session, order.shares)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a text; return None if it is not ours."""
        name, *rest = text.rsplit("/", 2)
        if len(rest) != 2:  # noqa: PLR2004
            return None
        try:
            return cls(name, date.fromisoformat(rest[0]), int(rest[1]))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.client_order_id}/{self.session:%Y%m%d}/{self.shares}"


class Link:
    """The connection of one account."""

    def __init__(self, client: "IB", account: str, address: Address) -> None:
        self.client = client
        self.code = address.accounts[account]
        self._account = account
        self._address = address
        self._endings: dict[int, str] = {}
        self._keep_endings(client.wrapper)

    def _keep_endings(self, wrapper: Any) -> None:  # noqa: ANN401
        """Remember the status text with which an order was completed, which ib_async drops."""
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
        """Send an order, and wait until the broker has accepted or rejected it."""
        from ib_async import LimitOrder, MarketOrder, Stock

        name = order.symbol.replace(".", " ")  # BRK.B is BRK B at Interactive Brokers
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
        # Fills that the request returns never get their commission; those in the client's list do.
        found: dict[str, tuple[str, Fill, _Reference]] = {}
        for fill in self.client.fills():
            reference = _Reference.parse(fill.execution.orderRef)
            if reference is not None and fill.execution.acctNumber == self.code:
                # A correction has the same number up to its last dot.
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
        """Wait until a condition is true, which is checked whenever an event comes."""
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


def _symbol(contract: "Contract") -> str:
    return contract.symbol.replace(" ", ".")


def _whole(shares: float, what: str) -> int:
    if shares != int(shares):
        raise TradingError(
            f"{what} at Interactive Brokers is of {shares} shares: the book holds whole ones"
        )
    return int(shares)

"""Interactive Brokers' gateway, and the client that ib_async has for it, without a network.

What goes in and out are ib_async's own objects, and `FakeIB` has the signatures of its `IB`, which
a test holds it to. Behaviour that matters is the gateway's: an order has its first status only
after `placeOrder` has returned, open orders and completed ones are two lists, a completed order no
longer says how many shares were ordered, commissions come after the executions, and the client
keeps a fill's commission in a list of its own.
"""

import asyncio
import datetime as dt
from copy import deepcopy
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from eventkit import Event
from ib_async import (
    CommissionReport,
    Contract,
    Execution,
    ExecutionFilter,
    Fill,
    Order,
    OrderState,
    OrderStatus,
    Position,
    Trade,
)
from ib_async.ib import StartupFetch, StartupFetchALL
from ib_async.objects import TradeLogEntry

OPENS = {"AAPL": 100.0, "MSFT": 50.0, "IBM": 9.0, "BRK B": 350.5}
AUCTION = {"IBM": 9}
"""Shares that the opening auction has of a symbol; of others it has as many as are wanted."""


@dataclass
class Placed:
    """An order at the gateway."""

    contract: Contract
    order: Order
    status: str
    ending: str = ""
    filled: float = 0.0


@dataclass
class Gateway:
    """What outlives a connection."""

    now: dt.datetime
    codes: tuple[str, ...]
    up: bool = True
    placed: list[Placed] = field(default_factory=list)
    executions: list[tuple[Contract, Execution, CommissionReport]] = field(default_factory=list)
    positions: dict[tuple[str, str], float] = field(default_factory=dict)
    refuse: str = ""
    silent: bool = False
    clients: set[int] = field(default_factory=set)

    def auction(self, at: dt.datetime) -> None:
        """Open the exchange: fill what can be filled, cancel the rest."""
        self.now = at
        left = dict(AUCTION)
        for number, one in enumerate(self.placed):
            if one.status != "PreSubmitted":
                continue
            price, wanted = OPENS[one.contract.symbol], one.order.totalQuantity
            limit, buys = one.order.lmtPrice, one.order.action == "BUY"
            assert limit is not None
            beyond = one.order.orderType == "LMT" and (price > limit if buys else price < limit)
            traded = 0.0 if beyond else min(wanted, left.get(one.contract.symbol, wanted))
            if traded:
                self.execute(number, traded, price)
            one.status = "Filled" if traded == wanted else "Cancelled"
            one.ending = (
                f"Filled Size: {traded:g}" if traded == wanted else "Cancelled: unfilled OPG"
            )

    def execute(self, number: int, shares: float, price: float, revision: str = "01") -> None:
        one = self.placed[number]
        one.filled = shares
        buys = one.order.action == "BUY"
        key = (one.order.account, one.contract.symbol)
        self.positions[key] = self.positions.get(key, 0.0) + (shares if buys else -shares)
        execution = Execution(
            execId=f"0000e0d5.{number:08x}.01.{revision}",
            time=self.now.astimezone(dt.UTC),
            acctNumber=one.order.account,
            side="BOT" if buys else "SLD",
            shares=shares,
            price=price,
            permId=one.order.permId,
            clientId=one.order.clientId,
            orderId=one.order.orderId,
            orderRef=one.order.orderRef,
        )
        report = CommissionReport(execution.execId, 0.005 * shares + 0.35, "USD")
        self.executions.append((one.contract, execution, report))


class FakeIB:
    """A client; see the module."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._connected = False
        self._trades: dict[int, Trade] = {}
        self._fills: dict[str, Fill] = {}
        self.client = SimpleNamespace(clientId=-1)
        self.wrapper = SimpleNamespace(completedOrder=self._completed)
        self._results: list[Trade] = []
        self.updateEvent = Event("updateEvent")

    async def connectAsync(  # noqa: N802, PLR0917
        self,
        host: str = "127.0.0.1",
        port: int = 7497,
        clientId: int = 1,  # noqa: N803
        timeout: float | None = 4,  # noqa: ASYNC109
        readonly: bool = False,
        account: str = "",
        raiseSyncErrors: bool = False,  # noqa: N803
        fetchFields: StartupFetch = StartupFetchALL,  # noqa: N803
    ) -> "FakeIB":
        del host, port, timeout, readonly, raiseSyncErrors, fetchFields
        await asyncio.sleep(0)
        if not self._gateway.up:
            raise ConnectionRefusedError(111, "Connect call failed")
        assert clientId not in self._gateway.clients, "a client id is in use"
        assert account in self._gateway.codes
        self.client.clientId = clientId
        self._gateway.clients.add(clientId)
        self._connected = True
        return self

    def isConnected(self) -> bool:  # noqa: N802
        return self._connected

    def disconnect(self) -> str | None:
        self._gateway.clients.discard(self.client.clientId)
        self._connected = False
        return None

    async def qualifyContractsAsync(  # noqa: N802
        self,
        *contracts: Contract,
        returnAll: bool = False,  # noqa: N803
    ) -> list[Contract | None]:
        del returnAll
        await asyncio.sleep(0)
        assert all((one.exchange, one.currency) == ("SMART", "USD") for one in contracts)
        return [one if one.symbol in OPENS else None for one in contracts]

    def placeOrder(self, contract: Contract, order: Order) -> Trade:  # noqa: N802
        assert self._connected
        number = len(self._gateway.placed) + 1
        order.clientId, order.orderId, order.permId = self.client.clientId, number, 1_000 + number
        status = OrderStatus(orderId=number, status="PendingSubmit")
        trade = Trade(contract, order, status, [], [])
        self._trades[order.permId] = trade
        sent = Placed(deepcopy(contract), deepcopy(order), "PendingSubmit")
        if self._gateway.refuse:
            sent.status, sent.ending = "Cancelled", f"Rejected by System: {self._gateway.refuse}"
        else:
            sent.status = "PreSubmitted"
        self._gateway.placed.append(sent)
        if not self._gateway.silent:
            asyncio.get_running_loop().call_soon(self._status, trade, sent)
        return trade

    def _status(self, trade: Trade, sent: Placed) -> None:
        if self._gateway.refuse:
            message = f"Error 201, reqId {trade.order.orderId}: {self._gateway.refuse}"
            trade.log.append(TradeLogEntry(self._gateway.now, "Cancelled", message, 201))
        trade.orderStatus.status = sent.status
        trade.statusEvent.emit(trade)

    def cancelOrder(self, order: Order, manualCancelOrderTime: str = "") -> Trade | None:  # noqa: N802, N803
        del manualCancelOrderTime
        for one in self._gateway.placed:
            if one.order.permId == order.permId and one.status == "PreSubmitted":
                assert one.order.clientId == self.client.clientId
                one.status, one.ending = "Cancelled", "Cancelled by Trader"
        return None

    async def reqAllOpenOrdersAsync(self) -> list[Trade]:  # noqa: N802
        await asyncio.sleep(0)
        return [
            Trade(one.contract, deepcopy(one.order), OrderStatus(status=one.status))
            for one in self._gateway.placed
            if one.status not in OrderStatus.DoneStates
        ]

    async def reqCompletedOrdersAsync(self, apiOnly: bool) -> list[Trade]:  # noqa: N802, N803
        del apiOnly
        await asyncio.sleep(0)
        self._results = []
        for one in self._gateway.placed:
            if one.status in OrderStatus.DoneStates:
                order = deepcopy(one.order)
                order.totalQuantity, order.filledQuantity = 0.0, one.filled
                state = OrderState(status=one.status, completedStatus=one.ending)
                self.wrapper.completedOrder(one.contract, order, state)
        return self._results

    def _completed(self, contract: Contract, order: Order, state: OrderState) -> None:
        self._results.append(Trade(contract, order, OrderStatus(status=state.status)))

    async def reqExecutionsAsync(  # noqa: N802
        self,
        execFilter: ExecutionFilter | None = None,  # noqa: N803
    ) -> list[Fill]:
        await asyncio.sleep(0)
        told = []
        for contract, execution, report in self._gateway.executions:
            if execFilter and execution.acctNumber != execFilter.acctCode:
                continue
            told.append(Fill(contract, execution, CommissionReport(), execution.time))
            known = self._fills.setdefault(execution.execId, told[-1])
            asyncio.get_running_loop().call_soon(self._commission, known, report)
        return told

    def _commission(self, fill: Fill, report: CommissionReport) -> None:
        fill.commissionReport.execId = report.execId
        fill.commissionReport.commission = report.commission
        self.updateEvent.emit()

    def fills(self) -> list[Fill]:
        return list(self._fills.values())

    async def reqPositionsAsync(self) -> list[Position]:  # noqa: N802
        await asyncio.sleep(0)
        return [
            Position(code, Contract(secType="STK", symbol=symbol), shares, 0.0)
            for (code, symbol), shares in self._gateway.positions.items()
        ]

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the fake has no {name}: is it of ib_async's IB?")

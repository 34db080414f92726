"""Alpaca, through ``alpaca-py`` (extra ``alpaca``).

Orders are market-on-open and limit-on-open (``time_in_force=opg``), or queued for the day (`day`).
What is not filled ends with the session; the book calls that order expired.

An order's `client_order_id` at Alpaca is ours and its session. Alpaca lets no two orders of an
account have the same, for ever, so that an order that is sent again is refused there, whatever
became of the first answer. Orders of other ids are not ours and are ignored; reconciliation finds
what they do to positions.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from tradewind.broker_login import find_login
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.trading.book.unpaid import Dividend
from tradewind.trading.broker import Examined
from tradewind.trading.brokers._alpaca_link import (
    KeyRefusedError,
    Link,
    NotFoundError,
    RefusedError,
)
from tradewind.trading.brokers._alpaca_records import (
    PENDING,
    Chain,
    Record,
    Reference,
    dividend_of,
    field,
    fill_of,
    moment_of,
    position_of,
    shares_of,
)
from tradewind.trading.brokers._alpaca_updates import Updates
from tradewind.trading.brokers.alpaca_address import NEW_YORK, Address, read_keys
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderState, OrderTicket

__all__ = ["Alpaca"]

_LOOK: Final = 1.0  # seconds after which Alpaca is asked though no update has come
_MOST_CLOCK: Final = 30.0  # seconds between Alpaca's clock and ours that are nothing to speak of
_LOOKS_AFTER_DOUBT: Final = 3
_ID: Final = "client_order_id"  # is in what Alpaca says where there is an order of that id


class Alpaca:
    """A broker for each account that its address names.

    Parameters
    ----------
    address : str
        ``alpaca://paper?account.NAME=NUMBER``, see docs/trading.md.
    database_url : str
        Not used: the broker has its own records.
    find_login : callable
        Returns the keys, see `tradewind.broker_login`.
    clock : callable
        Tells the time, with its zone; only to compare it with Alpaca's.
    """

    def __init__(
        self,
        address: str,
        database_url: str,  # noqa: ARG002
        *,
        find_login: Callable[[], str | None] = find_login,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._address = Address.parse(address)
        self._find_login = find_login
        self._clock = clock
        self._opened: dict[str, tuple[Link, Record]] = {}
        self._updates: dict[str, Updates] = {}

    async def submit(self, order: OrderTicket) -> None:
        """Send an order for an open; see `tradewind.trading.broker.Broker`."""
        link, account = await self._open(order.account)
        found = await link.order_named(Reference.of(order))
        if found is None:
            self._refuse_blocked(order.account, account)
            self._refuse_untimely(order, await link.clock())
            found = await self._place(link, order)
        found = await self._answered(order.account, link, found)
        there = await self._read(link, found)
        _refuse_another(order, there.records[0])
        known = there.order(order.account, self._address.until)
        if known.status is OrderState.REJECTED:
            raise OrderRejectedError(known.reason)

    async def cancel(self, client_order_id: str) -> None:
        """Ask Alpaca to cancel an order; see `tradewind.trading.broker.Broker`."""
        for account in self._address.accounts:
            link, _ = await self._open(account)
            for chain in await self._chains(link, None):
                if chain.reference.client_order_id != client_order_id:
                    continue
                state = chain.order(account, self._address.until).status
                if state in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}:
                    await self._cancel(link, str(field(chain.records[-1], "id")))
                return
        raise TradingError(f"{self._address} has no order {client_order_id}")

    async def orders(self, account: str, since: date | None = None) -> Sequence[BrokerOrder]:
        """Return an account's orders; what somebody has put in place of one stands for it."""
        link, _ = await self._open(account)
        return [
            chain.order(account, self._address.until)
            for chain in await self._chains(link, since)
            if since is None or chain.reference.session >= since
        ]

    async def fills(self, account: str, since: date | None = None) -> Sequence[BrokerFill]:
        """Return an account's trades; Alpaca charges no commission, slippage is in the price."""
        link, _ = await self._open(account)
        trades = await link.trades(since)  # before orders: each trade's order is then among them
        ours = {
            name: chain.reference for chain in await self._chains(link, since) for name in chain.ids
        }
        found = [
            fill_of(trade, ours[str(field(trade, "order_id"))], account)
            for trade in trades
            if str(field(trade, "order_id")) in ours
        ]
        return sorted(
            (fill for fill in found if since is None or fill.session >= since),
            key=lambda fill: (fill.session, fill.execution_id),
        )

    async def positions(self, account: str) -> Mapping[str, int]:
        """Return the shares an account holds by symbol, whoever bought them."""
        link, _ = await self._open(account)
        return dict(position_of(record) for record in await link.positions())

    async def dividends(self, account: str, since: date) -> Sequence[Dividend]:
        """Return the dividends that Alpaca has paid; see `tradewind.trading.broker`."""
        link, _ = await self._open(account)
        return [dividend_of(record) for record in await link.dividends(since)]

    async def close(self) -> None:
        """Hang up."""
        for updates in self._updates.values():
            await updates.close()
        self._updates.clear()
        self._opened.clear()

    async def examine(self) -> Sequence[Examined]:
        """Say of each account whether orders can go there; see `tradewind.trading.broker`."""
        found = []
        for name, number in self._address.accounts.items():
            what = f"{number} of {name} at {self._address}"
            try:
                link, account = await self._open(name)
                self._refuse_blocked(name, account)
                apart = self._clock() - moment_of(await link.clock(), "timestamp")
            except TradingError as error:
                found.append(Examined(what, problem=str(error)))
                continue
            seconds = apart.total_seconds()
            if abs(seconds) > _MOST_CLOCK:
                problem = f"this machine's clock is {seconds:+.0f} s from Alpaca's: set it"
                found.append(Examined(what, problem=problem))
                continue
            said = f"it is {account.get('status')}, with {account.get('equity')} in equity"
            found.append(Examined(what, note=said))
        return found

    async def _open(self, account: str) -> tuple[Link, Record]:
        """Return the connection to an account, and what Alpaca says of it."""
        number = self._address.accounts.get(account)
        if number is None:
            raise TradingError(
                f"TRADEWIND_BROKER names no account of Alpaca for {account}: add "
                f"account.{account}=NUMBER to it"
            )
        if account not in self._opened:
            others, refused = [], []
            for key in read_keys(self._find_login(), self._address):
                link = Link(key, self._address)
                try:
                    found = await link.account()
                except KeyRefusedError as error:  # it may be that of another account
                    refused.append(error)
                    continue
                if str(field(found, "account_number")) == number:
                    self._opened[account] = link, found
                    break
                others.append(str(field(found, "account_number")))
            else:
                if refused:
                    raise refused[0]
                raise TradingError(
                    f"no key opens account {number} of {account} at {self._address}: those that "
                    f"are given open {', '.join(others)}"
                )
        return self._opened[account]

    def _refuse_blocked(self, name: str, account: Record) -> None:
        """Refuse to send orders that Alpaca would reject one by one."""
        status = str(field(account, "status"))
        blocks = [
            what
            for what in ("account_blocked", "trading_blocked", "trade_suspended_by_user")
            if account.get(what)
        ]
        if status != "ACTIVE" or blocks:
            said = ", ".join([f"status {status}", *blocks])
            raise TradingError(
                f"account {account.get('account_number')} of {name} at {self._address} takes no "
                f"orders ({said}): Alpaca's page says why, and its support lifts it; then run "
                f"execute_{name} again"
            )

    def _refuse_untimely(self, order: OrderTicket, clock: Record) -> None:
        """Refuse an order that would be filled at another open than its own, by Alpaca's clock.

        Raises
        ------
        OrderRejectedError
            If it is too late, for good.
        TradingError
            If it is too early.
        """
        address, session = self._address, order.session
        now = moment_of(clock, "timestamp").astimezone(NEW_YORK)
        coming = moment_of(clock, "next_open").astimezone(NEW_YORK).date()
        if (now.date(), now.time()) >= (session, address.until) or coming > session:
            raise OrderRejectedError(
                f"too late for the open of {session}: it is {now:%Y-%m-%d %H:%M %Z} at Alpaca, "
                f"and the next open is that of {coming}"
            )
        waits = address.time_in_force == "opg" and address.until <= now.time() < address.begin
        if coming < session or waits or field(clock, "is_open"):
            raise TradingError(
                f"too early for the open of {session}: it is {now:%Y-%m-%d %H:%M %Z} at Alpaca, "
                f"where the next open is that of {coming}, and orders of the kind "
                f"{address.time_in_force} for it are taken after "
                + (f"{address.begin:%H:%M}" if address.time_in_force == "opg" else "the close")
                + f". Run execute_{order.account} then, from its task `submit` on"
            )

    async def _place(self, link: Link, order: OrderTicket) -> Record:
        """Send an order, and find out what became of it whatever the answer was."""
        try:
            return await link.place(order)
        except TradingError as error:
            # An error does not say that there is no order: Alpaca has answered with 422 and with
            # 500 to orders that it took (alpacahq/alpaca-trade-api-js#255, Alpaca-API#270).
            for look in range(_LOOKS_AFTER_DOUBT):
                if (found := await link.order_named(Reference.of(order))) is not None:
                    return found
                await asyncio.sleep(0.1 * 2**look)
            if isinstance(error, RefusedError) and _ID not in error.said:
                raise OrderRejectedError(
                    f"Alpaca will not take the order for {order.symbol}: {error.said}"
                ) from error
            raise

    async def _answered(self, account: str, link: Link, record: Record) -> Record:
        """Wait a while until Alpaca has accepted or rejected an order that it has."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._address.patience
        while record.get("status") in PENDING and (left := until - loop.time()) > 0:
            if account not in self._updates:
                self._updates[account] = Updates(link.key, self._address)
            await self._updates[account].wait(min(left, _LOOK))
            record = await link.order(str(field(record, "id")))
        return record

    async def _chains(self, link: Link, since: date | None) -> list[Chain]:
        """Return our orders of sessions from about `since` on."""
        found = [await link.chain(record) for record in await link.orders(since)]
        chains = [chain for chain in found if chain is not None]
        # What replaced another order may have kept its name, and is no order of its own.
        later = {str(field(record, "id")) for chain in chains for record in chain.records[1:]}
        return [chain for chain in chains if str(field(chain.records[0], "id")) not in later]

    async def _read(self, link: Link, record: Record) -> Chain:
        chain = await link.chain(record)
        if chain is None:
            raise TradingError(
                f"{self._address} has another id for an order of ours: {record.get('id')}"
            )
        return chain

    async def _cancel(self, link: Link, order_id: str) -> None:
        try:
            await link.cancel(order_id)
        except NotFoundError:
            raise
        except RefusedError:  # it has ended meanwhile, which `orders` tells
            return


def _refuse_another(order: OrderTicket, there: Record) -> None:
    """Refuse an order whose id belongs to another one."""
    kind, limit = str(field(there, "type")), there.get("limit_price")
    shares, symbol = shares_of(there, "qty"), str(field(there, "symbol"))
    same = (
        symbol == order.symbol
        and shares == order.shares
        and kind == order.kind.value
        and (order.limit_price is None or float(str(limit)) == float(order.limit_price))
    )
    if not same:
        raise TradingError(
            f"Alpaca has another order by the id {order.client_order_id}: {kind}, "
            f"{shares} {symbol}, limit {limit}; and was now sent {order}"
        )

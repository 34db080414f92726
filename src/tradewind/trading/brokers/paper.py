"""A broker on paper: fills at the open of the session, from the account's quotes, with its costs.

Its records are its own (schema ``paper``), and are never written in one transaction with the
book's. So the book can lose contact with it as with any broker, and must reconcile.
`tradewind.trading.brokers.paper_session` says how a session is traded.

It rejects an order whose open has passed, by the clock or by anything known of the session when the
order came (`tradewind.trading.book.present`), and one for an unknown symbol. Unless the order
closes the position, it also rejects one for a symbol without a quote at the last close, and one
that is no multiple of the lot size.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import sqlalchemy as sa

from tradewind.bookings import EXACT
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.trading.book.accounts import read_account
from tradewind.trading.book.database import database_errors, open_database
from tradewind.trading.book.present import read_present
from tradewind.trading.book.schema import (
    paper_executions,
    paper_order_events,
    paper_orders,
    paper_sessions,
    quotes,
)
from tradewind.trading.brokers.paper_records import held, last_events, lock, note
from tradewind.trading.brokers.paper_session import trade_session
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderKind, OrderState, OrderTicket

__all__ = ["PaperBroker"]

_PRICE_PLACES: Final = -8


class PaperBroker:
    """Orders, executions and positions in PostgreSQL.

    Parameters
    ----------
    address : str
        ``paper``; it has no options.
    database_url : str
        For SQLAlchemy; its tables are made by `tradewind.trading.migrate`.
    clock : callable
        Returns the present, with a time zone.
    """

    def __init__(
        self,
        address: str,
        database_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if address != "paper":
            raise TradingError(f"the paper broker has no address and no options; it got {address}")
        self._clock = clock
        self._open = ExitStack()
        self._engine = self._open.enter_context(open_database(database_url))

    async def submit(self, order: OrderTicket) -> None:
        """Accept an order, or reject it; see `tradewind.trading.broker.Broker`."""
        await asyncio.to_thread(self._submit, order)

    async def cancel(self, client_order_id: str) -> None:
        """Cancel an order that waits; see `tradewind.trading.broker.Broker`."""
        await asyncio.to_thread(self._cancel, client_order_id)

    async def trade(self, account: str, session: date) -> None:
        """Trade a session's open; see `tradewind.trading.broker.SimulatedBroker`."""
        await asyncio.to_thread(self._trade, account, session)

    async def orders(self, account: str, since: date | None = None) -> Sequence[BrokerOrder]:
        """Return an account's orders, oldest session first."""
        return await asyncio.to_thread(self._orders, account, since)

    async def fills(self, account: str, since: date | None = None) -> Sequence[BrokerFill]:
        """Return an account's executions, oldest session first."""
        return await asyncio.to_thread(self._fills, account, since)

    async def positions(self, account: str) -> Mapping[str, int]:
        """Return the shares an account holds by symbol."""
        return await asyncio.to_thread(self._positions, account)

    async def close(self) -> None:
        """Close the connection to the database."""
        await asyncio.to_thread(self._open.close)

    def _submit(self, order: OrderTicket) -> None:
        if order.limit_price is not None and not _is_price(order.limit_price):
            raise OrderRejectedError(
                f"the limit {order.limit_price} is no price: above zero, eight decimal places"
            )
        with (
            database_errors(f"sending order {order.client_order_id} to the paper broker"),
            self._engine.begin() as connection,
        ):
            lock(connection, order.account)
            known = _known(connection, order)
            if known is None:
                reason = _objection(connection, order, self._clock())
                _write_down(connection, order, reason)
            else:
                reason = known
        # Raised after the commit: a rejection is a record, too, and the error must not undo it.
        if reason:
            raise OrderRejectedError(reason)

    def _cancel(self, order_id: str) -> None:
        with (
            database_errors(f"cancelling order {order_id} at the paper broker"),
            self._engine.begin() as connection,
        ):
            account = connection.execute(
                sa.select(paper_orders.c.account).where(paper_orders.c.client_order_id == order_id)
            ).scalar()
            if account is None:
                raise TradingError(f"the paper broker has no order {order_id}")
            lock(connection, account)
            sequence, status = connection.execute(
                sa.select(paper_order_events.c.sequence, paper_order_events.c.status)
                .where(paper_order_events.c.client_order_id == order_id)
                .order_by(paper_order_events.c.sequence.desc())
                .limit(1)
            ).one()
            if status == OrderState.ACCEPTED:
                note(connection, order_id, sequence + 1, OrderState.CANCELLED)

    def _trade(self, account: str, session: date) -> None:
        with (
            database_errors(f"trading {session} of {account} at the paper broker"),
            self._engine.begin() as connection,
        ):
            lock(connection, account)
            trade_session(connection, account, session)

    def _orders(self, account: str, since: date | None) -> Sequence[BrokerOrder]:
        filled = (
            sa.select(sa.func.coalesce(sa.func.sum(paper_executions.c.shares), 0))
            .where(paper_executions.c.client_order_id == paper_orders.c.client_order_id)
            .scalar_subquery()
        )
        last = last_events()
        query = (
            sa.select(paper_orders, last.c.status, last.c.reason, filled.label("filled"))
            .join(last, last.c.client_order_id == paper_orders.c.client_order_id)
            .where(paper_orders.c.account == account)
            .order_by(paper_orders.c.session, paper_orders.c.created_at)
        )
        if since is not None:
            query = query.where(paper_orders.c.session >= since)
        with database_errors(f"asking for the orders of {account}"), self._engine.begin() as now:
            rows = now.execute(query).all()
        return [
            BrokerOrder(
                client_order_id=row.client_order_id,
                account=row.account,
                symbol=row.symbol,
                shares=row.shares,
                session=row.session,
                status=OrderState(row.status),
                filled=int(row.filled),
                reason=row.reason,
            )
            for row in rows
        ]

    def _fills(self, account: str, since: date | None) -> Sequence[BrokerFill]:
        query = (
            sa.select(*(paper_executions.c[name] for name in BrokerFill.__dataclass_fields__))
            .where(paper_executions.c.account == account)
            .order_by(paper_executions.c.session, paper_executions.c.created_at)
        )
        if since is not None:
            query = query.where(paper_executions.c.session >= since)
        with database_errors(f"asking for the fills of {account}"), self._engine.begin() as now:
            return [BrokerFill(**row) for row in now.execute(query).mappings()]

    def _positions(self, account: str) -> Mapping[str, int]:
        with database_errors(f"asking for positions of {account}"), self._engine.begin() as now:
            return held(now, account)


def _known(connection: sa.Connection, order: OrderTicket) -> str | None:
    """Return the answer to an order when it came first; None if it is new."""
    row = connection.execute(
        sa.select(paper_orders).where(paper_orders.c.client_order_id == order.client_order_id)
    ).one_or_none()
    if row is None:
        return None
    found = OrderTicket(
        client_order_id=row.client_order_id,
        account=row.account,
        symbol=row.symbol,
        shares=row.shares,
        kind=OrderKind(row.kind),
        limit_price=row.limit_price,
        session=row.session,
    )
    if found != order:
        raise TradingError(
            f"the paper broker has another order by the id {order.client_order_id}: {found}, "
            f"and was now sent {order}"
        )
    status, reason = connection.execute(
        sa.select(paper_order_events.c.status, paper_order_events.c.reason).where(
            paper_order_events.c.client_order_id == order.client_order_id,
            paper_order_events.c.sequence == 0,
        )
    ).one()
    return str(reason) if status == OrderState.REJECTED else ""


def _objection(connection: sa.Connection, order: OrderTicket, now: datetime) -> str:
    """Return why an order is rejected; empty if it is not."""
    if over := _over(connection, order, now):
        return f"too late: {over}"
    before = (quotes.c.account == order.account, quotes.c.session < order.session)
    last = connection.execute(sa.select(sa.func.max(quotes.c.session)).where(*before)).scalar()
    quoted = connection.execute(
        sa.select(sa.func.max(quotes.c.session)).where(*before, quotes.c.symbol == order.symbol)
    ).scalar()
    if quoted is None:
        return f"unknown symbol {order.symbol}"
    if held(connection, order.account).get(order.symbol, 0) == -order.shares:
        return ""
    if quoted < last:
        return f"no quote of {order.symbol} on {last}, the last was on {quoted}"
    lot = read_account(connection, order.account, order.session).lot_size
    if order.shares % lot:
        return f"{order.shares} shares of {order.symbol} are no multiple of the lot size {lot}"
    return ""


def _over(connection: sa.Connection, order: OrderTicket, now: datetime) -> str:
    """Return why an order comes too late: by the broker's records, or by what the account knows."""
    traded = connection.execute(
        sa.select(sa.func.max(paper_sessions.c.session)).where(
            paper_sessions.c.account == order.account
        )
    ).scalar()
    if traded is not None and order.session <= traded:
        return f"the open of {order.session} is over: {traded} was traded"
    return read_present(connection, order.account, now).over(order.session)


def _is_price(limit: Decimal) -> bool:
    if not limit.is_finite() or limit <= 0:
        return False
    exponent = limit.normalize(EXACT).as_tuple().exponent
    return isinstance(exponent, int) and exponent >= _PRICE_PLACES


def _write_down(connection: sa.Connection, order: OrderTicket, reason: str) -> None:
    connection.execute(
        sa.insert(paper_orders),
        {
            "client_order_id": order.client_order_id,
            "account": order.account,
            "symbol": order.symbol,
            "shares": order.shares,
            "kind": str(order.kind),
            "limit_price": order.limit_price,
            "session": order.session,
        },
    )
    state = OrderState.REJECTED if reason else OrderState.ACCEPTED
    note(connection, order.client_order_id, 0, state, reason)

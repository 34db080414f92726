"""A broker on paper: fills at the open of the session, from the account's quotes, with its costs.

Its records are its own (schema ``paper``) and never written in one transaction with the book's, so
that the book can lose sight of it as of any broker, and must find it again.

How a session is traded
-----------------------
In one transaction, so that a session was traded whole or not at all, and never twice:

1. Positions and waiting orders go through the session's split: the whole part of shares times
   ratio, and limits divided by it.
2. Orders are filled at the open, in the order they came in. A limit order is filled only if the
   open is no worse than its limit.
3. All orders of a symbol together are filled up to `max_participation` of the session's volume.
   Of an order that is cut so, whole lots are filled.
4. Commission and slippage are basis points of the exact notional, in cents, as in
   `tradewind.research.accounting`. A limit order's slippage ends at its limit.
5. An order that closes the position in a symbol whose quotes have ended is filled whole, at what
   such a share is paid (`tradewind.trading.delistings`).
6. What was not filled expires.

An order is rejected that comes too late or is for an unknown symbol; and, unless it closes the
position, one for a symbol without a quote at the last close, or of no multiple of the lot size.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

import sqlalchemy as sa

from tradewind.errors import OrderRejectedError, TradingError
from tradewind.research.bookings import EXACT, cents, split_shares, trading_cost
from tradewind.trading.accounts import Account, read_account
from tradewind.trading.database import database_errors, open_database
from tradewind.trading.delistings import paid_at_the_end
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderKind, OrderState, OrderTicket
from tradewind.trading.schema import (
    paper_adjustments,
    paper_executions,
    paper_order_events,
    paper_orders,
    paper_sessions,
    quotes,
)

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
    """

    def __init__(self, address: str, database_url: str) -> None:
        if address != "paper":
            raise TradingError(f"the paper broker has no address and no options; it got {address}")
        self._open = ExitStack()
        self._engine = self._open.enter_context(open_database(database_url))

    async def submit(self, order: OrderTicket) -> None:
        """Take an order, or reject it; see `tradewind.trading.broker.Broker`."""
        await asyncio.to_thread(self._submit, order)

    async def cancel(self, client_order_id: str) -> None:
        """Take back an order that waits; see `tradewind.trading.broker.Broker`."""
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
        """Let go of the database."""
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
            _lock(connection, order.account)
            known = _known(connection, order)
            if known is None:
                reason = _objection(connection, order)
                _write_down(connection, order, reason)
            else:
                reason = known
        # Only now: a rejection is a record, too, and is not undone by the error that tells of it.
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
            _lock(connection, account)
            sequence, status = connection.execute(
                sa.select(paper_order_events.c.sequence, paper_order_events.c.status)
                .where(paper_order_events.c.client_order_id == order_id)
                .order_by(paper_order_events.c.sequence.desc())
                .limit(1)
            ).one()
            if status == OrderState.ACCEPTED:
                _note(connection, order_id, sequence + 1, OrderState.CANCELLED)

    def _trade(self, account: str, session: date) -> None:
        with (
            database_errors(f"trading {session} of {account} at the paper broker"),
            self._engine.begin() as connection,
        ):
            _lock(connection, account)
            if not _begin(connection, account, session):
                return
            day = _Day(connection, read_account(connection, account, session), session)
            day.split()
            day.fill()

    def _orders(self, account: str, since: date | None) -> Sequence[BrokerOrder]:
        filled = (
            sa.select(sa.func.coalesce(sa.func.sum(paper_executions.c.shares), 0))
            .where(paper_executions.c.client_order_id == paper_orders.c.client_order_id)
            .scalar_subquery()
        )
        last = _last_events()
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
            return [BrokerFill(**row._mapping) for row in now.execute(query)]

    def _positions(self, account: str) -> Mapping[str, int]:
        with database_errors(f"asking for positions of {account}"), self._engine.begin() as now:
            return _held(now, account)


@dataclass(frozen=True)
class _Waiting:
    """An order that waits for its open, as it stands after the open's split."""

    client_order_id: str
    symbol: str
    shares: int
    limit: Decimal | None


class _Day:
    """One session of one account, within the transaction that trades it."""

    def __init__(self, connection: sa.Connection, terms: Account, session: date) -> None:
        self._connection = connection
        self._terms = terms
        self._session = session
        self._quotes: dict[str, sa.Row[Any]] = {
            row.symbol: row
            for row in connection.execute(
                sa.select(quotes).where(
                    quotes.c.account == terms.account, quotes.c.session == session
                )
            )
        }
        if not self._quotes:
            raise TradingError(
                f"there are no quotes of {session} for {terms.account}, so it cannot be traded on "
                f"paper: the task `quote` of execute_{terms.account} stores them"
            )

    def split(self) -> None:
        """Bring positions through the session's splits."""
        for symbol, shares in _held(self._connection, self._terms.account).items():
            whole, _ = split_shares(shares, self._ratio(symbol), Decimal(0))
            if whole != shares:
                self._connection.execute(
                    sa.insert(paper_adjustments),
                    {
                        "account": self._terms.account,
                        "session": self._session,
                        "symbol": symbol,
                        "shares": whole - shares,
                    },
                )

    def fill(self) -> None:
        """Fill the orders that wait for this open, and let the rest of them expire."""
        with localcontext(EXACT):
            left = {
                symbol: int(quote.volume * self._terms.max_participation)
                for symbol, quote in self._quotes.items()
            }
        for order in self._waiting():
            traded, reason, price = self._tradable(order, left.get(order.symbol, 0))
            sequence = 1
            if traded:
                if order.symbol in left:
                    left[order.symbol] -= abs(traded)
                self._execute(order, traded, price)
                whole = traded == order.shares
                state = OrderState.FILLED if whole else OrderState.PARTIALLY_FILLED
                _note(self._connection, order.client_order_id, sequence, state)
                sequence += 1
            if traded != order.shares or not traded:
                _note(self._connection, order.client_order_id, sequence, OrderState.EXPIRED, reason)

    def _ratio(self, symbol: str) -> Fraction:
        quote = self._quotes.get(symbol)
        return Fraction(quote.split_numerator, quote.split_denominator) if quote else Fraction(1)

    def _waiting(self) -> list[_Waiting]:
        last = _last_events()
        rows = self._connection.execute(
            sa.select(paper_orders)
            .join(last, last.c.client_order_id == paper_orders.c.client_order_id)
            .where(
                paper_orders.c.account == self._terms.account,
                # An earlier one waits for a session that never came; it expires with this.
                paper_orders.c.session <= self._session,
                last.c.status == OrderState.ACCEPTED,
            )
            .order_by(paper_orders.c.created_at, paper_orders.c.client_order_id)
        ).all()
        found = []
        for row in rows:
            if row.session < self._session:
                reason = f"{row.session} was never traded"
                _note(self._connection, row.client_order_id, 1, OrderState.EXPIRED, reason)
                continue
            ratio = self._ratio(row.symbol)
            shares, _ = split_shares(row.shares, ratio, Decimal(0))
            limit = row.limit_price
            if limit is not None:
                with localcontext(EXACT):
                    limit = limit * ratio.denominator / ratio.numerator
            found.append(_Waiting(row.client_order_id, row.symbol, shares, limit))
        return found

    def _tradable(self, order: _Waiting, most: int) -> tuple[int, str, Decimal]:
        """Return how many shares are traded, signed, why not all, and at which price."""
        quote = self._quotes.get(order.symbol)
        if quote is None:
            price = self._paid_at_the_end(order)
            if price is None:
                return 0, f"no quote of {order.symbol} on {self._session}", Decimal(0)
            return order.shares, "", price
        if not order.shares:
            return 0, "less than a share after the split", quote.open
        buys = order.shares > 0
        if order.limit is not None and (
            quote.open > order.limit if buys else quote.open < order.limit
        ):
            return 0, f"the open of {quote.open:f} was beyond the limit", quote.open
        wanted = abs(order.shares)
        if wanted <= most:
            return order.shares, "", quote.open
        whole = most - most % self._terms.lot_size
        reason = (
            f"{self._terms.max_participation:f} of a volume of {quote.volume} is all that is filled"
        )
        return (whole if buys else -whole), reason, quote.open

    def _paid_at_the_end(self, order: _Waiting) -> Decimal | None:
        held = _held(self._connection, self._terms.account).get(order.symbol, 0)
        if order.limit is not None or order.shares != -held:
            return None
        return paid_at_the_end(self._connection, self._terms, order.symbol, self._session)

    def _execute(self, order: _Waiting, traded: int, price: Decimal) -> None:
        terms = self._terms
        slippage = trading_cost(traded, price, terms.slippage_bps)
        if order.limit is not None:
            with localcontext(EXACT):
                slippage = min(slippage, abs(order.limit - price) * abs(traded))
        self._connection.execute(
            sa.insert(paper_executions),
            {
                "execution_id": f"{order.client_order_id}.1",  # a day's order meets one open
                "client_order_id": order.client_order_id,
                "account": terms.account,
                "session": self._session,
                "symbol": order.symbol,
                "shares": traded,
                "price": price,
                "commission": cents(trading_cost(traded, price, terms.commission_bps)),
                "slippage": cents(slippage),
            },
        )


def _lock(connection: sa.Connection, account: str) -> None:
    """Wait until nobody else changes an account's records; it goes with the transaction."""
    digest = hashlib.blake2b(f"paper {account}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "little", signed=True)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def _last_events() -> sa.Subquery:
    events, later = paper_order_events, paper_order_events.alias()
    last = sa.select(sa.func.max(later.c.sequence)).where(
        later.c.client_order_id == events.c.client_order_id
    )
    return sa.select(events).where(events.c.sequence == last.scalar_subquery()).subquery()


def _known(connection: sa.Connection, order: OrderTicket) -> str | None:
    """Return what was said of an order when it came first; None if it did not."""
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


def _objection(connection: sa.Connection, order: OrderTicket) -> str:
    """Return why an order is not taken; empty if it is."""
    traded = connection.execute(
        sa.select(sa.func.max(paper_sessions.c.session)).where(
            paper_sessions.c.account == order.account
        )
    ).scalar()
    if traded is not None and order.session <= traded:
        return f"too late for the open of {order.session}: {traded} was traded"
    before = (quotes.c.account == order.account, quotes.c.session < order.session)
    last = connection.execute(sa.select(sa.func.max(quotes.c.session)).where(*before)).scalar()
    quoted = connection.execute(
        sa.select(sa.func.max(quotes.c.session)).where(*before, quotes.c.symbol == order.symbol)
    ).scalar()
    if quoted is None:
        return f"unknown symbol {order.symbol}"
    if _held(connection, order.account).get(order.symbol, 0) == -order.shares:
        return ""
    if quoted < last:
        return f"no quote of {order.symbol} on {last}, the last was on {quoted}"
    lot = read_account(connection, order.account, order.session).lot_size
    if order.shares % lot:
        return f"{order.shares} shares of {order.symbol} are no multiple of the lot size {lot}"
    return ""


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
    _note(connection, order.client_order_id, 0, state, reason)


def _begin(connection: sa.Connection, account: str, session: date) -> bool:
    """Write down that a session is traded; False if it was."""
    of_account = sa.select(sa.func.max(paper_sessions.c.session)).where(
        paper_sessions.c.account == account
    )
    done = connection.execute(of_account.where(paper_sessions.c.session == session)).scalar()
    if done is not None:
        return False
    last = connection.execute(of_account).scalar()
    if last is not None and last > session:
        raise TradingError(
            f"{session} of {account} cannot be traded any more: the paper broker has traded {last}"
        )
    connection.execute(sa.insert(paper_sessions), {"account": account, "session": session})
    return True


def _held(connection: sa.Connection, account: str) -> dict[str, int]:
    changes = sa.union_all(
        *(
            sa.select(table.c.symbol, table.c.shares).where(table.c.account == account)
            for table in (paper_executions, paper_adjustments)
        )
    ).subquery()
    total = sa.func.sum(changes.c.shares)
    rows = connection.execute(
        sa.select(changes.c.symbol, total.label("shares"))
        .group_by(changes.c.symbol)
        .having(total != 0)
        .order_by(changes.c.symbol)
    )
    return {row.symbol: int(row.shares) for row in rows}


def _note(
    connection: sa.Connection, order_id: str, sequence: int, state: OrderState, reason: str = ""
) -> None:
    connection.execute(
        sa.insert(paper_order_events),
        {
            "client_order_id": order_id,
            "sequence": sequence,
            "status": str(state),
            "reason": reason,
        },
    )

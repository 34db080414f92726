"""Settling sessions: what a day did to an account, booked once and whole.

For each session that is not settled yet, oldest first: a paper broker fills what was working for
its open; then, in one transaction, splits, dividends and borrowing are booked on what was held at
the last close, the broker's fills after them, orders are brought to their end, positions are valued
at the close, and the session's `equity` row is written. That row says that the session is settled:
who comes again, or comes second, finds it there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

import sqlalchemy as sa

from tradewind.bookings import EXACT, borrow_fee, cents, split_shares
from tradewind.errors import TradingError
from tradewind.trading.book.accounts import last_settled, read_account
from tradewind.trading.book.database import account_lock, database_errors
from tradewind.trading.book.ledger import Ledger
from tradewind.trading.book.order_log import LoggedOrder, add_state, logged_orders
from tradewind.trading.book.outbox import record
from tradewind.trading.book.quotes import Quote, closes_at, quotes_of
from tradewind.trading.book.schema import equity, fills, orders
from tradewind.trading.broker import Broker, SimulatedBroker, refuse_broker
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderState, is_final

__all__ = ["Settled", "settle"]


@dataclass(frozen=True)
class Settled:
    """What an account had at a session's close.

    Attributes
    ----------
    session : date
    fills : int
        Booked with it.
    cash, positions, equity : Decimal
        Whole cents; the last is the sum of the two.
    """

    session: date
    fills: int
    cash: Decimal
    positions: Decimal
    equity: Decimal


async def settle(
    engine: sa.Engine, broker: Broker, account: str, session: date
) -> tuple[Settled, ...]:
    """Settle every session of an account up to one.

    Parameters
    ----------
    engine : Engine
    broker : Broker
        One that simulates is told to trade each session first.
    account : str
    session : date
        Its quotes, and those of the sessions before, must be stored.

    Returns
    -------
    tuple of Settled
        What was settled now; none, if all of it was before.

    Raises
    ------
    TradingError
        If quotes are missing, the broker is not one that the account's orders may go to or does
        not say what became of an order, or the database refuses. Sessions that were settled before
        that stay settled.
    """
    done = []
    with database_errors(f"settling {account}"), account_lock(engine, account) as lock:
        with engine.connect() as connection:
            # The orders of another kind of broker would all be taken for lost.
            refuse_broker(read_account(connection, account), broker)
            before = last_settled(connection, account)
            if before is None:
                raise TradingError(f"the account {account} has no first equity")
            pending = quotes_of(connection, account, before, session)
        if session > before and session not in pending:
            raise TradingError(
                f"no quotes of {account} for {session}: the task `quote` of execute_{account} "
                "stores them"
            )
        for day, quotes in pending.items():
            if isinstance(broker, SimulatedBroker):
                await broker.trade(account, day)
            known = await broker.orders(account, since=before)
            filled = await broker.fills(account, since=before)
            lock.check()
            with engine.begin() as connection:
                done.append(
                    _Session(connection, account, before, day, quotes).settle(known, filled)
                )
            before = day
    return tuple(done)


class _Session:
    """One session of an account, in one transaction."""

    def __init__(
        self,
        connection: sa.Connection,
        account: str,
        before: date,
        day: date,
        quotes: Mapping[str, Quote],
    ) -> None:
        self._connection = connection
        self._account = account
        self._before = before
        self._day = day
        self._quotes = quotes
        self._ledger = Ledger.open(connection, account, day)

    def settle(self, known: Sequence[BrokerOrder], filled: Sequence[BrokerFill]) -> Settled:
        with localcontext(EXACT):
            self._corporate_actions()
            booked = self._book_fills(known, filled)
            return self._close(booked)

    def _corporate_actions(self) -> None:
        terms = read_account(self._connection, self._account, self._day)
        ledger = self._ledger
        owned = ledger.owned()
        for symbol, shares in owned:
            if (quote := self._quotes.get(symbol)) is not None and quote.split != 1:
                whole, paid = split_shares(shares, quote.split, quote.open)
                ledger.book(symbol, "split", shares=whole - shares, price=quote.open, amount=paid)
        for symbol, shares in ledger.owned():
            if (quote := self._quotes.get(symbol)) is not None:
                ledger.book(
                    symbol, "dividend", price=quote.dividend, amount=shares * quote.dividend
                )
        nights = (self._day - self._before).days
        closes = closes_at(self._connection, self._account, self._before)
        for symbol, shares in owned:
            if shares < 0:
                fee = borrow_fee(shares, closes[symbol], terms.borrow_bps, nights)
                ledger.book(symbol, "borrow", price=closes[symbol], amount=fee)

    def _book_fills(self, known: Sequence[BrokerOrder], filled: Sequence[BrokerFill]) -> int:
        """Book the broker's fills of our orders, and bring the session's orders to their end."""
        due = logged_orders(
            self._connection,
            self._account,
            orders.c.session > self._before,
            orders.c.session <= self._day,
        )
        ours = {order.ticket.client_order_id for order in due}
        there = {order.client_order_id: order for order in known}
        new = [fill for fill in filled if fill.client_order_id in ours]
        for order in due:
            self._refuse_other_sessions(order, new)
        # Sales first, as the backtest's books have it.
        for fill in sorted(new, key=lambda f: (f.shares > 0, f.symbol, f.execution_id)):
            self._book_fill(fill)
        for order in due:
            mine = [f for f in new if f.client_order_id == order.ticket.client_order_id]
            self._finish(order, there.get(order.ticket.client_order_id), mine)
        return len(new)

    def _refuse_other_sessions(self, order: LoggedOrder, filled: Sequence[BrokerFill]) -> None:
        """Refuse a fill of another session than its order's: no broker can have traded it."""
        ticket = order.ticket
        for fill in filled:
            if fill.client_order_id == ticket.client_order_id and fill.session != ticket.session:
                raise TradingError(
                    f"the broker says that order {ticket.client_order_id} of {ticket.symbol} for "
                    f"{ticket.session} was filled on {fill.session}: look for it there before "
                    f"{self._account} is settled"
                )

    def _book_fill(self, fill: BrokerFill) -> None:
        self._connection.execute(
            sa.insert(fills),
            {
                "account": self._account,
                "execution_id": fill.execution_id,
                "client_order_id": fill.client_order_id,
                "session": fill.session,
                "symbol": fill.symbol,
                "shares": fill.shares,
                "price": fill.price,
                "commission": fill.commission,
                "slippage": fill.slippage,
            },
        )
        for kind, shares, amount in (
            ("buy" if fill.shares > 0 else "sell", fill.shares, -fill.shares * fill.price),
            ("commission", 0, -fill.commission),
            ("slippage", 0, -fill.slippage),
        ):
            self._ledger.book(
                fill.symbol,
                kind,
                shares=shares,
                price=fill.price,
                amount=amount,
                reference=fill.execution_id,
            )
        record(
            self._connection,
            "fill",
            self._account,
            {
                "session": str(self._day),
                "symbol": fill.symbol,
                "shares": fill.shares,
                "price": str(fill.price),
                "client_order_id": fill.client_order_id,
                "execution_id": fill.execution_id,
            },
        )

    def _finish(
        self, order: LoggedOrder, there: BrokerOrder | None, filled: Sequence[BrokerFill]
    ) -> None:
        """Write down how an order ended; it was good for this session alone."""
        name = f"{order.ticket.client_order_id} of {order.ticket.symbol}"
        if is_final(order.state):
            if filled:
                raise TradingError(f"order {name} is {order.state}, and the broker has fills of it")
            return
        if there is None:
            if order.state not in {OrderState.NEW, OrderState.SUBMITTED}:
                raise TradingError(
                    f"the broker took order {name} for {order.ticket.session} and does not know it "
                    f"now: look for it there before {self._account} is settled"
                )
            add_state(self._connection, order, OrderState.EXPIRED, ["it never reached the broker"])
            return
        if not is_final(there.status):
            raise TradingError(
                f"order {name} is still {there.status} at the broker after {self._day}: settle "
                f"{self._account} again when the broker has closed it"
            )
        total = sum(fill.shares for fill in filled)
        if total != there.filled:
            raise TradingError(
                f"the broker says that {there.filled} shares of order {name} are filled, and has "
                f"fills of {total}: settle {self._account} again when it has them all"
            )
        if order.state is OrderState.NEW:
            raise TradingError(f"the broker has order {name}, which was never sent to it")
        if order.state is OrderState.SUBMITTED and there.status is not OrderState.REJECTED:
            order = add_state(self._connection, order, OrderState.ACCEPTED)
        parts = len(filled) - (there.status is OrderState.FILLED)
        for _ in range(parts):
            order = add_state(self._connection, order, OrderState.PARTIALLY_FILLED)
        reasons = [there.reason] if there.reason else []
        add_state(self._connection, order, there.status, reasons)

    def _close(self, booked: int) -> Settled:
        closes = closes_at(self._connection, self._account, self._day)
        worth = sum(
            (cents(shares * closes[symbol]) for symbol, shares in self._ledger.owned()),
            Decimal("0.00"),
        )
        cash = self._ledger.cash
        settled = Settled(self._day, booked, cash, worth, cash + worth)
        self._connection.execute(
            sa.insert(equity),
            {
                "account": self._account,
                "session": self._day,
                "cash": settled.cash,
                "positions": settled.positions,
                "equity": settled.equity,
            },
        )
        record(
            self._connection,
            "end_of_day",
            self._account,
            {
                "session": str(self._day),
                "cash": str(settled.cash),
                "positions": str(settled.positions),
                "equity": str(settled.equity),
                "fills": booked,
            },
        )
        return settled

"""How the paper broker trades a session.

In one transaction, so that a session is traded whole or not at all, and never twice:

1. Positions and waiting orders go through the session's split: the whole part of shares times
   ratio, and limits divided by it.
2. Orders are filled at the open, in the order they came in. A limit order is filled only if the
   open is no worse than its limit.
3. All orders of a symbol together are filled up to `max_participation` of the session's volume. An
   order that is cut so is filled in whole lots.
4. Commission and slippage are basis points of the exact notional, in cents, as in
   `tradewind.research.backtest.books`. A limit order's slippage ends at its limit.
5. An order that closes the position in a delisted symbol is filled whole, at the price of
   `tradewind.trading.book.delistings`.
6. What was not filled expires. An order that came after the session's quotes expires unfilled.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from tradewind.bookings import EXACT, cents, split_shares, trading_cost
from tradewind.errors import TradingError
from tradewind.trading.book.accounts import Account, read_account
from tradewind.trading.book.delistings import paid_at_the_end
from tradewind.trading.book.schema import (
    paper_adjustments,
    paper_executions,
    paper_orders,
    paper_sessions,
    quotes,
)
from tradewind.trading.brokers.paper_records import held, last_events, note
from tradewind.trading.orders import OrderState

__all__ = ["trade_session"]


def trade_session(connection: sa.Connection, account: str, session: date) -> None:
    """Trade an account's orders at a session's open, unless that was done.

    Raises
    ------
    TradingError
        If there are no quotes of the session, or a later one was traded already.
    """
    if _begin(connection, account, session):
        day = _Day(connection, read_account(connection, account, session), session)
        day.split()
        day.fill()


def _begin(connection: sa.Connection, account: str, session: date) -> bool:
    """Store that a session is traded; False if it was traded before."""
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
        """Apply the session's splits to positions."""
        for symbol, shares in held(self._connection, self._terms.account).items():
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
                note(self._connection, order.client_order_id, sequence, state)
                sequence += 1
            if traded != order.shares or not traded:
                note(self._connection, order.client_order_id, sequence, OrderState.EXPIRED, reason)

    def _ratio(self, symbol: str) -> Fraction:
        quote = self._quotes.get(symbol)
        return Fraction(quote.split_numerator, quote.split_denominator) if quote else Fraction(1)

    def _known_since(self) -> datetime:
        first: datetime = min(row.created_at for row in self._quotes.values())
        return first

    def _waiting(self) -> list[_Waiting]:
        last = last_events()
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
                note(self._connection, row.client_order_id, 1, OrderState.EXPIRED, reason)
                continue
            if row.created_at >= self._known_since():
                reason = f"it came when the bars of {self._session} were known"
                note(self._connection, row.client_order_id, 1, OrderState.EXPIRED, reason)
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
        """Return how many shares are traded, signed, why not all of them, and at which price."""
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
        position = held(self._connection, self._terms.account).get(order.symbol, 0)
        if order.limit is not None or order.shares != -position:
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
                "execution_id": f"{order.client_order_id}.1",  # an order lives for one open
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

"""The bookings of an account: the one place where its cash and its shares change."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from tradewind.bookings import cents
from tradewind.trading.book.schema import bookings

__all__ = ["Ledger", "cash_of", "positions_of"]


@dataclass
class Ledger:
    """Books what happens to an account in a session, and holds its cash and shares.

    Attributes
    ----------
    connection : Connection
        All is booked in its transaction.
    account : str
    session : date
    cash : Decimal
    shares : dict of str to int
        By symbol; some may be zero.
    """

    connection: sa.Connection
    account: str
    session: date
    cash: Decimal
    shares: dict[str, int]

    @classmethod
    def open(cls, connection: sa.Connection, account: str, session: date) -> "Ledger":
        """Begin with the cash and the shares that were booked before."""
        return cls(
            connection,
            account,
            session,
            cash_of(connection, account),
            positions_of(connection, account),
        )

    def owned(self) -> list[tuple[str, int]]:
        """Return the positions, by symbol."""
        return sorted((symbol, count) for symbol, count in self.shares.items() if count)

    def book(
        self,
        symbol: str,
        kind: str,
        *,
        price: Decimal,
        amount: Decimal,
        shares: int = 0,
        reference: str = "",
    ) -> None:
        """Book a change of cash and shares, rounded to cents, if there is one."""
        rounded = cents(amount)
        if not shares and not rounded:
            return
        self.connection.execute(
            sa.insert(bookings),
            {
                "account": self.account,
                "session": self.session,
                "symbol": symbol,
                "kind": kind,
                "shares": shares,
                "price": price,
                "amount": rounded,
                "reference": reference,
            },
        )
        self.cash += rounded
        self.shares[symbol] = self.shares.get(symbol, 0) + shares


def cash_of(connection: sa.Connection, account: str, until: date | None = None) -> Decimal:
    """Return an account's cash: the sum of all amounts, up to a session if one is given."""
    query = sa.select(sa.func.sum(bookings.c.amount)).where(bookings.c.account == account)
    if until is not None:
        query = query.where(bookings.c.session <= until)
    found: Decimal | None = connection.execute(query).scalar()
    return Decimal("0.00") if found is None else found


def positions_of(
    connection: sa.Connection, account: str, until: date | None = None
) -> dict[str, int]:
    """Return the shares an account holds by symbol: the sums of its bookings, zeros left out."""
    total = sa.func.sum(bookings.c.shares)
    query = sa.select(bookings.c.symbol, total).where(bookings.c.account == account)
    if until is not None:
        query = query.where(bookings.c.session <= until)
    query = query.group_by(bookings.c.symbol).having(total != 0).order_by(bookings.c.symbol)
    return {symbol: int(count) for symbol, count in connection.execute(query)}

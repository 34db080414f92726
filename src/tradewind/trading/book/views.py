"""Reading the book: orders, positions, fills, profit. Nothing here writes."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from tradewind.bookings import cents
from tradewind.errors import TradingError
from tradewind.trading.book.accounts import last_settled
from tradewind.trading.book.database import database_errors
from tradewind.trading.book.ledger import positions_of
from tradewind.trading.book.order_log import logged_orders
from tradewind.trading.book.quotes import closes_at
from tradewind.trading.book.schema import accounts, bookings, equity, quotes
from tradewind.trading.book.schema import fills as _fills
from tradewind.trading.book.schema import orders as _orders
from tradewind.trading.orders import is_final

__all__ = [
    "Day",
    "Fill",
    "Order",
    "Position",
    "account_names",
    "fills",
    "last_quoted",
    "orders",
    "pnl",
    "positions",
    "symbols_in_play",
]


@dataclass(frozen=True)
class Order:
    """An order, and what became of it.

    Attributes
    ----------
    account, client_order_id, symbol : str
    signal_session, session : date
        After which it was decided, and at whose open it was to be filled.
    model_version : int
    shares, filled : int
        Signed.
    state : str
    reasons : tuple of str
        Why it was refused or rejected, or has expired.
    """

    account: str
    client_order_id: str
    symbol: str
    signal_session: date
    session: date
    model_version: int
    shares: int
    filled: int
    state: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Position:
    """Shares that are held, valued at the last close.

    Attributes
    ----------
    account, symbol : str
    session : date
        Up to which the account is settled.
    shares : int
    price, value : Decimal
    weight : Decimal
        Of equity, four places.
    """

    account: str
    symbol: str
    session: date
    shares: int
    price: Decimal
    value: Decimal
    weight: Decimal


@dataclass(frozen=True)
class Fill:
    """A trade.

    Attributes
    ----------
    account, execution_id, client_order_id, symbol : str
    session : date
    shares : int
    price, commission, slippage : Decimal
    """

    account: str
    execution_id: str
    client_order_id: str
    symbol: str
    session: date
    shares: int
    price: Decimal
    commission: Decimal
    slippage: Decimal


@dataclass(frozen=True)
class Day:
    """The result of a session for an account.

    Attributes
    ----------
    account : str
    session : date
    cash, positions, equity : Decimal
        At its close.
    profit : Decimal
        Change of equity since the close before; zero on the first.
    costs : Decimal
        Commission, slippage and borrowing, which are part of the profit: negative.
    """

    account: str
    session: date
    cash: Decimal
    positions: Decimal
    equity: Decimal
    profit: Decimal
    costs: Decimal


def account_names(engine: sa.Engine) -> list[str]:
    """Return the accounts that were opened, by name."""
    with database_errors("reading the accounts"), engine.connect() as connection:
        query = sa.select(accounts.c.account).distinct().order_by(accounts.c.account)
        return list(connection.execute(query).scalars())


def last_quoted(engine: sa.Engine, account: str) -> date | None:
    """Return the last session that an account has quotes of; None if it has none."""
    with database_errors(f"reading the quotes of {account}"), engine.connect() as connection:
        last = sa.select(sa.func.max(quotes.c.session)).where(quotes.c.account == account)
        found: date | None = connection.execute(last).scalar()
        return found


def symbols_in_play(engine: sa.Engine, account: str) -> set[str]:
    """Return the symbols that an account holds, or has open orders of."""
    with database_errors(f"reading {account}"), engine.connect() as connection:
        working = {
            order.ticket.symbol
            for order in logged_orders(connection, account)
            if not is_final(order.state)
        }
        return working | positions_of(connection, account).keys()


def orders(engine: sa.Engine, account: str, since: date | None = None) -> list[Order]:
    """Return an account's orders for sessions from one on, by session and symbol.

    Raises
    ------
    TradingError
        If the account is not open, or the database refuses or is out of reach.
    """
    with database_errors(f"reading the orders of {account}"), engine.connect() as connection:
        _settled(connection, account)
        later = [] if since is None else [_orders.c.session >= since]
        total = sa.func.sum(_fills.c.shares)
        done = sa.select(_fills.c.client_order_id, total).where(_fills.c.account == account)
        filled = {
            name: int(count)
            for name, count in connection.execute(done.group_by(_fills.c.client_order_id))
        }
        return [
            Order(
                account,
                order.ticket.client_order_id,
                order.ticket.symbol,
                order.signal_session,
                order.ticket.session,
                order.model_version,
                order.ticket.shares,
                filled.get(order.ticket.client_order_id, 0),
                order.state.value,
                order.reasons,
            )
            for order in logged_orders(connection, account, *later)
        ]


def positions(engine: sa.Engine, account: str) -> list[Position]:
    """Return what an account holds at the last settled close, by symbol.

    Raises
    ------
    TradingError
        If the account is not open, or the database refuses or is out of reach.
    """
    with database_errors(f"reading the positions of {account}"), engine.connect() as connection:
        settled = _settled(connection, account)
        closes = closes_at(connection, account, settled)
        worth: Decimal = connection.execute(
            sa.select(equity.c.equity).where(
                equity.c.account == account, equity.c.session == settled
            )
        ).scalar_one()
        found = []
        for symbol, shares in positions_of(connection, account).items():
            value = cents(shares * closes[symbol])
            weight = (value / worth).quantize(Decimal("0.0001")) if worth else Decimal(0)
            found.append(Position(account, symbol, settled, shares, closes[symbol], value, weight))
        return found


def fills(engine: sa.Engine, account: str, since: date | None = None) -> list[Fill]:
    """Return an account's fills of sessions from one on, as they were booked.

    Raises
    ------
    TradingError
        If the account is not open, or the database refuses or is out of reach.
    """
    with database_errors(f"reading the fills of {account}"), engine.connect() as connection:
        _settled(connection, account)
        query = sa.select(*(_fills.c[name] for name in Fill.__dataclass_fields__)).where(
            _fills.c.account == account
        )
        if since is not None:
            query = query.where(_fills.c.session >= since)
        query = query.order_by(_fills.c.session, _fills.c.created_at)
        return [Fill(**row) for row in connection.execute(query).mappings()]


def pnl(engine: sa.Engine, account: str) -> list[Day]:
    """Return an account's sessions from its first on, each with its profit.

    Raises
    ------
    TradingError
        If the account is not open, or the database refuses or is out of reach.
    """
    with database_errors(f"reading the profit of {account}"), engine.connect() as connection:
        _settled(connection, account)
        paid = (
            sa.select(bookings.c.session, sa.func.sum(bookings.c.amount).label("paid"))
            .where(
                bookings.c.account == account,
                bookings.c.kind.in_(["commission", "slippage", "borrow"]),
            )
            .group_by(bookings.c.session)
        )
        costs: dict[date, Decimal] = {row.session: row.paid for row in connection.execute(paid)}
        query = sa.select(equity).where(equity.c.account == account).order_by(equity.c.session)
        found: list[Day] = []
        for row in connection.execute(query):
            before = found[-1].equity if found else row.equity
            found.append(
                Day(
                    account,
                    row.session,
                    row.cash,
                    row.positions,
                    row.equity,
                    row.equity - before,
                    costs.get(row.session, Decimal("0.00")),
                )
            )
        return found


def _settled(connection: sa.Connection, account: str) -> date:
    settled = last_settled(connection, account)
    if settled is None:
        raise TradingError(
            f"no account {account} was opened: the task `quote` of execute_{account} opens it, "
            "unless its file says `execution: off` or the bars are too old; its log says why"
        )
    return settled

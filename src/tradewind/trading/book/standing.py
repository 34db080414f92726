"""How all accounts stand, in three queries however many there are. Nothing here writes."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa

from tradewind.trading.book import schema
from tradewind.trading.book.database import database_errors
from tradewind.trading.book.halts import Halt, halts_now
from tradewind.trading.orders import OrderState

__all__ = ["Account", "Accounts", "RefusedOrder", "accounts"]

_REFUSED = (OrderState.REFUSED.value, OrderState.REJECTED.value)


@dataclass(frozen=True)
class RefusedOrder:
    """An order that did not leave, or that the broker sent back.

    Attributes
    ----------
    client_order_id, symbol : str
    session : date
        At whose open it was to be filled.
    shares : int
        Signed.
    state : str
        ``refused`` by a risk check, or ``rejected`` by the broker.
    reasons : tuple of str
    """

    client_order_id: str
    symbol: str
    session: date
    shares: int
    state: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """An account at its last settled close.

    Attributes
    ----------
    account : str
    execution : str
        Where its orders go: ``paper``, ``replay`` or ``live``; ``off`` for nowhere.
    session : date or None
        Which it is settled up to; None, as are the amounts, where it has none.
    equity, cash, positions : Decimal or None
    profit : Decimal or None
        Change of equity since the close before; zero on the first.
    halt : Halt or None
        The one of this account; that of all accounts is beside it.
    next_open : datetime or None
        When the exchange opens for the newest session that it knows of.
    refused : tuple of RefusedOrder
        Of the newest session that it has orders for.
    """

    account: str
    execution: str
    session: date | None
    equity: Decimal | None
    cash: Decimal | None
    positions: Decimal | None
    profit: Decimal | None
    halt: Halt | None
    next_open: datetime | None
    refused: tuple[RefusedOrder, ...]


@dataclass(frozen=True)
class Accounts:
    """All accounts by name, and the halt of all of them, where there is one."""

    halt: Halt | None
    accounts: tuple[Account, ...]


def accounts(engine: sa.Engine) -> Accounts:
    """Return how all accounts stand.

    Raises
    ------
    TradingError
        If the database refuses or is out of reach.
    """
    with database_errors("reading the accounts"), engine.connect() as connection:
        # One moment for all queries: else an account could be shown with orders of a later one.
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        halts = halts_now(connection)
        refused = _refused(connection)
        found = [
            Account(
                row.account, row.execution, row.session, row.equity, row.cash, row.positions,
                _profit(row.equity, row.before),
                halts.get(row.account), row.opens_at, tuple(refused.get(row.account, ())),
            )
            for row in connection.execute(_standing())
        ]  # fmt: skip
        return Accounts(halts.get(None), tuple(found))


def _profit(equity: Decimal | None, before: Decimal | None) -> Decimal | None:
    if equity is None:
        return None
    return equity - (equity if before is None else before)


def _newest_terms() -> sa.Subquery:
    terms = schema.accounts
    last = sa.select(terms.c.account, sa.func.max(terms.c.sequence)).group_by(terms.c.account)
    newest = sa.tuple_(terms.c.account, terms.c.sequence).in_(last.correlate(None))
    return sa.select(terms.c.account, terms.c.execution).where(newest).subquery("terms")


def _standing() -> sa.Select[tuple[object, ...]]:
    """Each account with its last two closes: by the index, for a book may have years of them."""
    terms, equity, openings = _newest_terms(), schema.equity, schema.openings
    closes = sa.select(equity).where(equity.c.account == terms.c.account)
    closes = closes.order_by(equity.c.session.desc())
    last = closes.limit(1).lateral("last")
    before = closes.offset(1).limit(1).lateral("before")
    opening = (
        sa.select(openings.c.opens_at)
        .where(openings.c.account == terms.c.account)
        .order_by(openings.c.session.desc())
        .limit(1)
        .lateral("opening")
    )
    return (
        sa.select(
            terms.c.account, terms.c.execution, last.c.session, last.c.equity, last.c.cash,
            last.c.positions, before.c.equity.label("before"), opening.c.opens_at,
        )
        .select_from(
            terms.outerjoin(last, sa.true())
            .outerjoin(before, sa.true())
            .outerjoin(opening, sa.true())
        )
        .order_by(terms.c.account)
    )  # fmt: skip


def _refused(connection: sa.Connection) -> dict[str, list[RefusedOrder]]:
    orders, events = schema.orders, schema.order_events
    terms = _newest_terms()
    newest = (
        sa.select(sa.func.max(orders.c.session).label("session"))
        .where(orders.c.account == terms.c.account)
        .correlate(terms)
        .lateral("newest")
    )
    query = (
        sa.select(orders, events.c.state, events.c.reasons)
        .select_from(terms)
        .join(newest, sa.true())
        .join(
            orders,
            sa.and_(orders.c.account == terms.c.account, orders.c.session == newest.c.session),
        )
        # Final states: an order that has one goes into no other.
        .join(events, events.c.client_order_id == orders.c.client_order_id)
        .where(events.c.state.in_(_REFUSED))
        .order_by(orders.c.account, orders.c.symbol)
    )
    found: dict[str, list[RefusedOrder]] = {}
    for row in connection.execute(query):
        found.setdefault(row.account, []).append(
            RefusedOrder(
                row.client_order_id, row.symbol, row.session, row.shares, row.state,
                tuple(row.reasons),
            )
        )  # fmt: skip
    return found

"""Reconciliation: whether the book and the broker tell the same story, and the book its own."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from tradewind.errors import ReconciliationError
from tradewind.trading.book.accounts import last_settled, read_account
from tradewind.trading.book.database import account_lock, database_errors
from tradewind.trading.book.ledger import cash_of, positions_of
from tradewind.trading.book.order_log import LoggedOrder, logged_orders
from tradewind.trading.book.schema import bookings, equity, fills, orders
from tradewind.trading.broker import Broker, SimulatedBroker, refuse_broker
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderState
from tradewind.trading.position_words import booked_splits, position_differences

__all__ = ["Reconciled", "reconcile"]


@dataclass(frozen=True)
class Reconciled:
    """What was compared, and found equal.

    Attributes
    ----------
    settled : date
        Up to which the account is settled.
    since : date or None
        From which session on orders and fills were compared; None for all. Positions are always
        compared whole.
    orders, fills, positions : int
        How many.
    """

    settled: date
    since: date | None
    orders: int
    fills: int
    positions: int


async def reconcile(engine: sa.Engine, broker: Broker, account: str) -> Reconciled:
    """Compare an account's orders, fills and positions with the broker's.

    Orders and fills of a real broker are compared from the last settled session on: it does not
    keep them long. Those of a simulated one are compared from the first.

    Parameters
    ----------
    engine : Engine
    broker : Broker
    account : str

    Returns
    -------
    Reconciled

    Raises
    ------
    ReconciliationError
        If anything differs; the message names every difference.
    TradingError
        If the broker is not one that the account's orders may go to, or broker or database refuse
        or are out of reach.
    """
    with database_errors(f"reconciling {account}"), account_lock(engine, account):
        with engine.connect() as connection:
            refuse_broker(read_account(connection, account), broker)
            settled = last_settled(connection, account)
            since = None if isinstance(broker, SimulatedBroker) else settled
            ours = _Ours.read(connection, account, since)
            broken = list(_own_differences(connection, account, settled))
            splits = booked_splits(connection, account)
        theirs = await broker.orders(account, since=since)
        filled = await broker.fills(account, since=since)
        positions = {s: n for s, n in (await broker.positions(account)).items() if n}
    broken += _order_differences(ours.orders, theirs)
    broken += _fill_differences(ours.fills, filled)
    broken += position_differences(ours.positions, positions, splits)
    if broken or settled is None:
        raise ReconciliationError(
            f"the book of {account} and its broker differ in {len(broken)} "
            f"{'thing' if len(broken) == 1 else 'things'}: {'; '.join(broken)}. Halt it with "
            f"`tradewind trading halt {account}`, and find out which of the two is right"
        )
    return Reconciled(settled, since, len(theirs), len(filled), len(positions))


@dataclass(frozen=True)
class _Ours:
    orders: list[LoggedOrder]
    fills: list[BrokerFill]
    positions: dict[str, int]

    @classmethod
    def read(cls, connection: sa.Connection, account: str, since: date | None) -> "_Ours":
        later = [] if since is None else [orders.c.session >= since]
        query = sa.select(*(fills.c[name] for name in BrokerFill.__dataclass_fields__)).where(
            fills.c.account == account
        )
        if since is not None:
            query = query.where(fills.c.session >= since)
        return cls(
            logged_orders(connection, account, *later),
            [BrokerFill(**row) for row in connection.execute(query).mappings()],
            positions_of(connection, account),
        )


def _own_differences(
    connection: sa.Connection, account: str, settled: date | None
) -> Iterator[str]:
    """Hold the book against itself: bookings against equity and against fills."""
    row = connection.execute(
        sa.select(equity.c.cash).where(equity.c.account == account, equity.c.session == settled)
    ).scalar()
    cash = cash_of(connection, account)
    if row != cash:
        yield f"bookings add up to {cash} in cash, and {row} was written down after {settled}"
    booked = (
        sa.select(
            bookings.c.reference,
            sa.func.sum(bookings.c.shares).label("shares"),
            sa.func.sum(bookings.c.amount).label("amount"),
        )
        .where(bookings.c.account == account, bookings.c.reference != "")
        .group_by(bookings.c.reference)
        .subquery()
    )
    mine = sa.select(fills).where(fills.c.account == account).subquery()
    paid = sa.func.round(-mine.c.shares * mine.c.price - mine.c.commission - mine.c.slippage, 8)
    both = sa.select(
        mine.c.execution_id, booked.c.reference, mine.c.symbol, booked.c.shares, mine.c.shares,
        booked.c.amount, paid,
    ).select_from(
        mine.join(booked, mine.c.execution_id == booked.c.reference, full=True)
    ).where(
        sa.or_(
            mine.c.execution_id.is_(None),
            booked.c.reference.is_(None),
            booked.c.shares != mine.c.shares,
            sa.func.abs(booked.c.amount - paid) > sa.literal("0.005").cast(sa.Numeric),
        )
    )  # fmt: skip
    for execution, reference, symbol, has, wants, amount, cost in connection.execute(both):
        if reference is None:
            yield f"fill {execution} of {symbol} was never booked"
        elif execution is None:
            yield f"bookings of {has} shares name a fill {reference} that there is not"
        else:
            yield (
                f"fill {execution} of {symbol} is {wants} shares for {cost}, and booked as {has} "
                f"for {amount}"
            )


def _order_differences(ours: Sequence[LoggedOrder], theirs: Sequence[BrokerOrder]) -> Iterator[str]:
    there = {order.client_order_id: order for order in theirs}
    yield from _repeated("order", [order.client_order_id for order in theirs])
    for order in ours:
        ticket = order.ticket
        name = f"order {ticket.client_order_id} of {ticket.symbol} for {ticket.session}"
        other = there.pop(ticket.client_order_id, None)
        if other is None:
            # A broker need not remember what it never took.
            reached = OrderState.ACCEPTED in order.states
            if reached or order.state is OrderState.SUBMITTED:
                yield f"{name} is {order.state} here and unknown to the broker"
            continue
        if other.status is not order.state:
            yield f"{name} is {order.state} here and {other.status} at the broker"
        if other.symbol != ticket.symbol or other.shares != ticket.shares:
            yield (
                f"{name} is for {ticket.shares} shares, and at the broker for {other.shares} of "
                f"{other.symbol}"
            )
    for other in there.values():
        yield (
            f"order {other.client_order_id} of {other.symbol} for {other.session} is "
            f"{other.status} at the broker and unknown here"
        )


def _fill_differences(ours: Sequence[BrokerFill], theirs: Sequence[BrokerFill]) -> Iterator[str]:
    yield from _repeated("fill", [fill.execution_id for fill in theirs])
    there = {fill.execution_id: fill for fill in theirs}
    for fill in ours:
        other = there.pop(fill.execution_id, None)
        name = f"fill {fill.execution_id} of {fill.shares} {fill.symbol} on {fill.session}"
        if other is None:
            yield f"{name} is unknown to the broker"
            continue
        for field in BrokerFill.__dataclass_fields__:
            mine, its = getattr(fill, field), getattr(other, field)
            if mine != its:
                yield f"{name} has {field} {mine} here and {its} at the broker"
    for other in there.values():
        yield (
            f"fill {other.execution_id} of {other.shares} {other.symbol} on {other.session} is "
            f"unknown here (order {other.client_order_id})"
        )


def _repeated(what: str, ids: Iterable[str]) -> Iterator[str]:
    seen = set()
    for name in ids:
        if name in seen:
            yield f"{what} {name} is at the broker more than once"
        seen.add(name)

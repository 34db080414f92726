"""Orders in the database: one row when an order is made, one for each state it reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tradewind.trading.book.schema import order_events, orders
from tradewind.trading.orders import (
    OrderKind,
    OrderState,
    OrderTicket,
    check_history,
    check_transition,
)

__all__ = ["LoggedOrder", "add_order", "add_state", "logged_orders"]


@dataclass(frozen=True)
class LoggedOrder:
    """An order, and what became of it.

    Attributes
    ----------
    ticket : OrderTicket
    signal_session : date
    model_version : int
    states : tuple of OrderState
        All states it has been in; the last is the current one.
    reasons : tuple of str
        Of the last state.
    """

    ticket: OrderTicket
    signal_session: date
    model_version: int
    states: tuple[OrderState, ...]
    reasons: tuple[str, ...]

    @property
    def state(self) -> OrderState:
        """The current state."""
        return self.states[-1]


def logged_orders(
    connection: sa.Connection, account: str, *conditions: sa.ColumnElement[bool]
) -> list[LoggedOrder]:
    """Return an account's orders, by session and symbol, with their histories checked.

    Raises
    ------
    OrderStateError
        If a history is illegal.
    """
    query = (
        sa.select(orders, order_events.c.state, order_events.c.reasons)
        .outerjoin(order_events, orders.c.client_order_id == order_events.c.client_order_id)
        .where(orders.c.account == account, *conditions)
        .order_by(orders.c.session, orders.c.symbol, orders.c.client_order_id)
        .order_by(order_events.c.sequence)
    )
    histories: dict[str, list[sa.RowMapping]] = {}
    for row in connection.execute(query).mappings():
        histories.setdefault(row["client_order_id"], []).append(row)
    return [_logged(rows) for rows in histories.values()]


def add_order(
    connection: sa.Connection, ticket: OrderTicket, signal_session: date, model_version: int
) -> None:
    """Store an order, unless it is stored."""
    made = connection.execute(
        insert(orders).on_conflict_do_nothing().returning(orders.c.client_order_id),
        {
            "client_order_id": ticket.client_order_id,
            "account": ticket.account,
            "signal_session": signal_session,
            "symbol": ticket.symbol,
            "model_version": model_version,
            "session": ticket.session,
            "shares": ticket.shares,
            "kind": ticket.kind.value,
            "limit_price": ticket.limit_price,
        },
    ).all()
    if made:
        _add_event(connection, ticket.client_order_id, (), OrderState.NEW, ())


def add_state(
    connection: sa.Connection,
    order: LoggedOrder,
    state: OrderState,
    reasons: Sequence[str] = (),
) -> LoggedOrder:
    """Store an order's new state, and return the order with it.

    Raises
    ------
    OrderStateError
        If the order cannot go into that state.
    """
    check_transition(f"{order.ticket.client_order_id} of {order.ticket.symbol}", order.state, state)
    _add_event(connection, order.ticket.client_order_id, order.states, state, reasons)
    return LoggedOrder(
        order.ticket,
        order.signal_session,
        order.model_version,
        (*order.states, state),
        tuple(reasons),
    )


def _add_event(
    connection: sa.Connection,
    order: str,
    before: Sequence[OrderState],
    state: OrderState,
    reasons: Sequence[str],
) -> None:
    connection.execute(
        sa.insert(order_events),
        {
            "client_order_id": order,
            "sequence": len(before),
            "state": state.value,
            "previous_sequence": len(before) - 1 if before else None,
            "previous_state": before[-1].value if before else None,
            "reasons": list(reasons),
        },
    )


def _logged(rows: Sequence[sa.RowMapping]) -> LoggedOrder:
    first = rows[0]
    states = tuple(OrderState(row["state"]) for row in rows if row["state"])
    check_history(f"{first['client_order_id']} of {first['symbol']}", states)
    ticket = OrderTicket(
        client_order_id=first["client_order_id"],
        account=first["account"],
        symbol=first["symbol"],
        shares=first["shares"],
        kind=OrderKind(first["kind"]),
        limit_price=first["limit_price"],
        session=first["session"],
    )
    return LoggedOrder(
        ticket,
        first["signal_session"],
        first["model_version"],
        states,
        tuple(rows[-1]["reasons"]),
    )

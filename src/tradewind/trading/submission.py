"""Sending orders: signals -> intents -> risk -> orders -> broker, each step committed by itself.

It may be killed at any line and done again. Intents are written all at once; an order's id follows
from its intent; that an order is about to be sent is written before it is sent, so that an order
whose fate is unknown is sent again under the same id, by which the broker knows it. If it may not
leave any more by then, the broker is only asked whether it has it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa

from tradewind.errors import OrderRejectedError
from tradewind.trading.book.accounts import read_account
from tradewind.trading.book.database import account_lock, database_errors
from tradewind.trading.book.halts import refuse_if_halted
from tradewind.trading.book.order_log import LoggedOrder, add_order, add_state, logged_orders
from tradewind.trading.book.present import Present, read_present
from tradewind.trading.book.quotes import recent_quotes
from tradewind.trading.book.schema import equity, orders
from tradewind.trading.broker import Broker, refuse_broker
from tradewind.trading.intents import Intent, intents_of
from tradewind.trading.orders import OrderState, is_final
from tradewind.trading.risk import assess

__all__ = ["Submitted", "submit"]

_UNSENT = {OrderState.NEW, OrderState.SUBMITTED}


@dataclass(frozen=True)
class Submitted:
    """What became of a session's intents.

    Attributes
    ----------
    session, trade_session : date
    model_version : int
    intents : int
    states : dict of str to int
        Orders by their state; an intent that wants nothing has none.
    """

    session: date
    trade_session: date
    model_version: int
    intents: int
    states: dict[str, int]


async def submit(
    engine: sa.Engine,
    broker: Broker,
    account: str,
    session: date,
    model_version: int | None = None,
    *,
    now: datetime,
) -> Submitted:
    """Send the orders that an account's signals of a session ask for, those that were not sent.

    Parameters
    ----------
    engine : Engine
    broker : Broker
    account : str
    session : date
        The one the signals were made after; the account must be settled up to it.
    model_version : int or None
        Whose signals are traded; None for those that were stored last. Orders that another version
        has sent for the same session stand.
    now : datetime
        With a time zone: an order for an open that is over by then is refused, but on a replay.

    Returns
    -------
    Submitted
        The same, however often it is done.

    Raises
    ------
    TradingHaltedError
        If the kill switch is on before an order leaves; those after it stay unsent.
    TradingError
        If signals, quotes or the settlement are missing, the broker is not one that the account's
        orders may go to, or broker or database refuse.
    """
    doing = f"sending the orders of {account}"
    with database_errors(doing), account_lock(engine, account) as lock:
        with engine.begin() as connection:
            refuse_broker(read_account(connection, account), broker)
            present = read_present(connection, account, now)
            intents = intents_of(connection, account, session, model_version, present)
        with engine.connect() as connection:
            refused = _refusals(connection, account, present, intents)
        for intent in intents:
            if not intent.shares:
                continue
            lock.check()
            await _send(engine, broker, intent, refused.get(intent.symbol, ()))
        with engine.connect() as connection:
            found = logged_orders(connection, account, orders.c.signal_session == session)
    states = Counter(order.state.value for order in found)
    first = intents[0]
    return Submitted(
        session,
        first.trade_session,
        first.model_version,
        len(intents),
        dict(sorted(states.items())),
    )


def _refusals(
    connection: sa.Connection, account: str, present: Present, intents: Sequence[Intent]
) -> Mapping[str, Sequence[str]]:
    """Return which of a session's orders may not leave, and why."""
    terms = read_account(connection, account)
    if terms.execution == "off":
        return _all(intents, f"execution is off in the file of {account}: no order leaves")
    first = intents[0]
    if other := _waiting_already(connection, account, first):
        return _all(
            intents,
            f"twice: orders of the signals of {other} wait for the open of {first.trade_session}, "
            "and these were sized as if there were none",
        )
    worth: Decimal = connection.execute(
        sa.select(equity.c.equity).where(
            equity.c.account == account, equity.c.session == present.settled
        )
    ).scalar_one()
    history = recent_quotes(connection, account, present.settled or first.session)
    return assess(intents, history, worth, terms, present)


def _all(intents: Sequence[Intent], reason: str) -> dict[str, tuple[str]]:
    return {intent.symbol: (reason,) for intent in intents}


def _waiting_already(connection: sa.Connection, account: str, intent: Intent) -> date | None:
    """Return whose orders wait for the same open: the session of other signals, if any."""
    waiting = logged_orders(
        connection,
        account,
        orders.c.session == intent.trade_session,
        orders.c.signal_session != intent.session,
    )
    for order in waiting:
        if not is_final(order.state) and order.state is not OrderState.NEW:
            return order.signal_session
    return None


async def _send(engine: sa.Engine, broker: Broker, intent: Intent, reasons: Sequence[str]) -> None:
    """Take one intent as far as the broker's answer."""
    ticket = intent.ticket
    with engine.begin() as connection:
        add_order(connection, ticket, intent.session, intent.model_version)
    with engine.begin() as connection:
        [order] = logged_orders(
            connection, intent.account, orders.c.client_order_id == ticket.client_order_id
        )
        if order.state not in _UNSENT:
            return
        if order.state is OrderState.NEW and reasons:
            add_state(connection, order, OrderState.REFUSED, reasons)
            return
        if not reasons:
            refuse_if_halted(connection, intent.account)
        if order.state is OrderState.NEW:
            order = add_state(connection, order, OrderState.SUBMITTED)
    if reasons:
        await _ask_after(engine, broker, order, reasons)
        return
    try:
        await broker.submit(ticket)
    except OrderRejectedError as rejection:
        _note(engine, order, OrderState.REJECTED, [str(rejection)])
    else:
        _note(engine, order, OrderState.ACCEPTED)


async def _ask_after(
    engine: sa.Engine, broker: Broker, order: LoggedOrder, reasons: Sequence[str]
) -> None:
    """Write down what became of an order that was sent, or nearly, and may not leave by now."""
    ticket = order.ticket
    mine = [
        each
        for each in await broker.orders(ticket.account, since=ticket.session)
        if each.client_order_id == ticket.client_order_id
    ]
    filled = any(
        fill.client_order_id == ticket.client_order_id
        for fill in await broker.fills(ticket.account, since=ticket.session)
    )
    if not mine and not filled:
        told = ["it never reached the broker, and may not leave any more", *reasons]
        _note(engine, order, OrderState.EXPIRED, told)
    elif mine and mine[0].status is OrderState.REJECTED:
        _note(engine, order, OrderState.REJECTED, [mine[0].reason])
    else:
        _note(engine, order, OrderState.ACCEPTED)


def _note(
    engine: sa.Engine, order: LoggedOrder, state: OrderState, reasons: Sequence[str] = ()
) -> None:
    with engine.begin() as connection:
        add_state(connection, order, state, reasons)

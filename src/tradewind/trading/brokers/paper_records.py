"""The paper broker's records: functions that more than one of its modules uses."""

import hashlib

import sqlalchemy as sa

from tradewind.trading.book.schema import paper_adjustments, paper_executions, paper_order_events
from tradewind.trading.orders import OrderState

__all__ = ["held", "last_events", "lock", "note"]


def lock(connection: sa.Connection, account: str) -> None:
    """Wait for the lock on an account's records, and hold it until the transaction ends."""
    digest = hashlib.blake2b(f"paper {account}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "little", signed=True)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def last_events() -> sa.Subquery:
    """Return the last event of each order."""
    events, later = paper_order_events, paper_order_events.alias()
    last = sa.select(sa.func.max(later.c.sequence)).where(
        later.c.client_order_id == events.c.client_order_id
    )
    return sa.select(events).where(events.c.sequence == last.scalar_subquery()).subquery()


def held(connection: sa.Connection, account: str) -> dict[str, int]:
    """Return the shares an account holds by symbol, none where there are none."""
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


def note(
    connection: sa.Connection, order_id: str, sequence: int, state: OrderState, reason: str = ""
) -> None:
    """Store an event of an order; its first event has the sequence 0."""
    connection.execute(
        sa.insert(paper_order_events),
        {
            "client_order_id": order_id,
            "sequence": sequence,
            "status": str(state),
            "reason": reason,
        },
    )

"""Events of the trading application on a Redis stream, delivered at least once.

An event is written in the transaction of the change that it reports, so no event reports what did
not happen. After the commit it is put on the stream, and then marked as published. If the publisher
dies between the two, the event is published once more: readers tell it by its ``id``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from tradewind.errors import TradingError
from tradewind.postgres import Locks
from tradewind.strict_json import dumps
from tradewind.trading.book.database import database_errors
from tradewind.trading.book.schema import events, publications

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["CHANNEL", "STREAM", "publish", "record"]

STREAM: Final = "trading:events"
"""The Redis stream; the prefix is the one its Redis user is held to."""

CHANNEL: Final = "trading_events"
"""PostgreSQL's channel on which a new event is announced, for whoever publishes."""

# Redis refuses writes when it is full; no reader should be this far behind.
_KEPT: Final = 100_000
_BATCH: Final = 500


def record(
    connection: sa.Connection, kind: str, account: str | None, payload: Mapping[str, Any]
) -> None:
    """Store an event with its payload; it is published after the commit."""
    row = {"kind": kind, "account": account, "payload": dict(payload)}
    connection.execute(sa.insert(events), row)
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))  # sent with the commit


def publish(engine: sa.Engine, redis: "Redis", stream: str = STREAM) -> int:
    """Put every event that is not on the stream yet there, oldest first.

    An entry has the fields ``id``, ``kind``, ``account`` (empty for all accounts), ``at`` and
    ``payload``, which is JSON.

    Returns
    -------
    int
        How many were published.

    Raises
    ------
    TradingError
        If PostgreSQL or Redis refuse or are out of reach. Events that were not published are kept.
    """
    from redis.exceptions import RedisError

    published = 0
    try:
        with database_errors("publishing events"):
            if not _unpublished(engine, 1):
                return 0
            locks = Locks(engine)
            try:
                # One publisher at a time, or two would publish the same events.
                with locks.held("trading outbox"):
                    while batch := _unpublished(engine, _BATCH):
                        for event in batch:
                            entry = redis.xadd(
                                stream, _fields(event), maxlen=_KEPT, approximate=True
                            )
                            _mark(engine, event.id, entry)
                            published += 1
            finally:
                locks.close()
    except RedisError as error:
        raise TradingError(
            f"events cannot be put on the stream {stream}: {error}. They are kept, and published "
            "when Redis is back"
        ) from error
    return published


def _unpublished(engine: sa.Engine, limit: int) -> list[sa.Row[Any]]:
    query = (
        sa.select(events)
        .outerjoin(publications, events.c.id == publications.c.event_id)
        .where(publications.c.event_id.is_(None))
        .order_by(events.c.id)
        .limit(limit)
    )
    with engine.connect() as connection:
        return list(connection.execute(query))


def _fields(event: sa.Row[Any]) -> dict[Any, Any]:
    return {
        "id": str(event.id),
        "kind": event.kind,
        "account": event.account or "",
        "at": event.created_at.isoformat(),
        "payload": dumps(event.payload, sort_keys=True),
    }


def _mark(engine: sa.Engine, event: int, entry: object) -> None:
    name = entry.decode() if isinstance(entry, bytes) else str(entry)
    with engine.begin() as connection:
        connection.execute(sa.insert(publications), {"event_id": event, "entry_id": name})

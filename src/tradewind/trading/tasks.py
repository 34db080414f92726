"""The tasks of the trading workers: each opens the book and its broker, and asks the domain.

A `TradewindError` comes back to the sender as such, with its message. All may be sent twice, and
run twice at one moment: an account has one writer at a time.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from tradewind.errors import TradingError
from tradewind.trading.app import app
from tradewind.trading.book.database import open_database
from tradewind.trading.broker import BROKER, PAPER, Broker, address_of, open_broker
from tradewind.trading.migrate import DATABASE_URL
from tradewind.trading.publisher import connect_publisher
from tradewind.trading.reconciliation import reconcile
from tradewind.trading.settlement import settle
from tradewind.trading.submission import submit

__all__ = ["reconcile_account", "settle_session", "submit_session"]

T = TypeVar("T")

connect_publisher()


@app.task(name="trading.settle")  # type: ignore[untyped-decorator]
def settle_session(account: str, session: str) -> dict[str, Any]:
    """Settle an account up to a session, and say what it then has."""
    day = _session(session)
    done = _run(account, lambda engine, broker: settle(engine, broker, account, day))
    return {"account": account, "settled": [_plain(asdict(each)) for each in done]}


@app.task(name="trading.submit")  # type: ignore[untyped-decorator]
def submit_session(
    account: str, session: str, model_version: int | str | None = None
) -> dict[str, Any]:
    """Send the orders of a session's signals, and say how many there are in which state."""
    day = _session(session)
    version = None if model_version is None else int(model_version)
    now = datetime.now(UTC)
    done = _run(
        account, lambda engine, broker: submit(engine, broker, account, day, version, now=now)
    )
    return {"account": account, **_plain(asdict(done))}


@app.task(name="trading.reconcile")  # type: ignore[untyped-decorator]
def reconcile_account(account: str) -> dict[str, Any]:
    """Compare an account with its broker, and say how much was compared."""
    done = _run(account, lambda engine, broker: reconcile(engine, broker, account))
    return {"account": account, **_plain(asdict(done))}


def _run(account: str, ask: Callable[[sa.Engine, Broker], Awaitable[T]]) -> T:
    url = os.environ.get(DATABASE_URL)
    if not url:
        raise TradingError(f"{DATABASE_URL} is not set for this worker: it names the book")

    async def with_broker(engine: sa.Engine) -> T:
        broker = open_broker(address_of(engine, account, os.environ.get(BROKER) or PAPER), url)
        try:
            return await ask(engine, broker)
        finally:
            await broker.close()

    with open_database(url) as engine:
        return asyncio.run(with_broker(engine))


def _session(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TradingError(f"{text!r} is no session: write it as 2005-02-28") from None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return what JSON can hold: money and dates as text."""
    kept = (int, str, dict, type(None))
    return {name: v if isinstance(v, kept) else str(v) for name, v in values.items()}

"""The trading book as a user looks at it, and the switch that stops it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tradewind.errors import ReconciliationError, StrategyError, TradewindError
from tradewind.settings import Settings
from tradewind.stack.checks import Check, guarded

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tradewind.trading.book.standing import Accounts
    from tradewind.trading.book.views import Day, Fill, Order, Position
    from tradewind.trading.explanation import Explanation

__all__ = [
    "accounts",
    "check_broker",
    "explain",
    "fills",
    "halt",
    "old_bars",
    "orders",
    "pnl",
    "positions",
    "reconcile",
    "resume",
]

T = TypeVar("T")


def orders(
    settings: Settings, account: str | None = None, since: date | None = None
) -> "list[Order]":
    """Return orders, of one account or of all, for sessions from `since` on.

    Raises
    ------
    TradingError
        If there is no such account, or the database is out of reach.
    """
    from tradewind.trading.book import views

    return _of_each(settings, account, lambda engine, name: views.orders(engine, name, since))


def fills(
    settings: Settings, account: str | None = None, since: date | None = None
) -> "list[Fill]":
    """Return trades, of one account or of all, of sessions from `since` on; raises as `orders`."""
    from tradewind.trading.book import views

    return _of_each(settings, account, lambda engine, name: views.fills(engine, name, since))


def positions(settings: Settings, account: str | None = None) -> "list[Position]":
    """Return what is held, by one account or by all, at the last close; raises as `orders`."""
    from tradewind.trading.book import views

    return _of_each(settings, account, views.positions)


def pnl(settings: Settings, account: str | None = None) -> "list[Day]":
    """Return each session's profit, of one account or of all; raises as `orders`."""
    from tradewind.trading.book import views

    return _of_each(settings, account, views.pnl)


def accounts(settings: Settings) -> "Accounts":
    """Return each account as it stands: equity, halts, refused orders of its newest session.

    Raises
    ------
    TradingError
        If the database is out of reach.
    """
    from tradewind.trading.book import standing

    with _book(settings) as engine:
        return standing.accounts(engine)


def explain(settings: Settings, order: str) -> "Explanation":
    """Return how an order came to its size, by its `client_order_id`.

    Raises
    ------
    TradingError
        If there is no such order, or the database is out of reach.
    """
    from tradewind.trading import explanation

    with _book(settings) as engine:
        return explanation.explain(engine, order)


def old_bars(settings: Settings, account: str | None = None) -> list[str]:
    """Return in words which strategies would have to trade on old bars; none of a replay.

    Of each that has an account, or of one. What an account was told of is what is looked at.

    Raises
    ------
    TradingError
        If the database is out of reach.
    """
    from datetime import UTC, datetime

    from tradewind.desk.research import age_of
    from tradewind.research.strategy.files import find_strategy
    from tradewind.trading.book.views import account_names, last_quoted

    found = []
    with _book(settings) as engine:
        for name in account_names(engine) if account is None else [account]:
            try:
                strategy = find_strategy(name, settings.strategies_dir, imports=False)
            except StrategyError:  # whose file is gone or wrong, and so trades nothing
                continue
            quoted = last_quoted(engine, name)
            if quoted is None or strategy.execution in {"replay", "off"}:
                continue
            if old := age_of(settings, strategy, quoted, datetime.now(UTC)):
                most = strategy.risk.max_signal_age
                found.append(f"{name}: {old}; risk.max_signal_age allows {most}")
    return found


def halt(settings: Settings, account: str | None, *, reason: str, by: str) -> None:
    """Let no further order leave, of one account or of any; see `tradewind.trading.book.halts`."""
    from tradewind.trading.book import halts

    with _book(settings) as engine:
        halts.halt(engine, account, reason, by)


def resume(settings: Settings, account: str | None, *, reason: str, by: str) -> None:
    """Take a halt off; see `tradewind.trading.book.halts`."""
    from tradewind.trading.book import halts

    with _book(settings) as engine:
        halts.resume(engine, account, reason, by)


@dataclass(frozen=True)
class Reconciled:
    """How an account compares with its broker; `difference` is empty where they agree."""

    account: str
    compared: Mapping[str, Any]
    difference: str = ""


def reconcile(settings: Settings, account: str | None = None) -> list[Reconciled]:
    """Hold accounts against their broker's records, now and in this process.

    Raises
    ------
    TradingError
        If there is no such account, or database or broker are out of reach.
    """
    import asyncio

    from tradewind.trading.broker import address_of, open_broker
    from tradewind.trading.reconciliation import reconcile as compare

    async def ask(engine: "sa.Engine", name: str) -> dict[str, Any]:
        broker = open_broker(address_of(engine, name, settings.broker), _url(settings))
        try:
            return asdict(await compare(engine, broker, name))
        finally:
            await broker.close()

    def one(engine: "sa.Engine", name: str) -> list[Reconciled]:
        try:
            return [Reconciled(name, asyncio.run(ask(engine, name)))]
        except ReconciliationError as error:
            return [Reconciled(name, {}, str(error))]

    return _of_each(settings, account, one)


def check_broker(settings: Settings) -> list[Check]:
    """Ask the broker of live orders whether they could go there; none on paper.

    A broker that cannot be asked without an order is only opened, so that its address is checked.
    """
    import asyncio

    from tradewind.trading.broker import BROKER, PAPER, Examined, ExaminedBroker, open_broker

    if settings.broker == PAPER:
        return []

    async def ask() -> list[Examined]:
        broker = open_broker(settings.broker, _url(settings))
        try:
            return list(await broker.examine()) if isinstance(broker, ExaminedBroker) else []
        finally:
            await broker.close()

    mend = "as it says; docs/trading.md has each broker's setup"
    try:
        found = asyncio.run(ask())
    except TradewindError as error:
        return [Check("broker", str(error), f"{mend}; the setting is {BROKER}")]
    return [
        *(Check(f"broker: {one.what}", one.problem, mend, one.note) for one in found),
        *(guarded(f"dividends of {name}", partial(_dividends, settings, name))
          for name in _live(settings)),
    ]  # fmt: skip


def _live(settings: Settings) -> list[str]:
    """Return the strategies that have an account and trade live, by their files."""
    from tradewind.research.strategy.files import load_strategies
    from tradewind.trading.book.views import account_names

    files = load_strategies(settings.strategies_dir, imports=False)[0]
    if not any(strategy.execution == "live" for strategy in files.values()):
        return []
    with _book(settings) as engine:
        return [
            name for name in account_names(engine)
            if name in files and files[name].execution == "live"
        ]  # fmt: skip


def _dividends(settings: Settings, account: str) -> Check:
    """Name the dividends of an account that its broker has not paid: a note, and no fault."""
    import asyncio
    from datetime import UTC, datetime

    from tradewind.trading.book.unpaid import LOOK_BACK, Dividend, unpaid_dividends
    from tradewind.trading.broker import PayingBroker, open_broker

    today, what = datetime.now(UTC).date(), f"dividends of {account}"

    async def ask() -> list[Dividend] | None:
        broker = open_broker(settings.broker, _url(settings))
        try:
            if not isinstance(broker, PayingBroker):
                return None
            return list(await broker.dividends(account, today - LOOK_BACK))
        finally:
            await broker.close()

    paid = asyncio.run(ask())
    if paid is None:
        return Check(f"{what}: its broker does not say which it has paid")
    with _book(settings) as engine, engine.connect() as connection:
        unpaid = unpaid_dividends(connection, account, paid, today)
    if not unpaid:
        return Check(what)
    named = ", ".join(f"{one.symbol} of {one.day} ({one.amount})" for one in unpaid)
    return Check(
        what,
        note=f"booked here and not paid there: {named}. A paper account may skip them; a real one "
        "is to be asked",
    )


def _of_each(
    settings: Settings, account: str | None, ask: "Callable[[sa.Engine, str], list[T]]"
) -> list[T]:
    from tradewind.trading.book.views import account_names

    with _book(settings) as engine:
        names = account_names(engine) if account is None else [account]
        return [row for name in names for row in ask(engine, name)]


@contextmanager
def _book(settings: Settings) -> "Iterator[sa.Engine]":
    from tradewind.trading.book.database import open_database

    with open_database(_url(settings)) as engine:
        yield engine


def _url(settings: Settings) -> str:
    """Return the book's address: as a service has it set, or that of this machine's stack."""
    if settings.database_url is not None:
        return settings.database_url
    from tradewind.desk._connections import book_url

    return book_url(settings)

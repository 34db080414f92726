"""Where orders go: what every broker can do, and how one is found.

A broker is an object with the methods of `Broker`, made by a callable that is given an address and
the database of the book. A package offers one with::

    [project.entry-points."tradewind.brokers"]
    mine = "my_package:MyBroker"

so that ``TRADEWIND_BROKER=mine`` names it, and ``TRADEWIND_BROKER=mine://host:4001?option=value``
where it needs to be told more. All that the book relies on is written down at the methods, and
checked by ``tests/trading/broker_contract.py``, which any broker can be held to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from tradewind.errors import TradingError
from tradewind.specs.entry_points import offered
from tradewind.trading.book.accounts import Account, traded_by
from tradewind.trading.book.database import database_errors
from tradewind.trading.book.unpaid import Dividend
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderTicket

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["BROKER", "GROUP", "PAPER", "Broker", "Examined", "ExaminedBroker", "PayingBroker",
           "SimulatedBroker", "address_of", "open_broker", "refuse_broker"]  # fmt: skip

PAPER: Final = "paper"
"""The broker of every account whose file does not say ``execution: live``."""

BROKER: Final = "TRADEWIND_BROKER"
"""Which broker live orders go to; an account whose file does not say `live` is on paper."""

GROUP: Final = "tradewind.brokers"
"""The group of entry points that brokers are found in."""


@runtime_checkable
class Broker(Protocol):
    """A broker, asked about one account at a time.

    Each method may raise `TradingError` when the broker is out of reach or refuses to answer. That
    says nothing of what became of an order: the same call is made again.
    """

    async def submit(self, order: OrderTicket) -> None:
        """Send an order; an order of the same `client_order_id` that is there already is left.

        Returning says that the broker has it, and nothing of fills.

        Raises
        ------
        OrderRejectedError
            If the broker will not take it; the message is its reason. Sent again, it is rejected
            again. An order whose open is over, and that is not there already, is never taken: it
            would be filled at a price that was known before.
        TradingError
            If another order has this id.
        """
        ...

    async def cancel(self, client_order_id: str) -> None:
        """Ask that what is not filled yet be taken back; nothing happens where all is over.

        What became of it is for `orders` to say: a fill may have come first.

        Raises
        ------
        TradingError
            If the broker has no such order.
        """
        ...

    async def orders(self, account: str, since: date | None = None) -> Sequence[BrokerOrder]:
        """Return an account's orders for sessions from `since` on.

        An order that `submit` raised `OrderRejectedError` for may be missing.
        """
        ...

    async def fills(self, account: str, since: date | None = None) -> Sequence[BrokerFill]:
        """Return an account's trades of sessions from `since` on, each once."""
        ...

    async def positions(self, account: str) -> Mapping[str, int]:
        """Return the shares an account holds by symbol, none where there are none."""
        ...

    async def close(self) -> None:
        """Let go of connections; the object is not used after that."""
        ...


@runtime_checkable
class SimulatedBroker(Broker, Protocol):
    """A broker for which a session is traded when it is told to."""

    async def trade(self, account: str, session: date) -> None:
        """Trade an account's orders at a session's open; done again, it changes nothing.

        Sessions are traded in their order.

        Raises
        ------
        TradingError
            If there are no quotes of the session, or a later one was traded already.
        """
        ...


@dataclass(frozen=True)
class Examined:
    """What a broker says of one account, for `tradewind doctor`.

    Attributes
    ----------
    what : str
        Which account, and where.
    note : str
        What is yet to be known of it.
    problem : str
        Why no order can go there; empty if it can.
    """

    what: str
    note: str = ""
    problem: str = ""


@runtime_checkable
class ExaminedBroker(Broker, Protocol):
    """A broker that can say whether orders could go there, without sending one."""

    async def examine(self) -> Sequence[Examined]:
        """Look at each account: whether it is let in, may trade, and has the same time.

        What is found wrong is returned, and not raised.
        """
        ...


@runtime_checkable
class PayingBroker(Broker, Protocol):
    """A broker that can say which dividends it has paid."""

    async def dividends(self, account: str, since: date) -> Sequence[Dividend]:
        """Return the dividends that an account was paid from a day on, and those it has paid."""
        ...


def address_of(engine: "sa.Engine", account: str, address: str) -> str:
    """Return the address of the broker that an account's orders may go to.

    Parameters
    ----------
    engine : Engine
    account : str
    address : str
        What ``TRADEWIND_BROKER`` says: the broker of accounts whose file says ``live``.

    Raises
    ------
    TradingError
        If the account is not open, or is to trade live and no real broker is named, or the
        database refuses.
    """
    with database_errors(f"reading the account {account}"), engine.connect() as connection:
        execution = traded_by(connection, account)
    if execution != "live":
        return PAPER
    if address == PAPER:
        raise TradingError(
            f"the file of {account} says `execution: live`, and TRADEWIND_BROKER names no real "
            "broker: set it, such as ib://gateway:4002?..., or write `execution: paper`"
        )
    return address


def refuse_broker(terms: Account, broker: Broker) -> None:
    """Refuse a broker that an account's orders may not go to, and cannot have come from.

    Raises
    ------
    TradingError
        If it is a real one and the account trades on paper, or the other way round.
    """
    on_paper = isinstance(broker, SimulatedBroker)
    if terms.execution in {"off", "live" if not on_paper else "paper"}:
        return
    if on_paper and terms.execution == "replay":
        return
    what = "one on paper" if on_paper else "a real one"
    raise TradingError(
        f"the file of {terms.account} says `execution: {terms.execution}`, and this broker is "
        f"{what}: no order of it goes there, and none of its comes from there"
    )


def open_broker(address: str, database_url: str) -> Broker:
    """Open the broker that an address names.

    Parameters
    ----------
    address : str
        Name of an entry point of `GROUP`, alone or as the scheme of a URL: ``paper``,
        ``ib://gateway:4002?...``.
    database_url : str
        The database of the book, for SQLAlchemy; the paper broker keeps its records beside it.

    Raises
    ------
    TradingError
        If no such broker is installed, or it refuses its address.
    """
    name = address.partition("://")[0]
    factory = offered(
        name,
        group=GROUP,
        noun="broker",
        refuse=lambda problem: TradingError(f"TRADEWIND_BROKER: {problem}"),
    )
    broker = factory(address, database_url)
    if not isinstance(broker, Broker):
        raise TradingError(
            f"the broker {name!r} gave a {type(broker).__name__}, which lacks methods that "
            "tradewind.trading.broker.Broker has"
        )
    return broker

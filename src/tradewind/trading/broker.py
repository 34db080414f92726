"""Where orders go: what every broker can do, and how one is found.

A broker is an object with the methods of `Broker`, made by a callable that is given an address and
the database of the book. A package offers one with::

    [project.entry-points."tradewind.brokers"]
    mine = "my_package:MyBroker"

so that ``TRADEWIND_BROKER=mine`` names it, and ``TRADEWIND_BROKER=mine://host:4001?option=value``
where it needs to be told more. All that the book relies on is written down at the methods, and
checked by ``tests/trading/broker_contract.py``, which any broker can be held to.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Protocol, cast, runtime_checkable

from tradewind.errors import TradingError
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderTicket

__all__ = ["GROUP", "Broker", "SimulatedBroker", "open_broker"]

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
            again.
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
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        installed = sorted({entry.name for entry in entry_points(group=GROUP)})
        raise TradingError(
            f"no broker named {name!r} is installed; TRADEWIND_BROKER may be "
            f"{', '.join(installed) or 'nothing yet'} (entry points of the group {GROUP})"
        )
    values = sorted({entry.value for entry in found})
    if len(values) > 1:
        raise TradingError(
            f"the broker {name!r} is offered more than once, by {', '.join(values)}; uninstall one "
            "of the packages"
        )
    broker = _imported(found[0])(address, database_url)
    if not isinstance(broker, Broker):
        raise TradingError(
            f"the broker {name!r} gave a {type(broker).__name__}, which lacks methods that "
            "tradewind.trading.broker.Broker has"
        )
    return broker


def _imported(entry: EntryPoint) -> Callable[[str, str], object]:
    try:
        return cast("Callable[[str, str], object]", entry.load())
    except (ImportError, AttributeError) as error:
        raise TradingError(
            f"the broker {entry.name!r} cannot be imported from {entry.value}: {error}"
        ) from error

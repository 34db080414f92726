"""Orders: what is sent to a broker, what comes back, and which states may follow which.

Messages are immutable; a correction is a new one. Standard library only.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tradewind.errors import OrderStateError

__all__ = [
    "TRANSITIONS",
    "BrokerFill",
    "BrokerOrder",
    "OrderKind",
    "OrderState",
    "OrderTicket",
    "check_history",
    "check_transition",
    "client_order_id",
    "is_final",
]


class OrderKind(StrEnum):
    """At which price an order may be filled."""

    MARKET = "market"
    LIMIT = "limit"


class OrderState(StrEnum):
    """How far an order has come.

    Attributes
    ----------
    NEW
        Written down, and not sent.
    REFUSED
        By our own risk checks; it never left.
    SUBMITTED
        About to be sent: whether the broker has it, only the broker knows.
    ACCEPTED, REJECTED
        What the broker said.
    PARTIALLY_FILLED, FILLED
        Some, or all, shares are traded.
    EXPIRED
        Its session is over, and not all of it was filled; or it was never sent.
    CANCELLED
        Taken back before all of it was filled.
    """

    NEW = "new"
    REFUSED = "refused"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


_S = OrderState
TRANSITIONS: Final[Mapping[OrderState, tuple[OrderState, ...]]] = MappingProxyType(
    {
        _S.NEW: (_S.REFUSED, _S.SUBMITTED, _S.EXPIRED, _S.CANCELLED),
        _S.REFUSED: (),
        # Expired: after a crash it turned out that the broker had never got it.
        _S.SUBMITTED: (_S.ACCEPTED, _S.REJECTED, _S.EXPIRED, _S.CANCELLED),
        # A broker may accept an order and reject it later, say when shares cannot be borrowed.
        _S.ACCEPTED: (_S.REJECTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.EXPIRED, _S.CANCELLED),
        _S.REJECTED: (),
        _S.PARTIALLY_FILLED: (_S.PARTIALLY_FILLED, _S.FILLED, _S.EXPIRED, _S.CANCELLED),
        _S.FILLED: (),
        _S.EXPIRED: (),
        _S.CANCELLED: (),
    }
)
"""What may follow each state; nothing follows a final one."""


@dataclass(frozen=True)
class OrderTicket:
    """An order as it is sent to a broker.

    Attributes
    ----------
    client_order_id : str
        Ours, and the key by which a broker knows an order that is sent again.
    account : str
    symbol : str
    shares : int
        Positive to buy, negative to sell; never zero.
    kind : OrderKind
    limit_price : Decimal or None
        Of a limit order alone.
    session : date
        At whose open it is to be filled. It is good for that day: what is not filled expires.
    """

    client_order_id: str
    account: str
    symbol: str
    shares: int
    kind: OrderKind
    limit_price: Decimal | None
    session: date

    def __post_init__(self) -> None:
        if not self.shares:
            raise OrderStateError(f"order {self.client_order_id} of {self.symbol} has no shares")
        if (self.kind == OrderKind.LIMIT) != (self.limit_price is not None):
            raise OrderStateError(
                f"order {self.client_order_id} of {self.symbol}: a limit order has a limit price, "
                f"and no other has; this {self.kind} order has {self.limit_price}"
            )


@dataclass(frozen=True)
class BrokerOrder:
    """An order as a broker knows it.

    Attributes
    ----------
    client_order_id, account, symbol : str
    shares : int
        As they were ordered, signed; before a split that came while the order was working.
    session : date
    status : OrderState
        ``ACCEPTED`` and what may follow it.
    filled : int
        Shares traded so far, signed.
    reason : str
        Why it was rejected, or has expired; else empty.
    """

    client_order_id: str
    account: str
    symbol: str
    shares: int
    session: date
    status: OrderState
    filled: int
    reason: str = ""


@dataclass(frozen=True)
class BrokerFill:
    """A trade as a broker reports it.

    Attributes
    ----------
    execution_id : str
        The broker's; unique within the account.
    client_order_id, account, symbol : str
    session : date
    shares : int
        Signed, as the order's.
    price : Decimal
        Eight places at most.
    commission, slippage : Decimal
        What they cost, in money: positive, whole cents.
    """

    execution_id: str
    client_order_id: str
    account: str
    symbol: str
    session: date
    shares: int
    price: Decimal
    commission: Decimal
    slippage: Decimal


def client_order_id(account: str, session: date, symbol: str, model_version: int) -> str:
    """Return the one id of the order that an intent becomes, whoever sends it and how often.

    Parameters
    ----------
    account, symbol : str
    session : date
        After whose close the order was wanted.
    model_version : int
    """
    # Lengths keep ("a", "bc") and ("ab", "c") apart, whatever characters names are made of.
    parts = (account, session.isoformat(), symbol, str(model_version))
    key = "".join(f"{len(part)}:{part}" for part in parts)
    return f"tw-{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


def is_final(state: OrderState) -> bool:
    """Return whether nothing can follow."""
    return not TRANSITIONS[state]


def check_transition(order: str, before: OrderState | None, after: OrderState) -> None:
    """Refuse a state that cannot follow.

    Parameters
    ----------
    order : str
        For the message.
    before : OrderState or None
        None before the first state, which is ``NEW``.
    after : OrderState

    Raises
    ------
    OrderStateError
        If the transition is not in `TRANSITIONS`.
    """
    legal = (OrderState.NEW,) if before is None else TRANSITIONS[before]
    if after not in legal:
        raise OrderStateError(
            f"order {order} is {before or 'not written down'} and cannot become {after}: "
            + (f"only {', '.join(legal)}" if legal else "that is final")
        )


def check_history(order: str, states: Iterable[OrderState]) -> OrderState:
    """Return the last of an order's states, each of which must follow the one before.

    Raises
    ------
    OrderStateError
        If there is none, or one is illegal where it stands.
    """
    last: OrderState | None = None
    for state in states:
        check_transition(order, last, state)
        last = state
    if last is None:
        raise OrderStateError(f"order {order} has no events: it was not written down whole")
    return last

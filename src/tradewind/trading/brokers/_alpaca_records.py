"""What Alpaca's records of orders, trades and positions mean to the book.

They are read from its JSON and not from the library's models: those turn figures into floats, and
refuse a status or an event that they do not know without saying which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

from tradewind.bookings import EXACT, cents
from tradewind.errors import TradingError
from tradewind.trading.book.unpaid import Dividend
from tradewind.trading.brokers.alpaca_address import NEW_YORK
from tradewind.trading.orders import BrokerFill, BrokerOrder, OrderState, OrderTicket

__all__ = [
    "PENDING", "Chain", "Record", "Reference", "dividend_of", "field", "fill_of", "moment_of",
    "position_of", "shares_of",
]  # fmt: skip

Record = Mapping[str, Any]

PENDING: Final = frozenset({"pending_new", "pending_review"})
"""Alpaca has the order, and has not said yet whether it takes it."""

_WORKING: Final = PENDING | {
    "new", "accepted", "accepted_for_bidding", "held", "stopped", "suspended", "calculated",
    "partially_filled", "pending_cancel", "pending_replace",
}  # fmt: skip
_OVER: Final = frozenset({"expired", "done_for_day"})  # our orders are good for no other day
_PRICE: Final = Decimal("1e-8")
_FILLS: Final = frozenset({"fill", "partial_fill"})


@dataclass(frozen=True)
class Reference:
    """What Alpaca keeps as `client_order_id` of an order: ours, and the session it is for."""

    client_order_id: str
    session: date

    @classmethod
    def of(cls, order: OrderTicket) -> Self:
        """Return that of an order."""
        return cls(order.client_order_id, order.session)

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """Read a text; return None if it is not ours."""
        name, _, day = str(text).rpartition("/")
        try:
            return cls(name, datetime.strptime(day, "%Y%m%d").date()) if name else None  # noqa: DTZ007
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.client_order_id}/{self.session:%Y%m%d}"


@dataclass(frozen=True)
class Chain:
    """An order of ours, and the orders that somebody has put into its place since.

    Attributes
    ----------
    reference : Reference
    records : sequence of Record
        The order as it was sent, then what replaced it; the last is what counts.
    """

    reference: Reference
    records: Sequence[Record]

    @property
    def ids(self) -> set[str]:
        """Alpaca's ids of all of them."""
        return {str(field(record, "id")) for record in self.records}

    def order(self, account: str, until: time) -> BrokerOrder:
        """Return the order as the book knows orders.

        Parameters
        ----------
        account : str
        until : time
            In New York: what is cancelled later on the session's day was ended by the exchange.

        Raises
        ------
        TradingError
            If Alpaca says what nobody here knows.
        """
        last = self.records[-1]
        status = str(field(last, "status"))
        filled = sum(shares_of(record, "filled_qty") for record in self.records)
        wanted = shares_of(last, "qty")
        state, reason = self._state(last, status, filled, wanted, until)
        return BrokerOrder(
            client_order_id=self.reference.client_order_id,
            account=account,
            symbol=str(field(last, "symbol")),
            shares=wanted,
            session=self.reference.session,
            status=state,
            filled=filled,
            reason=reason,
        )

    def _state(
        self, last: Record, status: str, filled: int, wanted: int, until: time
    ) -> tuple[OrderState, str]:
        if status == "filled" or (status == "calculated" and filled == wanted):
            return OrderState.FILLED, ""
        if status in _WORKING:
            return (OrderState.PARTIALLY_FILLED if filled else OrderState.ACCEPTED), ""
        if status == "rejected":
            at = last.get("failed_at") or "a moment that it does not say"
            return OrderState.REJECTED, f"Alpaca rejected it at {at}, and does not say why"
        if status in _OVER:
            return OrderState.EXPIRED, f"Alpaca says that it is {status}"
        if status == "canceled":
            at = moment_of(last, "canceled_at").astimezone(NEW_YORK)
            if (at.date(), at.time()) >= (self.reference.session, until):
                return OrderState.EXPIRED, f"it was ended at {at:%Y-%m-%d %H:%M %Z}"
            return OrderState.CANCELLED, ""
        raise TradingError(
            f"Alpaca says that order {self.reference.client_order_id} is {status!r}, which nobody "
            "here knows: look for it on Alpaca's page, and report it"
        )


def fill_of(activity: Record, reference: Reference, account: str) -> BrokerFill:
    """Return a trade as the book knows trades; regulatory fees are no part of Alpaca's record.

    Raises
    ------
    TradingError
        If it is of another form than a trade.
    """
    kind, name = str(field(activity, "type")), str(field(activity, "id"))
    if kind not in _FILLS:
        raise TradingError(
            f"Alpaca's record {name} of order {reference.client_order_id} is a {kind!r}, and no "
            f"trade: halt {account}, and look for it on Alpaca's page"
        )
    price = _number(activity, "price")
    if price < 0:
        raise TradingError(f"Alpaca's record {name} has a price of {price}")
    return BrokerFill(
        execution_id=name,
        client_order_id=reference.client_order_id,
        account=account,
        symbol=str(field(activity, "symbol")),
        session=moment_of(activity, "transaction_time").astimezone(NEW_YORK).date(),
        shares=shares_of(activity, "qty"),
        price=price.quantize(_PRICE, context=EXACT),
        commission=Decimal("0.00"),
        slippage=Decimal("0.00"),
    )


def dividend_of(activity: Record) -> Dividend:
    """Return a dividend that was paid.

    Raises
    ------
    TradingError
        If it is of another form.
    """
    text = str(field(activity, "date"))
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise TradingError(f"Alpaca's record {activity.get('id')} has the date {text!r}") from None
    return Dividend(str(field(activity, "symbol")), day, cents(_number(activity, "net_amount")))


def position_of(record: Record) -> tuple[str, int]:
    """Return the symbol and the shares of a position.

    Raises
    ------
    TradingError
        If it has a fraction of a share, or is of another form.
    """
    shares = abs(_whole(record, "qty"))
    short = str(field(record, "side")) == "short"
    return str(field(record, "symbol")), -shares if short else shares


def shares_of(record: Record, name: str) -> int:
    """Return the shares of an order or a trade, signed by its side.

    Raises
    ------
    TradingError
        If they are a fraction, no number, or the side is neither to buy nor to sell.
    """
    side = str(field(record, "side"))
    if side not in {"buy", "sell", "sell_short"}:
        raise TradingError(f"Alpaca's record {record.get('id')} has the side {side!r}")
    shares = _whole(record, name)
    return shares if side == "buy" else -shares


def moment_of(record: Record, name: str) -> datetime:
    """Return a moment, which has a time zone.

    Raises
    ------
    TradingError
        If it is none.
    """
    text = str(field(record, name))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise TradingError(
            f"Alpaca's record {record.get('id', '')} has {name} {text!r}, which is no moment"
        )
    return found


def field(record: Record, name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a field that must be there.

    Raises
    ------
    TradingError
        If it is missing or empty.
    """
    found = record.get(name) if isinstance(record, Mapping) else None
    if found is None:
        raise TradingError(
            f"Alpaca's record lacks {name}: {str(record)[:200]}. Was it cut short? The same is "
            "asked again by the next try"
        )
    return found


def _number(record: Record, name: str) -> Decimal:
    text = str(field(record, name))
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise TradingError(f"Alpaca's record {record.get('id', '')} has {name} {text!r}")
    return found


def _whole(record: Record, name: str) -> int:
    shares = _number(record, name)
    if shares != shares.to_integral_value():
        raise TradingError(
            f"Alpaca has {shares} shares of {record.get('symbol')} in {name}: the book holds whole "
            "ones. Sell the fraction on Alpaca's page"
        )
    return int(shares)

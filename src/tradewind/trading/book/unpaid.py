"""Dividends that the book has and a broker has not paid, as paper accounts of real brokers skip."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import sqlalchemy as sa

from tradewind.trading.book.schema import bookings

__all__ = ["LOOK_BACK", "Dividend", "unpaid_dividends"]

LOOK_BACK: Final = timedelta(days=400)
"""How far back dividends are looked for."""

_PAID_WITHIN: Final = timedelta(days=75)  # of the ex-date; a month is usual


@dataclass(frozen=True)
class Dividend:
    """Cash that a position was paid.

    Attributes
    ----------
    symbol : str
    day : date
        The ex-date in the book; at a broker the day on which it was paid.
    amount : Decimal
        In money; negative for a short position, which pays.
    """

    symbol: str
    day: date
    amount: Decimal


def unpaid_dividends(
    connection: sa.Connection, account: str, paid: Sequence[Dividend], today: date
) -> list[Dividend]:
    """Return the dividends of the last 400 days that are booked and overdue at the broker.

    Parameters
    ----------
    connection : Connection
    account : str
    paid : sequence of Dividend
        What the broker has paid. One pays the oldest that is booked of its symbol, if its day is
        between that one's ex-date and 75 days later.
    today : date
        What went ex less than 75 days before may still be paid.
    """
    booked = connection.execute(
        sa.select(bookings.c.symbol, bookings.c.session, bookings.c.amount)
        .where(
            bookings.c.account == account,
            bookings.c.kind == "dividend",
            bookings.c.session > today - LOOK_BACK,
        )
        .order_by(bookings.c.session, bookings.c.symbol)
    )
    left = sorted(paid, key=lambda one: one.day)
    found = []
    for each in (Dividend(*row) for row in booked):
        match = next(
            (
                one
                for one in left
                if one.symbol == each.symbol and each.day <= one.day <= each.day + _PAID_WITHIN
            ),
            None,
        )
        if match is not None:
            left.remove(match)
        elif each.day + _PAID_WITHIN < today:
            found.append(each)
    return found

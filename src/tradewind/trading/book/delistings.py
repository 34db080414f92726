"""What becomes of a position whose symbol has no quotes any more.

The end of quotes is not known until they stay away. In the first session without a quote no signals
are made; from the second on they want nothing of the symbol (`tradewind.trading.signals`). So the
order that closes the position is for the third session. No other order of the symbol may leave. On
paper it is filled if the symbol was quoted neither in that session nor in the one before: at its
last close times one plus the strategy's `delisting_return`, with the costs of any other trade. The
backtest, which knows the future, does this in the session after the last bar.

A real broker says what it paid, and when.
"""

from datetime import date
from decimal import Decimal, localcontext
from typing import Final

import sqlalchemy as sa

from tradewind.bookings import EXACT
from tradewind.trading.book.accounts import Account
from tradewind.trading.book.schema import quotes

__all__ = ["paid_at_the_end"]

_PRICE_PLACES: Final = Decimal("1e-8")


def paid_at_the_end(
    connection: sa.Connection, terms: Account, symbol: str, session: date
) -> Decimal | None:
    """Return the price at which a delisted symbol's position is closed in a session.

    Parameters
    ----------
    connection : Connection
    terms : Account
        Of the session.
    symbol : str
    session : date
        One that the account has quotes of.

    Returns
    -------
    Decimal or None
        Eight places, zero where nothing is left; None if the symbol was quoted in the session or
        the one before, or never.
    """
    known = (quotes.c.account == terms.account, quotes.c.session <= session)
    last_two = connection.execute(
        sa.select(quotes.c.session)
        .where(*known)
        .distinct()
        .order_by(quotes.c.session.desc())
        .limit(2)
    ).scalars()
    last = connection.execute(
        sa.select(quotes.c.session, quotes.c.close)
        .where(*known, quotes.c.symbol == symbol)
        .order_by(quotes.c.session.desc())
        .limit(1)
    ).one_or_none()
    if last is None or last.session in set(last_two):
        return None
    close: Decimal = last.close
    with localcontext(EXACT):
        return (close * (1 + terms.delisting_return)).quantize(_PRICE_PLACES)

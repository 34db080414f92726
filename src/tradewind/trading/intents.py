"""Intents: what an account wants to trade after a session, one a symbol, written down at once.

Shares are sized by the closes that a desk knows before the open, as
``keep_books(..., sizing="close")`` has it (`tradewind.research.backtest.books`).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

import sqlalchemy as sa

from tradewind.bookings import decimal_of, equity_of, target_shares
from tradewind.errors import TradingError
from tradewind.trading.book.accounts import last_settled, read_account
from tradewind.trading.book.ledger import cash_of, positions_of
from tradewind.trading.book.present import Present
from tradewind.trading.book.quotes import closes_at
from tradewind.trading.book.schema import intents
from tradewind.trading.orders import OrderKind, OrderTicket, client_order_id
from tradewind.trading.signals import signals_of

__all__ = ["Intent", "intents_of"]


@dataclass(frozen=True)
class Intent:
    """What an account wants of a symbol.

    Attributes
    ----------
    account : str
    session : date
        After whose close it was decided.
    symbol : str
    model_version : int
    trade_session : date
        At whose open it is to be traded.
    weight : Decimal
        Of equity, as the signal has it.
    reference_price : Decimal
        The last close, by which it was sized.
    held, target, shares : int
        What the account has, wants to have, and so wants to trade.
    """

    account: str
    session: date
    symbol: str
    model_version: int
    trade_session: date
    weight: Decimal
    reference_price: Decimal
    held: int
    target: int
    shares: int

    @property
    def ticket(self) -> OrderTicket:
        """The order that it becomes; it wants some shares."""
        return OrderTicket(
            client_order_id=client_order_id(
                self.account, self.session, self.symbol, self.model_version
            ),
            account=self.account,
            symbol=self.symbol,
            shares=self.shares,
            kind=OrderKind.MARKET,
            limit_price=None,
            session=self.trade_session,
        )


_FIELDS = [intents.c[name] for name in Intent.__dataclass_fields__]


def intents_of(
    connection: sa.Connection,
    account: str,
    session: date,
    model_version: int | None,
    present: Present,
) -> list[Intent]:
    """Return an account's intents of a session, made from its signals the first time.

    Once they are made they stay, whatever comes later: other signals, another model version.

    Parameters
    ----------
    connection : Connection
        Whose transaction holds all of them, or none.
    account : str
    session : date
    model_version : int or None
        Whose signals they are made from; None for those that were stored last.
    present : Present
        Says which open is the next to come: they are for that one.

    Returns
    -------
    list of Intent
        Sales first, then purchases, each by symbol.

    Raises
    ------
    TradingError
        If the session has no signals or is not settled, a symbol has no quote, or no open to come
        is known.
    """
    query = sa.select(*_FIELDS).where(intents.c.account == account, intents.c.session == session)
    found = [Intent(**row) for row in connection.execute(query).mappings()]
    if not found:
        found = _make(connection, account, session, model_version, present)
        connection.execute(sa.insert(intents), [vars(intent) for intent in found])
    return sorted(found, key=lambda intent: (intent.shares > 0, intent.symbol))


def _make(
    connection: sa.Connection,
    account: str,
    session: date,
    model_version: int | None,
    present: Present,
) -> list[Intent]:
    terms = read_account(connection, account)
    settled = last_settled(connection, account)
    if settled is None or settled < session:
        raise TradingError(
            f"{account} is settled up to {settled}, not to {session}: settle it before its orders "
            "are sent, for they are sized by what it holds"
        )
    if present.quoted is not None and present.quoted > settled:
        raise TradingError(
            f"{account} has quotes up to {present.quoted} and is settled up to {settled}: settle "
            "it before its orders are sent, for they are sized by what it holds"
        )
    signals = signals_of(connection, account, session, model_version)
    if signals is None:
        raise TradingError(f"no signals of {account} for {session}: signals_{account} makes them")
    held = positions_of(connection, account)
    weights = {s: decimal_of(weight) for s, weight in signals.weights.items() if weight}
    closes = closes_at(connection, account, settled)
    if unknown := sorted((held.keys() | weights.keys()) - closes.keys()):
        raise TradingError(
            f"no quote of {', '.join(unknown)} up to {settled}, by which to say how many shares "
            f"{account} wants of it"
        )
    prices = {s: closes[s] for s in sorted((held.keys() | signals.weights.keys()) & closes.keys())}
    cash = cash_of(connection, account)
    if equity_of(cash, held, prices) <= 0:
        raise TradingError(f"{account} has lost all equity by {settled}: it trades no more")
    cost_bps = terms.commission_bps + terms.slippage_bps
    wanted = target_shares(cash, held, prices, weights, cost_bps)
    trade_session = present.next_open(session)
    made = []
    for symbol, price in prices.items():
        has = held.get(symbol, 0)
        shares = wanted[symbol] - has
        if wanted[symbol]:  # what is left of a position goes at once, a whole lot or not
            shares = int(Fraction(shares, terms.lot_size)) * terms.lot_size
        made.append(
            Intent(
                account=account,
                session=session,
                symbol=symbol,
                model_version=signals.model_version,
                trade_session=trade_session,
                weight=weights.get(symbol, Decimal(0)),
                reference_price=price,
                held=has,
                target=has + shares,
                shares=shares,
            )
        )
    return made

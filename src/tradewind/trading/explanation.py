"""How an order came to its size: every figure between a signal and the shares that were asked for.

It is reckoned again from what the book has written down, with the functions that reckoned it.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

import sqlalchemy as sa

from tradewind.bookings import EXACT, equity_of, target_shares
from tradewind.errors import TradingError
from tradewind.trading.book.database import database_errors
from tradewind.trading.book.ledger import cash_of
from tradewind.trading.book.order_log import logged_orders
from tradewind.trading.book.schema import accounts, equity, intents, orders
from tradewind.trading.signals import signals_of

__all__ = ["Explanation", "explain"]

_BPS = Decimal(10_000)
_ROUNDING = 1e-9  # of a sum of tranches, which have twelve places


@dataclass(frozen=True)
class Explanation:
    """An order's size, step by step.

    Attributes
    ----------
    account, client_order_id, symbol, state : str
    reasons : tuple of str
        Why it was refused or rejected, or has expired.
    signal_session, trade_session : date
        After which it was decided, and at whose open it was to be filled.
    model_version : int
    snapshot_id : str
        The bars that the signal was made from.
    tranches : tuple of float
        What each of the last sessions wanted, oldest first; empty where it was not written down.
    weight : Decimal
        Their mean: the share of equity that is wanted. Zero where `is_left`.
    settled : date
        Whose close the account was valued at.
    cash, equity : Decimal
        Then; equity with all positions at the closes.
    cost_bps : Decimal
        Commission and slippage together.
    set_aside : Decimal
        What trading all of the session's orders costs at the closes: not shared out.
    close : Decimal
        Of the symbol.
    wanted : Decimal
        Shares before rounding: weight times what is left of equity, over the close.
    whole : int
        The same, rounded toward zero.
    held : int
        Shares that the account had.
    lot_size : int
    target : int
        Shares wanted in whole lots traded; what is left of a position goes at once.
    shares : int
        Of the order: target less held.
    """

    account: str
    client_order_id: str
    symbol: str
    state: str
    reasons: tuple[str, ...]
    signal_session: date
    trade_session: date
    model_version: int
    snapshot_id: str
    tranches: tuple[float, ...]
    weight: Decimal
    settled: date
    cash: Decimal
    equity: Decimal
    cost_bps: Decimal
    set_aside: Decimal
    close: Decimal
    wanted: Decimal
    whole: int
    held: int
    lot_size: int
    target: int
    shares: int

    @property
    def is_left(self) -> bool:
        """Whether nothing is wanted of a symbol without a bar, whatever sessions before wanted."""
        return not self.weight and abs(sum(self.tranches)) > _ROUNDING


def explain(engine: sa.Engine, client_order_id: str) -> Explanation:
    """Return how an order came to its size.

    Raises
    ------
    TradingError
        If there is no such order, the book does not add up to its size, or the database refuses.
    """
    with database_errors(f"reading order {client_order_id}"), engine.connect() as connection:
        account = connection.execute(
            sa.select(orders.c.account).where(orders.c.client_order_id == client_order_id)
        ).scalar()
        if account is None:
            raise TradingError(
                f"there is no order {client_order_id}: `tradewind trading orders --json` shows "
                "each one's client_order_id"
            )
        [order] = logged_orders(connection, account, orders.c.client_order_id == client_order_id)
        session = order.signal_session
        rows = connection.execute(
            sa.select(intents).where(intents.c.account == account, intents.c.session == session)
        ).all()
        [mine] = [row for row in rows if row.symbol == order.ticket.symbol]
        # What was in force when the intents were made.
        settled = connection.execute(
            sa.select(sa.func.max(equity.c.session)).where(
                equity.c.account == account, equity.c.created_at <= mine.created_at
            )
        ).scalar_one()
        terms = connection.execute(
            sa.select(accounts)
            .where(accounts.c.account == account, accounts.c.created_at <= mine.created_at)
            .order_by(accounts.c.sequence.desc())
            .limit(1)
        ).one()
        cash = cash_of(connection, account, until=settled)
        signals = signals_of(connection, account, session, order.model_version)
    prices = {row.symbol: row.reference_price for row in rows}
    held = {row.symbol: row.held for row in rows}
    weights = {row.symbol: row.weight for row in rows}
    cost_bps = terms.commission_bps + terms.slippage_bps
    whole = target_shares(cash, held, prices, weights, cost_bps)[mine.symbol]
    with localcontext(EXACT):
        worth = equity_of(cash, held, prices)
        distance = sum(abs(weights[s] * worth - held[s] * prices[s]) for s in prices)
        set_aside = distance * (cost_bps / _BPS)
        wanted = mine.weight * (worth - set_aside) / mine.reference_price if mine.weight else 0
    if abs(whole - mine.target) >= terms.lot_size:
        raise TradingError(
            f"order {client_order_id} wants {mine.target} shares of {mine.symbol}, and the book "
            f"gives {whole} for what it was made of: somebody has changed the book"
        )
    return Explanation(
        account=account,
        client_order_id=client_order_id,
        symbol=mine.symbol,
        state=order.state.value,
        reasons=order.reasons,
        signal_session=session,
        trade_session=mine.trade_session,
        model_version=order.model_version,
        snapshot_id="" if signals is None else signals.snapshot_id,
        tranches=() if signals is None else tuple(signals.tranches.get(mine.symbol, ())),
        weight=mine.weight,
        settled=settled,
        cash=cash,
        equity=worth,
        cost_bps=cost_bps,
        set_aside=set_aside,
        close=mine.reference_price,
        wanted=Decimal(wanted),
        whole=whole,
        held=mine.held,
        lot_size=terms.lot_size,
        target=mine.target,
        shares=mine.shares,
    )

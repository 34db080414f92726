"""Accounts: one book a strategy, with the terms on which it is traded."""

from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tradewind.bookings import cents, decimal_of
from tradewind.errors import TradingError
from tradewind.trading.book.database import account_lock, database_errors
from tradewind.trading.book.ledger import positions_of
from tradewind.trading.book.order_log import logged_orders
from tradewind.trading.book.schema import accounts, bookings, equity
from tradewind.trading.orders import OrderState, is_final

if TYPE_CHECKING:
    from tradewind.research.strategy.strategy import Strategy

__all__ = ["Account", "last_settled", "open_account", "read_account", "terms_of", "traded_by"]


@dataclass(frozen=True)
class Account:
    """The terms on which an account is traded.

    Attributes
    ----------
    account : str
        The strategy's name.
    capital : Decimal
        Cash at the start, whole cents.
    commission_bps, slippage_bps : Decimal
        Basis points of the traded notional.
    borrow_bps : Decimal
        Basis points a year of what is short overnight.
    lot_size : int
        Shares; orders are multiples of it.
    max_participation : Decimal
        Largest share of a session's volume that the paper broker fills.
    max_weight, max_gross, max_net : Decimal
        Limits as shares of equity: of one symbol, of all positions, and of long less short.
    max_order_volume : Decimal
        Largest order as a share of the median volume of the last sessions.
    max_price_move : Decimal
        Largest move of the reference price against the close before, as a fraction.
    max_signal_age : int
        Opens that may lie between a signal's session and the one it is traded in.
    delisting_return : Decimal
        Return of a share from the last close of a delisted symbol to its sale on paper.
    execution : {"off", "paper", "replay", "live"}
        Where orders go; see `tradewind.research.strategy.strategy.Strategy`.
    """

    account: str
    capital: Decimal
    commission_bps: Decimal
    slippage_bps: Decimal
    borrow_bps: Decimal
    lot_size: int
    max_participation: Decimal
    max_weight: Decimal
    max_gross: Decimal
    max_net: Decimal
    max_order_volume: Decimal
    max_price_move: Decimal
    max_signal_age: int
    delisting_return: Decimal
    execution: str


_FIELDS = [accounts.c[name] for name in Account.__dataclass_fields__]


def terms_of(strategy: "Strategy") -> Account:
    """Return the terms that a strategy's file asks for."""
    costs, risk = strategy.backtest, strategy.risk
    return Account(
        account=strategy.name,
        capital=cents(decimal_of(costs.capital)),
        commission_bps=decimal_of(costs.commission_bps),
        slippage_bps=decimal_of(costs.slippage_bps),
        borrow_bps=decimal_of(costs.borrow_bps),
        lot_size=risk.lot_size,
        max_participation=decimal_of(risk.max_participation),
        max_weight=decimal_of(risk.max_weight),
        max_gross=decimal_of(risk.max_gross),
        max_net=decimal_of(risk.max_net),
        max_order_volume=decimal_of(risk.max_order_volume),
        max_price_move=decimal_of(risk.max_price_move),
        max_signal_age=risk.max_signal_age,
        delisting_return=decimal_of(costs.delisting_return),
        execution=strategy.execution,
    )


def open_account(engine: sa.Engine, terms: Account, session: date) -> Account:
    """Open an account after a session's close, or set the terms that hold from there on.

    With the same terms again, or for a session before those in force, nothing changes. The capital
    of an account that is open stays what it is.

    Parameters
    ----------
    engine : Engine
    terms : Account
    session : date
        The account is settled up to here: cash, and no shares.

    Returns
    -------
    Account
        The terms in force.

    Raises
    ------
    TradingError
        If the file names another kind of broker than before while the account still holds shares or
        has orders, or the database refuses or is out of reach.
    """
    name = terms.account
    with database_errors(f"opening the account {name}"), account_lock(engine, name):  # noqa: SIM117
        with engine.begin() as connection:
            query = sa.select(accounts).where(accounts.c.account == name)
            rows = connection.execute(query.order_by(accounts.c.sequence.desc()).limit(1))
            newest = rows.mappings().one_or_none()
            if newest is None:
                _write_terms(connection, terms, 0, session)
                _book_capital(connection, terms, session)
                return terms
            found = Account(**{field.name: newest[field] for field in _FIELDS})
            wanted = Account(**{**asdict(terms), "capital": found.capital})
            if wanted == found or session < newest["since"]:
                return found
            _refuse_to_move(connection, wanted)
            _write_terms(connection, wanted, newest["sequence"] + 1, session)
            return wanted


def read_account(connection: sa.Connection, account: str, session: date | None = None) -> Account:
    """Return the terms on which a session is traded, or the newest.

    Parameters
    ----------
    connection : Connection
    account : str
    session : date or None
        None for the newest terms.

    Raises
    ------
    TradingError
        If the account is not open (then).
    """
    query = sa.select(*_FIELDS).where(accounts.c.account == account)
    if session is not None:
        query = query.where(accounts.c.since < session)
    rows = connection.execute(query.order_by(accounts.c.sequence.desc()).limit(1))
    row = rows.mappings().one_or_none()
    if row is None:
        when = "" if session is None else f" before {session}"
        raise TradingError(
            f"no account {account} was opened{when}: the task `quote` of execute_{account} opens it"
        )
    return Account(**row)


def traded_by(connection: sa.Connection, account: str) -> str:
    """Return an account's `execution`, or the one before its file said ``execution: off``.

    Raises
    ------
    TradingError
        If the account is not open.
    """
    newest = read_account(connection, account).execution
    if newest != "off":
        return newest
    before = connection.execute(
        sa.select(accounts.c.execution)
        .where(accounts.c.account == account, accounts.c.execution != "off")
        .order_by(accounts.c.sequence.desc())
        .limit(1)
    ).scalar()
    return "paper" if before is None else str(before)


def last_settled(connection: sa.Connection, account: str) -> date | None:
    """Return the session up to which an account is settled; None if it was never opened."""
    query = sa.select(sa.func.max(equity.c.session)).where(equity.c.account == account)
    found: date | None = connection.execute(query).scalar()
    return found


def _refuse_to_move(connection: sa.Connection, wanted: Account) -> None:
    """Refuse another broker while the account holds shares or has orders."""
    name = wanted.account
    before = traded_by(connection, name)
    if wanted.execution == "off" or (wanted.execution == "live") == (before == "live"):
        return
    working = [
        order
        for order in logged_orders(connection, name)
        if order.state is not OrderState.NEW and not is_final(order.state)
    ]
    held = positions_of(connection, name)
    if held or working:
        where = "a real broker" if before == "live" else "the paper broker"
        raise TradingError(
            f"{name} has positions in {len(held)} symbols and {len(working)} open orders at "
            f"{where}, and its file says `execution: {wanted.execution}`: another broker knows "
            f"nothing of them. Write `execution: {before}` until they are closed"
        )


def _write_terms(connection: sa.Connection, terms: Account, sequence: int, since: date) -> None:
    row = {**asdict(terms), "sequence": sequence, "since": since}
    connection.execute(sa.insert(accounts), row)


def _book_capital(connection: sa.Connection, terms: Account, session: date) -> None:
    connection.execute(
        sa.insert(bookings),
        {
            "account": terms.account,
            "session": session,
            "symbol": "",
            "kind": "capital",
            "shares": 0,
            "price": Decimal(0),
            "amount": terms.capital,
            "reference": "",
        },
    )
    row = {
        "account": terms.account,
        "session": session,
        "cash": terms.capital,
        "positions": Decimal(0),
        "equity": terms.capital,
    }
    connection.execute(sa.insert(equity), row)

"""Quotes: what the trading workers know of the market, one row for each symbol and session.

The task that reads bars writes them before a session is settled. They never change: a bar that is
revised afterwards does not change the trades that were made on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tradewind.bookings import dividend_between, price_of, split_between
from tradewind.errors import TradingError
from tradewind.trading.book.accounts import last_settled, open_account, terms_of
from tradewind.trading.book.database import account_lock, database_errors
from tradewind.trading.book.present import store_openings
from tradewind.trading.book.schema import equity, quotes

if TYPE_CHECKING:
    import polars as pl

    from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "HISTORY",
    "Quote",
    "closes_at",
    "quote",
    "quotes_from_bars",
    "quotes_of",
    "recent_quotes",
    "store_quotes",
]

HISTORY: Final = 21
"""Sessions that a new account is told of: enough for the risk checks' median volume."""


@dataclass(frozen=True)
class Quote:
    """A symbol's session.

    Attributes
    ----------
    session : date
    symbol : str
    open, close : Decimal
        Raw prices, eight places.
    volume : int
        Shares traded.
    split : Fraction
        Shares that one share held at the close before has become.
    dividend : Decimal
        Cash paid a share, after the split; eight places.
    """

    session: date
    symbol: str
    open: Decimal
    close: Decimal
    volume: int
    split: Fraction
    dividend: Decimal


def quotes_from_bars(bars: "pl.DataFrame", *, after: date | None, until: date) -> list[Quote]:
    """Return the quotes of sessions after one, up to another, and at least the last `HISTORY`.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars of the account's symbols, with each symbol's bar before the first session
        asked for: splits and dividends are computed from two bars in a row.
    after : date or None
        The account's last settled session; None for an account that is not open.
    until : date

    Returns
    -------
    list of Quote
        By session, then symbol.
    """
    import polars as pl

    known = bars.filter(pl.col("session") <= until).sort("symbol", "session")
    sessions = known.get_column("session").unique().sort()
    recent = sessions[-HISTORY - 1] if len(sessions) > HISTORY else None
    after = None if recent is None else min(after or recent, recent)
    found = []
    before: dict[str, Any] | None = None
    columns = ("session", "symbol", "open", "close", "volume", "split_factor", "adjustment_factor")
    for bar in known.select(columns).iter_rows(named=True):
        previous = before if before and before["symbol"] == bar["symbol"] else bar
        before = bar
        if after is not None and bar["session"] <= after:
            continue
        splits = (previous["split_factor"], bar["split_factor"])
        factors = (previous["adjustment_factor"], bar["adjustment_factor"])
        found.append(
            Quote(
                session=bar["session"],
                symbol=bar["symbol"],
                open=price_of(bar["open"]),
                close=price_of(bar["close"]),
                volume=int(bar["volume"]),
                split=split_between(*splits),
                dividend=dividend_between(splits, factors, bar["close"]),
            )
        )
    return sorted(found, key=lambda one: (one.session, one.symbol))


def store_quotes(engine: sa.Engine, account: str, found: Sequence[Quote]) -> int:
    """Store the quotes that are not stored yet.

    A settled session gets no further quotes, unless they are of a symbol that was never quoted: the
    history of a symbol that is new to the account.

    Returns
    -------
    int
        How many are new.

    Raises
    ------
    TradingError
        If the account is not open, or the database refuses or is out of reach.
    """
    with (
        database_errors(f"storing quotes of {account}"),
        account_lock(engine, account),
        engine.begin() as connection,
    ):
        opened = connection.execute(
            sa.select(sa.func.min(equity.c.session)).where(equity.c.account == account)
        ).scalar()
        settled = last_settled(connection, account)
        if opened is None or settled is None:
            raise TradingError(f"the account {account} is not open: open it before its quotes")
        of_account = sa.select(quotes.c.symbol).where(quotes.c.account == account)
        known = set(connection.execute(of_account.distinct()).scalars())
        rows = [
            _row(account, each)
            for each in found
            if each.symbol not in known or not opened < each.session <= settled
        ]
        if not rows:
            return 0
        done = connection.execute(
            insert(quotes).on_conflict_do_nothing().returning(quotes.c.symbol), rows
        )
        return len(done.all())


def quote(
    engine: sa.Engine,
    strategy: "Strategy",
    bars: "pl.DataFrame",
    opens: Mapping[date, datetime],
) -> int:
    """Store an account's quotes up to the last session of the bars, and open it if it is new.

    Parameters
    ----------
    engine : Engine
    strategy : Strategy
        The champion's, as it was recorded: its name is the account's, its costs and limits are the
        account's terms from this session on.
    bars : DataFrame of shape (n_bars, 9)
        Validated bars of the strategy's symbols, and of those the account still holds.
    opens : mapping of date to datetime
        When the exchange opens, by session: all after the session that signals were decided on,
        up to one that is still to come.

    Returns
    -------
    int
        How many quotes are new.

    Raises
    ------
    TradingError
        If the database refuses or is out of reach.
    """
    session: date = bars.get_column("session").sort()[-1]
    open_account(engine, terms_of(strategy), session)
    name = strategy.name
    with database_errors(f"reading the account {name}"), engine.begin() as connection:
        settled = last_settled(connection, name)
        store_openings(connection, name, opens)
    return store_quotes(engine, name, quotes_from_bars(bars, after=settled, until=session))


def quotes_of(
    connection: sa.Connection, account: str, after: date | None, until: date
) -> dict[date, dict[str, Quote]]:
    """Return an account's quotes after a session, up to another: by session, then symbol."""
    query = sa.select(quotes).where(quotes.c.account == account, quotes.c.session <= until)
    if after is not None:
        query = query.where(quotes.c.session > after)
    found: dict[date, dict[str, Quote]] = {}
    for row in connection.execute(query.order_by(quotes.c.session, quotes.c.symbol)):
        found.setdefault(row.session, {})[row.symbol] = Quote(
            session=row.session,
            symbol=row.symbol,
            open=row.open,
            close=row.close,
            volume=row.volume,
            split=Fraction(row.split_numerator, row.split_denominator),
            dividend=row.dividend,
        )
    return found


def recent_quotes(
    connection: sa.Connection, account: str, until: date
) -> dict[date, dict[str, Quote]]:
    """Return an account's quotes of the last `HISTORY` sessions up to one."""
    sessions = (
        sa.select(quotes.c.session)
        .where(quotes.c.account == account, quotes.c.session <= until)
        .group_by(quotes.c.session)
        .order_by(quotes.c.session.desc())
        .offset(HISTORY)
        .limit(1)
    )
    return quotes_of(connection, account, connection.execute(sessions).scalar(), until)


def closes_at(connection: sa.Connection, account: str, session: date) -> dict[str, Decimal]:
    """Return each symbol's last close, of a session or of its last one before."""
    known = (quotes.c.account == account, quotes.c.session <= session)
    last = (
        sa.select(quotes.c.symbol, sa.func.max(quotes.c.session).label("session"))
        .where(*known)
        .group_by(quotes.c.symbol)
        .subquery()
    )
    query = (
        sa.select(quotes.c.symbol, quotes.c.close)
        .join(
            last,
            sa.and_(quotes.c.symbol == last.c.symbol, quotes.c.session == last.c.session),
        )
        .where(*known)
    )
    return {row.symbol: row.close for row in connection.execute(query)}


def _row(account: str, each: Quote) -> dict[str, Any]:
    row = asdict(each)
    split: Fraction = row.pop("split")
    return {
        **row,
        "account": account,
        "split_numerator": split.numerator,
        "split_denominator": split.denominator,
    }

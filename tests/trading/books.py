"""An account on real prices, driven as `execute_<strategy>` drives it."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from tradewind.market.sources import sample
from tradewind.research.backtest.books import Books, keep_books
from tradewind.research.strategy.judging import Backtest
from tradewind.trading.book.accounts import Account, open_account
from tradewind.trading.book.present import store_openings
from tradewind.trading.book.quotes import quotes_from_bars, store_quotes
from tradewind.trading.book.views import account_names
from tradewind.trading.broker import Broker
from tradewind.trading.brokers.paper import PaperBroker
from tradewind.trading.reconciliation import Reconciled, reconcile
from tradewind.trading.settlement import Settled, settle
from tradewind.trading.signals import SignalBook, SignalSet
from tradewind.trading.submission import Submitted, submit

NAME = "momentum"
SYMBOLS = ("AAPL", "IBM", "MSFT")
TERMS = Account(
    account=NAME,
    capital=Decimal("1000000.00"),
    commission_bps=Decimal("1.0"),
    slippage_bps=Decimal("4.0"),
    borrow_bps=Decimal("50.0"),
    lot_size=1,
    max_participation=Decimal("0.1"),
    max_weight=Decimal(1),
    max_gross=Decimal(2),
    max_net=Decimal(1),
    max_order_volume=Decimal(1),
    max_price_move=Decimal("0.4"),
    max_signal_age=0,
    delisting_return=Decimal(0),
    execution="replay",
)
RULES = Backtest(commission_bps=1.0, slippage_bps=4.0, borrow_bps=50.0, capital=1_000_000.0)

BARS = sample.load(SYMBOLS).sort("symbol", "session")
SESSIONS = BARS.get_column("session").unique().sort().to_list()
# AAPL was split two for one before the open of 2005-02-28, the fifth of the sessions.
FIRST = SESSIONS.index(dt.date(2005, 2, 22))
DAYS = SESSIONS[FIRST : FIRST + 11]


NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)


def opens_at(session: dt.date) -> dt.datetime:
    """When New York opened in winter."""
    return dt.datetime.combine(session, dt.time(14, 30), dt.UTC)


def weights_of(day: int) -> dict[str, float]:
    """Weights that change each day, with one symbol short."""
    return {
        "AAPL": [0.5, 0.4, 0.3, 0.45, 0.6, 0.35][day % 6],
        "IBM": [-0.3, -0.25, -0.35][day % 3],
        "MSFT": [0.2, 0.0, 0.25, 0.1][day % 4],
    }


@dataclass
class Desk:
    """One account, one broker, one database; each step is what a task of the DAG does."""

    url: str
    broker: Broker = field(init=False)
    engine: sa.Engine = field(init=False)
    terms: Account = TERMS
    now: dt.datetime = NOW
    bars: pl.DataFrame = field(default_factory=lambda: BARS)

    def __post_init__(self) -> None:
        self.engine = sa.create_engine(self.url)
        self.broker = PaperBroker("paper", self.url, lambda: self.now)

    def close(self) -> None:
        asyncio.run(self.broker.close())
        self.engine.dispose()

    def open(self, session: dt.date = DAYS[0]) -> None:
        open_account(self.engine, self.terms, session)
        quotes = quotes_from_bars(self.bars, after=None, until=session)
        self.tell_opens(session)
        store_quotes(self.engine, self.terms.account, quotes)

    def quote(self, session: dt.date, after: dt.date | None = None) -> None:
        after = after or SESSIONS[SESSIONS.index(session) - 1]
        quotes = quotes_from_bars(self.bars, after=after, until=session)
        store_quotes(self.engine, self.terms.account, quotes)
        self.tell_opens(session)

    def tell_opens(self, session: dt.date) -> None:
        coming = SESSIONS[SESSIONS.index(session) + 1]
        with self.engine.begin() as connection:
            store_openings(connection, self.terms.account, {coming: opens_at(coming)})

    def signal(self, session: dt.date, weights: Mapping[str, float], version: int = 1) -> None:
        SignalBook(self.url).store(
            SignalSet(
                strategy=self.terms.account,
                session=session,
                trade_session=SESSIONS[SESSIONS.index(session) + 1],
                model_version=version,
                snapshot_id="a" * 64,
                weights=weights,
            )
        )

    def settle(self, session: dt.date) -> tuple[Settled, ...]:
        return asyncio.run(settle(self.engine, self.broker, self.terms.account, session))

    def submit(self, session: dt.date, version: int | None = None) -> Submitted:
        name = self.terms.account
        return asyncio.run(submit(self.engine, self.broker, name, session, version, now=self.now))

    def reconcile(self) -> Reconciled:
        return asyncio.run(reconcile(self.engine, self.broker, self.terms.account))

    def run(self, session: dt.date, weights: Mapping[str, float]) -> None:
        """One run of the DAG: all of it after a session's close."""
        self.signal(session, weights)
        if self.terms.account not in account_names(self.engine):
            self.open(session)
        else:
            self.quote(session)
        self.settle(session)
        self.reconcile()
        self.submit(session)
        self.reconcile()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    def change(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement))


def expected_books(
    days: list[dt.date], weights: Sequence[Mapping[str, float]], rules: Backtest = RULES
) -> Books:
    """The backtest's own accounting of the same sessions."""
    asked = pl.DataFrame(
        [
            (symbol, day, weight)
            for day, each in zip(days, weights, strict=True)
            for symbol, weight in each.items()
        ],
        schema={"symbol": pl.String, "session": pl.Date, "weight": pl.Float64},
        orient="row",
    )
    used = BARS.filter(pl.col("session").is_in(days))
    return keep_books(asked, used, rules, sizing="close")


def assert_same(desk: Desk, books: Books) -> None:
    """Every booking, position and equity of the book is the backtest's, to the cent."""
    name = desk.terms.account
    ledger = desk.rows(
        "SELECT session, symbol, kind, shares, price, amount FROM trading.bookings "
        f"WHERE kind <> 'capital' AND account = '{name}' ORDER BY id"
    )
    assert ledger == books.ledger.rows()
    equity = desk.rows(
        "SELECT session, cash, positions, equity FROM trading.equity "
        f"WHERE account = '{name}' ORDER BY 1"
    )
    assert equity == books.equity.rows()
    last = books.equity.get_column("session")[-1]
    held = desk.rows(
        "SELECT symbol, sum(shares)::bigint FROM trading.bookings "
        f"WHERE symbol <> '' AND account = '{name}' "
        "GROUP BY symbol HAVING sum(shares) <> 0 ORDER BY symbol"
    )
    now = books.positions.filter(pl.col("session") == last).select("symbol", "shares")
    assert held == now.rows()

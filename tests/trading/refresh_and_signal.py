"""From a vendor's bars to an account's signals and quotes, in a process that may be killed.

``python -m tests.trading.refresh_and_signal`` reads what to do as JSON from standard input. It does
what the tasks `ingest`, `signal` and `quote` do after a session, by the same functions; done again,
it finds its work done.
"""

import json
import sys
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from tests.trading.books import SYMBOLS, TERMS, opens_at
from tradewind.market.ingest import ingest
from tradewind.market.sources.source import SourceSpec, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.research.evaluation.predict import wanted_weights
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.models.model import fit
from tradewind.research.strategy.strategy import Strategy
from tradewind.trading.book.accounts import open_account
from tradewind.trading.book.present import store_openings
from tradewind.trading.book.quotes import quotes_from_bars, store_quotes
from tradewind.trading.signals import SignalBook, SignalSet, tradable_weights

# What the account is charged is the broker's to say: Alpaca takes no commission.
ACCOUNT = replace(TERMS, commission_bps=Decimal(0), slippage_bps=Decimal(0), execution="live")


@dataclass(frozen=True)
class Day:
    """What to do.

    Attributes
    ----------
    account : str
    url : str
        The vendor's.
    database : str
    home : str
        Folder of the store.
    trained_until, session, coming : str
        Dates: the last that the model has seen, the one that is over, and the next.
    known_at : str
        When the vendor is asked.
    """

    account: str
    url: str
    database: str
    home: str
    trained_until: str
    session: str
    coming: str
    known_at: str


def strategy_of(account: str) -> Strategy:
    return Strategy.model_validate(
        {
            "name": account,
            "description": "a straight line, long and short",
            "universe": {"source": "vendor", "symbols": list(SYMBOLS)},
            "horizon": 1,
            "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
            "model": {"kind": "ridge", "alpha": 1.0},
            "walk_forward": {"train": 252, "test": 63},
            "backtest": {"positions": "long_short", "max_gross": 1.0, "commission_bps": 0.0,
                         "slippage_bps": 0.0, "borrow_bps": 50.0},
        }
    )  # fmt: skip


def source_of(url: str) -> SourceSpec:
    options: dict[str, Any] = {"symbols": list(SYMBOLS), "start": "2003-01-02", "base_url": url}
    return SourceSpec(name="vendor", kind="alpaca", calendar="XNYS", schedule=None,
                      complete_after=7, options=options)  # fmt: skip


def fitted(bars: pl.DataFrame, strategy: Strategy, until: date) -> Any:
    """Fit the champion, which is the same each time."""
    seen = bars.filter(pl.col("session") <= until)
    rows = compute_features(seen, strategy).join(
        compute_labels(seen, strategy), on=["symbol", "session"]
    )
    return fit(rows.sort("session", "symbol"), strategy)


def do(day: Day) -> None:
    session, coming = date.fromisoformat(day.session), date.fromisoformat(day.coming)
    spec, strategy, store = source_of(day.url), strategy_of(day.account), BarStore(day.home)
    known_at = datetime.fromisoformat(day.known_at)
    done = ingest(open_source(spec), spec, store, known_at=known_at, backdate=True)
    assert not done.failed, done.failed
    bars = store.bars("vendor", list(SYMBOLS))
    assert bars["session"].max() == session, "the vendor has not told all"
    model = fitted(bars, strategy, date.fromisoformat(day.trained_until))
    weights = wanted_weights(model, bars, strategy, sessions=strategy.horizon)
    SignalBook(day.database).store(
        SignalSet(
            strategy=day.account, session=session, trade_session=coming, model_version=1,
            snapshot_id="a" * 64, weights=tradable_weights(weights, bars),
        )
    )  # fmt: skip
    engine = sa.create_engine(day.database, poolclass=sa.NullPool)
    terms = replace(ACCOUNT, account=day.account)
    open_account(engine, terms, session)
    # The book goes by this machine's clock, so its open is in the future; the stand-in has its own.
    with engine.begin() as connection:
        store_openings(connection, day.account, {coming: opens_at(coming).replace(year=2099)})
    store_quotes(engine, day.account, quotes_from_bars(bars, after=None, until=session))


if __name__ == "__main__":
    do(Day(**json.load(sys.stdin)))

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import pytest
import sqlalchemy as sa

from tradewind.errors import TradingError
from tradewind.market.sources import sample
from tradewind.trading.signals import SignalBook, SignalSet, refuse_late_bars, tradable_weights

FIRST = SignalSet(
    strategy="momentum",
    session=dt.date(2013, 2, 28),
    trade_session=dt.date(2013, 3, 1),
    model_version=3,
    snapshot_id="a" * 64,
    weights={"AAPL": 0.1 + 0.2, "IBM": -0.25},
)


def test_what_was_stored_comes_back_to_the_last_bit(database_url: str) -> None:
    book = SignalBook(database_url)
    assert book.latest("momentum", 3) is None
    assert book.store(FIRST) == FIRST
    assert book.latest("momentum", 3) == FIRST
    assert book.latest("other", 3) is None


def test_a_set_once_stored_is_never_changed(database_url: str) -> None:
    book = SignalBook(database_url)
    later = replace(FIRST, weights={"AAPL": 0.9}, snapshot_id="b" * 64)
    book.store(FIRST)
    assert book.store(later) == FIRST
    assert book.latest("momentum", 3) == FIRST


def test_the_latest_is_of_the_version_asked_for_and_of_its_last_session(database_url: str) -> None:
    book = SignalBook(database_url)
    newer_model = replace(FIRST, model_version=4, weights={"IBM": 1.0})
    next_day = replace(FIRST, session=dt.date(2013, 3, 1), trade_session=dt.date(2013, 3, 4))
    for signals in (newer_model, FIRST):
        book.store(signals)
    # After a rollback to version 3 it is that version's word, though version 4 spoke, too.
    assert book.latest("momentum", 3) == FIRST
    assert book.latest("momentum", 4) == newer_model
    book.store(next_day)
    assert book.latest("momentum", 3) == next_day


def test_workers_that_store_at_one_moment_agree_on_one_set(database_url: str) -> None:
    candidates = [replace(FIRST, weights={"AAPL": i / 10}) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda s: SignalBook(database_url).store(s), candidates))
    assert all(signals == stored[0] for signals in stored)
    assert stored[0] in candidates


def test_an_empty_set_is_refused(database_url: str) -> None:
    with pytest.raises(TradingError, match="no weights"):
        SignalBook(database_url).store(replace(FIRST, weights={}))


def test_a_database_out_of_reach_is_said_to_be(database_url: str) -> None:
    away = sa.make_url(database_url).set(port=1).render_as_string(hide_password=False)
    with pytest.raises(TradingError, match="tradewind status"):
        SignalBook(away).latest("momentum", 3)


def test_a_session_is_not_decided_on_before_all_its_bars_are_there() -> None:
    bars = sample.load(["GOOG", "IBM", "MSFT"])
    days = bars.get_column("session").unique().sort()
    refuse_late_bars(bars)
    refuse_late_bars(bars.filter(pl.col("session") == days[-1]))
    late = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") < days[-1]))
    with pytest.raises(TradingError, match=f"no bar of IBM on {days[-1]} yet"):
        refuse_late_bars(late)
    gone = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") < days[-2]))
    refuse_late_bars(gone)


def test_a_symbol_without_a_bar_is_wanted_no_more() -> None:
    bars = sample.load(["GOOG", "IBM", "MSFT"])
    days = bars.get_column("session").unique().sort().tail(4)
    weights = pl.DataFrame({"session": days}).join(
        pl.DataFrame({"symbol": ["GOOG", "IBM"], "weight": [0.25, -0.5]}), how="cross"
    )
    assert tradable_weights(weights, bars) == {"GOOG": 0.25, "IBM": -0.5}
    gone = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") <= days[1]))
    assert tradable_weights(weights, gone) == {"GOOG": 0.25, "IBM": 0.0}
    earlier = weights.filter(pl.col("session") <= days[1])
    assert tradable_weights(earlier, gone) == {"GOOG": 0.25, "IBM": -0.5}


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_not_stored(database_url: str, weight: float) -> None:
    book = SignalBook(database_url)
    with pytest.raises(TradingError, match="weight of IBM wanted by momentum after 2013-02-28 is"):
        book.store(replace(FIRST, weights={"AAPL": 0.1, "IBM": weight}))
    assert book.latest("momentum", 3) is None
    assert book.store(FIRST) == FIRST

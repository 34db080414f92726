"""Where the leak check cuts."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest

from tradewind.errors import ResearchError
from tradewind.research.features._leak_dates import common_cuts, own_cuts, spans


def test_each_symbol_has_dates_of_its_own_and_all_days_of_the_month(bars: pl.DataFrame) -> None:
    cuts = own_cuts(bars, rounds=62, seed=1)
    starts, sizes = spans(bars)
    assert cuts.shape == (62, len(starts))
    assert (cuts >= 1).all()
    assert (cuts < sizes).all()
    sessions = bars["session"]
    for place, start in enumerate(starts):
        dates = {sessions[int(start + kept - 1)] for kept in cuts[:, place]}
        assert {date.day for date in dates} == set(range(1, 32))
        leap_days = [date for date in dates if (date.month, date.day) == (2, 29)]
        assert leap_days or bars["symbol"][int(start)] == "FB"  # listed after the last one
    for one, other in itertools.combinations(range(len(starts)), 2):
        assert not np.array_equal(cuts[:, one], cuts[:, other])


def test_sessions_around_splits_and_month_ends_are_cut(bars: pl.DataFrame) -> None:
    cuts = own_cuts(bars, rounds=62, seed=1)
    starts, _ = spans(bars)
    cut = {
        (bars["symbol"][int(row)], bars["session"][int(row)])
        for kept in cuts for row in starts + kept - 1
    }  # fmt: skip
    for symbol, session in (
        ("MSFT", dt.date(2003, 2, 14)),
        ("MSFT", dt.date(2003, 2, 18)),
        ("MSFT", dt.date(2003, 2, 19)),
    ):
        assert (symbol, session) in cut
    ends = bars.group_by("symbol", pl.col("session").dt.truncate("1mo")).agg(
        pl.max("session").alias("last")
    )
    assert cut & set(ends.select("symbol", "last").iter_rows())


def test_the_seed_decides(bars: pl.DataFrame) -> None:
    assert np.array_equal(own_cuts(bars, rounds=9, seed=1), own_cuts(bars, rounds=9, seed=1))
    assert not np.array_equal(own_cuts(bars, rounds=9, seed=1), own_cuts(bars, rounds=9, seed=2))


def test_common_cuts_hold_whole_sessions(bars: pl.DataFrame) -> None:
    own = own_cuts(bars, rounds=20, seed=1)
    starts, sizes = spans(bars)
    sessions = bars["session"].to_numpy()
    common = common_cuts(bars, own, rounds=12)
    assert common.shape == (12, len(starts))
    for kept in common:
        some = kept > 0
        last = max(sessions[starts[some] + kept[some] - 1])
        for start, size, count in zip(starts, sizes, kept, strict=True):
            own_sessions = sessions[start : start + size]
            assert (own_sessions[:count] <= last).all()
            assert (own_sessions[count:] > last).all()


def test_one_bar_and_few_rounds(bars: pl.DataFrame) -> None:
    one = bars.filter(pl.col("session") == dt.date(2005, 3, 1))
    assert (own_cuts(one, rounds=5, seed=1) == 1).all()
    with pytest.raises(ResearchError, match="needs 3 rounds or more, not 2"):
        own_cuts(bars, rounds=2, seed=1)

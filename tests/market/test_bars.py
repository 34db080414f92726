import datetime as dt

import polars as pl
import pytest

from tradewind.market.bars import adjusted


@pytest.mark.parametrize(
    ("symbol", "session", "expected"),
    [
        ("AAPL", dt.date(2000, 6, 21), 55.63 * 2 / 101.25 - 1),  # 2:1 split, no dividend
        ("AAPL", dt.date(2000, 9, 29), 25.75 / 53.5 - 1),  # a crash stays a crash
        ("AAPL", dt.date(2005, 2, 28), 44.86 * 2 / 88.99 - 1),
        ("MSFT", dt.date(2003, 2, 18), 24.96 * 2 / 48.3 - 1),
        # 3.08 in dividends; the vendor reinvests at the close: 1 + dividend / close
        ("MSFT", dt.date(2004, 11, 15), 27.39 * (1 + 3.08 / 27.39) / 29.97 - 1),
    ],
)
def test_adjusted_returns_match_a_hand_count(
    bars: pl.DataFrame, symbol: str, session: dt.date, expected: float
) -> None:
    closes = adjusted(bars).filter(pl.col("symbol") == symbol)
    returns = closes.with_columns(pl.col("close").pct_change().alias("return"))
    [found] = returns.filter(pl.col("session") == session).get_column("return")
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_last_session_is_its_own_reference(bars: pl.DataFrame) -> None:
    raw, last = bars.group_by("symbol").last().sort("symbol"), adjusted(bars)
    last = last.group_by("symbol").last().sort("symbol")
    assert raw.height == 5
    assert last.get_column("close").equals(raw.get_column("close"))
    assert last.get_column("volume").equals(raw.get_column("volume").cast(pl.Float64))


def test_split_adjusted_volume_counts_shares_of_the_last_sessions_size(bars: pl.DataFrame) -> None:
    first = adjusted(bars).row(0, named=True)
    assert (first["symbol"], first["session"]) == ("AAPL", dt.date(2000, 3, 1))
    assert first["volume"] == 9_616_100 * 4  # two splits of 2:1 came after

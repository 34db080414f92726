import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.research.features.labels import compute_labels
from tradewind.research.strategy.judging import Label
from tradewind.research.strategy.strategy import Strategy


def with_horizon(strategy: Strategy, horizon: int) -> Strategy:
    return strategy.model_copy(update={"horizon": horizon})


@pytest.mark.parametrize(
    ("horizon", "days", "expected"),
    [
        # decided at the close of 2005-02-25, bought at the open of the split day
        (1, (dt.date(2005, 2, 25), dt.date(2005, 2, 28)), 44.86 / 44.68 - 1),
        (2, (dt.date(2005, 2, 25), dt.date(2005, 3, 1)), 44.50 / 44.68 - 1),
        # bought before the split at 89.62, sold after it
        (2, (dt.date(2005, 2, 24), dt.date(2005, 2, 28)), 44.86 * 2 / 89.62 - 1),
        # bought at the open of 2000-09-28, sold at the close of the crash
        (2, (dt.date(2000, 9, 27), dt.date(2000, 9, 29)), 25.75 / 49.31 - 1),
    ],
)
def test_labels_match_a_hand_count(
    bars: pl.DataFrame,
    strategy: Strategy,
    horizon: int,
    days: tuple[dt.date, dt.date],
    expected: float,
) -> None:
    labels = compute_labels(bars, with_horizon(strategy, horizon))
    row = labels.filter(pl.col("symbol") == "AAPL", pl.col("session") == days[0])
    assert row.get_column("label").item() == pytest.approx(expected)
    assert row.get_column("label_end").item() == days[1]


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_a_label_ends_exactly_horizon_sessions_later(
    bars: pl.DataFrame, strategy: Strategy, horizon: int
) -> None:
    labels = compute_labels(bars, with_horizon(strategy, horizon))
    sessions = bars.get_column("session").unique().sort().to_list()
    place = {session: at for at, session in enumerate(sessions)}
    assert labels.height > 0
    assert {
        place[end] - place[start] for start, end in labels.select("session", "label_end").rows()
    } == {horizon}
    counts = dict(labels.group_by("symbol").len().rows())
    assert counts == dict.fromkeys(("AAPL", "IBM", "MSFT"), 3270 - horizon) | {
        "GOOG": 2148 - horizon
    }


def test_prices_after_its_end_do_not_change_a_label(bars: pl.DataFrame, strategy: Strategy) -> None:
    cut = dt.date(2008, 9, 15)
    later = pl.col("session") > cut
    changed = bars.with_columns(
        pl.when(later).then(pl.col(name) * 1.7).otherwise(name).alias(name)
        for name in ("open", "close")
    )
    before, after = (
        compute_labels(frame, strategy).filter(pl.col("label_end") <= cut)
        for frame in (bars, changed)
    )
    assert before.height > 0
    assert before.equals(after)


def test_a_missing_bar_shortens_no_label_and_stretches_none(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    gap = dt.date(2010, 6, 15)
    holed = bars.filter(~((pl.col("symbol") == "IBM") & (pl.col("session") == gap)))
    whole, found = (
        compute_labels(frame, with_horizon(strategy, 5)).filter(pl.col("symbol") == "IBM")
        for frame in (bars, holed)
    )
    # gone: the decision that day, the one bought that day and the one sold that day
    assert found.height == whole.height - 3
    assert whole.join(found, on=whole.columns, how="semi").equals(found)


@pytest.mark.parametrize("delisting_return", [0.0, -0.3])
def test_the_labels_of_a_delisted_symbol_end_with_what_its_shares_were_sold_at(
    bars: pl.DataFrame, strategy: Strategy, delisting_return: float
) -> None:
    last = dt.date(2010, 6, 15)
    ended = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") <= last))
    rules = strategy.backtest.model_copy(update={"delisting_return": delisting_return})
    five = with_horizon(strategy, 5).model_copy(update={"backtest": rules})
    whole, found = (
        compute_labels(frame, five).filter(pl.col("symbol") == "IBM") for frame in (bars, ended)
    )
    known = pl.col("label_end") <= last
    assert found.filter(known).equals(whole.filter(known))
    # The last that can be bought is bought at the last open; a label ends when all others' do.
    rest = found.filter(~known)
    assert rest.drop("label").equals(whole.filter(~known, pl.col("session") < last).drop("label"))
    assert rest.height == 4
    assert rest.get_column("session")[-1] == dt.date(2010, 6, 14)
    opened, closed = (
        bars.filter(pl.col("symbol") == "IBM", pl.col("session") == last)
        .select("open", "close")
        .row(0)
    )
    assert rest.get_column("label")[-1] == pytest.approx(
        closed * (1 + delisting_return) / opened - 1
    )


def test_what_the_newest_sessions_earn_is_not_known_of_a_delisted_symbol_either(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    days = bars.get_column("session").unique().sort()
    ended = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") <= days[-3]))
    labels = compute_labels(ended, with_horizon(strategy, 5))
    assert labels.group_by("symbol").agg(pl.max("session")).get_column(
        "session"
    ).unique().to_list() == [days[-6]]


def test_costs_bring_a_label_nearer_to_zero_and_never_past_it(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    rules = strategy.backtest.model_copy(update={"commission_bps": 1.0, "slippage_bps": 4.0})
    daily = with_horizon(strategy, 1).model_copy(update={"backtest": rules})
    before = compute_labels(bars, daily)
    after = compute_labels(bars, daily.model_copy(update={"label": Label(after_costs=True)}))
    assert after.drop("label").equals(before.drop("label"))
    found = dict(after.filter(pl.col("symbol") == "AAPL").select("session", "label").rows())
    # ten basis points there and back; opens and closes as they were traded
    assert found[dt.date(2005, 2, 25)] == pytest.approx(44.86 / 44.68 - 1 - 0.001)
    assert found[dt.date(2000, 9, 28)] == pytest.approx(25.75 / 28.19 - 1 + 0.001)
    paid, free = after["label"].to_numpy(), before["label"].to_numpy()
    small = np.abs(free) <= 0.001
    assert 500 < small.sum() < free.size / 4
    assert np.all(paid[small] == 0.0)
    np.testing.assert_allclose((free - paid)[~small], 0.001 * np.sign(free[~small]), atol=1e-15)


@pytest.mark.parametrize("after_costs", [False, True])
def test_a_direction_is_the_sign_of_the_return(
    bars: pl.DataFrame, strategy: Strategy, after_costs: bool
) -> None:
    returns, signs = (
        compute_labels(
            bars,
            strategy.model_copy(update={"label": Label(kind=kind, after_costs=after_costs)}),
        )["label"]
        for kind in ("forward_return", "direction")
    )
    assert set(signs) == {-1.0, 0.0, 1.0}
    assert signs.equals(returns.sign())
    assert (signs == 0.0).sum() == (returns == 0.0).sum()

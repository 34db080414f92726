import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import BacktestError
from tradewind.market.bars import SCHEMA, adjusted
from tradewind.research.backtest import run_backtest

DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4, 5)]
SYMBOLS = ["AAPL", "IBM", "MSFT"]


def make_bars(symbol: str, prices: list[tuple[float, float]]) -> pl.DataFrame:
    """Bars with the given (open, close) on the first days."""
    return pl.DataFrame(
        [
            (symbol, day, o, max(o, c), min(o, c), c, 100, 1.0, 1.0)
            for day, (o, c) in zip(DAYS, prices, strict=False)
        ],
        schema=SCHEMA,
        orient="row",
    )


def make_weights(symbol: str, values: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"symbol": symbol, "session": DAYS[: len(values)], "weight": values})


def test_each_session_matches_a_hand_count() -> None:
    bars = make_bars("A", [(10, 10), (10, 11), (12, 12), (9, 9)])
    found = run_backtest(make_weights("A", [1.0, 0.5, 0.0, 1.0]), bars, cost_bps=100)
    # day 2: all bought at 10 for 1 %, closed at 11. Day 3: up to 12 overnight, half sold.
    # Day 4: half of equity falls from 12 to 9; what is left, 0.375 of 0.875, is sold.
    left = 0.375 / 0.875
    assert found.get_column("turnover").to_list() == pytest.approx([0.0, 1.0, 0.5, left])
    assert found.get_column("cost").to_list() == pytest.approx([0.0, 0.01, 0.005, left / 100])
    assert found.get_column("gross_return").to_list() == pytest.approx([0.0, 0.1, 1 / 11, -0.125])
    net = [0.0, 1.1 * 0.99 - 1, 12 / 11 * 0.995 - 1, 0.875 * (1 - left / 100) - 1]
    assert found.get_column("net_return").to_list() == pytest.approx(net)
    equity = np.cumprod(1 + np.array(net))
    assert found.get_column("equity").to_list() == pytest.approx(equity.tolist())
    assert found.get_column("drawdown").to_list() == pytest.approx([0, 0, 0, net[-1]])
    assert found.get_column("benchmark").to_list() == pytest.approx([1.0, 1.1, 1.2, 0.9])


def test_a_short_earns_what_a_long_loses() -> None:
    bars = make_bars("A", [(10, 10), (10, 9), (8, 8)])
    found = run_backtest(make_weights("A", [-1.0, 0.0, 0.0]), bars, cost_bps=0)
    # sold at 10, bought back at 8: of 1.0, 0.2 is earned
    assert found.get_column("equity").to_list() == pytest.approx([1.0, 1.1, 1.2])
    assert found.get_column("turnover").to_list() == pytest.approx([0.0, 1.0, 0.8 / 1.2])


def test_a_decision_earns_nothing_before_the_next_open() -> None:
    bars = make_bars("A", [(10, 10), (20, 20), (20, 20)])
    found = run_backtest(make_weights("A", [1.0, 1.0, 1.0]), bars, cost_bps=0)
    assert found.get_column("equity").to_list() == [1.0, 1.0, 1.0]


def test_a_split_while_holding_is_no_loss(bars: pl.DataFrame) -> None:
    days = [dt.date(2005, 2, day) for day in (24, 25, 28)]
    weights = pl.DataFrame({"symbol": "AAPL", "session": days, "weight": [1.0] * 3})
    found = run_backtest(weights, bars, cost_bps=0)
    # bought at the open of 25 February at 89.62, split 2:1 on 28 February
    assert found.get_column("equity")[-1] == pytest.approx(44.86 * 2 / 89.62)


def ledger(weights: pl.DataFrame, bars: pl.DataFrame, cost_bps: float) -> list[float]:
    """Keep cash and shares by hand, session after session."""
    prices = {
        (s, d): (o, c)
        for s, d, o, c in adjusted(bars).select("symbol", "session", "open", "close").iter_rows()
    }
    wanted = {(s, d): w for s, d, w in weights.iter_rows()}
    sessions = sorted({d for _, d in wanted})
    symbols = sorted({s for s, _ in wanted})
    cash, shares, closes = 1.0, dict.fromkeys(symbols, 0.0), [1.0]
    for before, today in itertools.pairwise(sessions):
        equity = cash + sum(shares[s] * prices[s, today][0] for s in symbols)
        traded = sum(
            abs(wanted[s, before] * equity - shares[s] * prices[s, today][0]) for s in symbols
        )
        equity -= traded * cost_bps / 10_000
        shares = {s: wanted[s, before] * equity / prices[s, today][0] for s in symbols}
        cash = equity - sum(shares[s] * prices[s, today][0] for s in symbols)
        closes.append(cash + sum(shares[s] * prices[s, today][1] for s in symbols))
    return closes


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 3240),
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(2, 30),
    cost_bps=st.floats(0, 200),
)
def test_equity_is_that_of_a_ledger_of_cash_and_shares(
    bars: pl.DataFrame, start: int, seed: int, length: int, cost_bps: float
) -> None:
    traded = bars.filter(pl.col("symbol").is_in(SYMBOLS))
    sessions = traded.get_column("session").unique().sort().slice(start, length)
    draw = np.random.default_rng(seed)
    weights = sessions.to_frame().join(pl.DataFrame({"symbol": SYMBOLS}), how="cross")
    weights = weights.select(
        "symbol", "session", pl.Series("weight", draw.uniform(-0.5, 0.6, weights.height))
    )
    found = run_backtest(weights, traded, cost_bps=cost_bps)
    equity = found.get_column("equity").to_numpy()
    assert equity == pytest.approx(ledger(weights, traded, cost_bps), rel=1e-10)
    assert (found.get_column("cost") >= 0).all()
    assert (found.get_column("drawdown") <= 0).all()
    net, gross, cost = (
        found.get_column(c).to_numpy() for c in ("net_return", "gross_return", "cost")
    )
    assert 1 + net == pytest.approx((1 + gross) * (1 - cost))
    free = run_backtest(weights, traded, cost_bps=0).get_column("equity").to_numpy()
    assert (equity <= free * (1 + 1e-12)).all()


def test_later_prices_change_no_earlier_session(bars: pl.DataFrame) -> None:
    ibm = bars.filter(pl.col("symbol") == "IBM")
    weights = ibm.select("symbol", "session", pl.lit(0.7).alias("weight"))
    cut = dt.date(2008, 9, 15)
    doubled = ibm.with_columns(
        pl.when(pl.col("session") > cut).then(pl.col(name) * 2).otherwise(name).alias(name)
        for name in ("open", "close")
    )
    columns = ["session", "net_return", "equity", "drawdown", "turnover"]
    before, after = (
        run_backtest(weights, frame, cost_bps=5).select(columns).filter(pl.col("session") <= cut)
        for frame in (ibm, doubled)
    )
    assert before.height > 2000
    assert before.equals(after)


def test_the_benchmark_holds_what_is_quoted_throughout() -> None:
    late = make_bars("B", [(5, 5), (5, 5), (5, 10), (10, 20)]).tail(2)
    bars = pl.concat([make_bars("A", [(10, 10), (10, 11), (12, 12), (9, 9)]), late])
    weights = pl.concat([make_weights("A", [0.0] * 4), make_weights("B", [0.0] * 4)])
    found = run_backtest(weights, bars, cost_bps=0).get_column("benchmark")
    assert found.to_list() == pytest.approx([1.0, 1.1, 1.2, 0.9])


def test_a_position_without_a_price_is_refused() -> None:
    bars = pl.concat([make_bars("A", [(10, 10)] * 4), make_bars("B", [(5, 5)] * 2)])
    weights = pl.concat([make_weights("A", [0.5] * 4), make_weights("B", [0.5] * 4)])
    with pytest.raises(BacktestError, match="B is held on 2024-01-04 but has no price"):
        run_backtest(weights, bars, cost_bps=0)


def test_a_position_that_cannot_be_sold_is_refused() -> None:
    bars = pl.concat([make_bars("A", [(10, 10)] * 4), make_bars("B", [(5, 5)] * 2)])
    weights = pl.concat([make_weights("A", [0.0] * 4), make_weights("B", [0.5, 0.0, 0.0, 0.0])])
    with pytest.raises(BacktestError, match="B is held on 2024-01-04 but has no price"):
        run_backtest(weights, bars, cost_bps=0)


@pytest.mark.parametrize(
    ("weights", "cost_bps", "reason"),
    [
        (
            make_weights("A", [1.0, 1.0, 1.0]).filter(pl.col("session") != DAYS[1]),
            0,
            "disagree on the session 2024-01-03",
        ),
        (make_weights("B", [1.0, 1.0]), 0, "no bars of B"),
        (make_weights("A", []), 0, "no weights"),
        (make_weights("A", [1.0, 1.0]), -1, "cost_bps"),
        (make_weights("A", [1.0, 1.0]), float("nan"), "cost_bps"),
    ],
)
def test_what_cannot_be_traded_is_refused(
    weights: pl.DataFrame, cost_bps: float, reason: str
) -> None:
    with pytest.raises(BacktestError, match=reason):
        run_backtest(weights, make_bars("A", [(10, 10)] * 4), cost_bps=cost_bps)


def test_ruin_is_an_error_with_its_day() -> None:
    bars = make_bars("A", [(10, 10), (10, 10), (25, 25)])
    with pytest.raises(BacktestError, match="all equity is lost on 2024-01-04"):
        run_backtest(make_weights("A", [-1.0, -1.0, 0.0]), bars, cost_bps=0)

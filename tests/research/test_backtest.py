import datetime as dt
import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import BacktestError
from tradewind.market.bars import PRICES, SCHEMA, adjusted
from tradewind.research.backtest.run import run_backtest
from tradewind.research.strategy.judging import Backtest

DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4, 5)]
SYMBOLS = ["AAPL", "IBM", "MSFT"]
FREE = Backtest(commission_bps=0.0, slippage_bps=0.0)


def costs(trading_bps: float, borrow_bps: float = 0.0) -> Backtest:
    return Backtest(
        commission_bps=trading_bps / 4, slippage_bps=trading_bps * 3 / 4, borrow_bps=borrow_bps
    )


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


def make_weights(symbol: str, values: Sequence[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": symbol, "session": DAYS[: len(values)], "weight": values},
        schema_overrides={"weight": pl.Float64},
    )


def test_each_session_matches_a_hand_count() -> None:
    bars = make_bars("A", [(10, 10), (10, 11), (12, 12), (9, 9)])
    found = run_backtest(make_weights("A", [1.0, 0.5, 0.0, 1.0]), bars, costs(100.0))
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
    found = run_backtest(make_weights("A", [-1.0, 0.0, 0.0]), bars, FREE)
    # sold at 10, bought back at 8: of 1.0, 0.2 is earned
    assert found.get_column("equity").to_list() == pytest.approx([1.0, 1.1, 1.2])
    assert found.get_column("turnover").to_list() == pytest.approx([0.0, 1.0, 0.8 / 1.2])


def test_a_decision_earns_nothing_before_the_next_open() -> None:
    bars = make_bars("A", [(10, 10), (20, 20), (20, 20)])
    found = run_backtest(make_weights("A", [1.0, 1.0, 1.0]), bars, FREE)
    assert found.get_column("equity").to_list() == [1.0, 1.0, 1.0]


def test_a_split_while_holding_is_no_loss(bars: pl.DataFrame) -> None:
    days = [dt.date(2005, 2, day) for day in (24, 25, 28)]
    weights = pl.DataFrame({"symbol": "AAPL", "session": days, "weight": [1.0] * 3})
    found = run_backtest(weights, bars, FREE)
    # bought at the open of 25 February at 89.62, split 2:1 on 28 February
    assert found.get_column("equity")[-1] == pytest.approx(44.86 * 2 / 89.62)


def ledger(weights: pl.DataFrame, bars: pl.DataFrame, rules: Backtest) -> list[float]:
    """Keep cash and shares by hand, session after session."""
    prices = {
        (s, d): (o, c)
        for s, d, o, c in adjusted(bars).select("symbol", "session", "open", "close").iter_rows()
    }
    wanted = {(s, d): w for s, d, w in weights.iter_rows()}
    sessions = sorted({d for _, d in wanted})
    symbols = sorted({s for s, _ in wanted})
    for symbol in symbols:
        last = max(d for s, d in prices if s == symbol)
        paid = prices[symbol, last][1] * (1 + rules.delisting_return)
        for session in sessions:
            if session > last:
                prices[symbol, session] = (paid, paid)
            if session >= last:  # there is no open at which it could be bought any more
                wanted[symbol, session] = 0.0
    cash, shares, closes = 1.0, dict.fromkeys(symbols, 0.0), [1.0]
    trading = (rules.commission_bps + rules.slippage_bps) / 10_000
    for before, today in itertools.pairwise(sessions):
        lent = sum(max(-shares[s], 0.0) * prices[s, before][1] for s in symbols)
        cash -= lent * rules.borrow_bps / 10_000 * (today - before).days / 365
        equity = cash + sum(shares[s] * prices[s, today][0] for s in symbols)
        traded = sum(
            abs(wanted[s, before] * equity - shares[s] * prices[s, today][0]) for s in symbols
        )
        equity -= traded * trading
        shares = {s: wanted[s, before] * equity / prices[s, today][0] for s in symbols}
        cash = equity - sum(shares[s] * prices[s, today][0] for s in symbols)
        closes.append(cash + sum(shares[s] * prices[s, today][1] for s in symbols))
    return closes


def random_weights(sessions: pl.Series, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    weights = sessions.to_frame().join(pl.DataFrame({"symbol": SYMBOLS}), how="cross")
    return weights.select(
        "symbol", "session", pl.Series("weight", draw.uniform(-0.5, 0.6, weights.height))
    )


# first session, how many sessions, seed of the weights
CASES = st.tuples(st.integers(0, 3240), st.integers(3, 30), st.integers(0, 2**32 - 1))
BPS = st.tuples(st.floats(0, 200), st.floats(0, 1000))  # of trading, of borrowing


@pytest.fixture(scope="module")
def three(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.filter(pl.col("symbol").is_in(SYMBOLS))


def span(bars: pl.DataFrame, start: int, length: int) -> pl.Series:
    return bars.get_column("session").unique().sort().slice(start, length)


def weights_of(case: tuple[int, int, int], bars: pl.DataFrame) -> pl.DataFrame:
    start, length, seed = case
    return random_weights(span(bars, start, length), seed)


@settings(max_examples=40, deadline=None)
@given(case=CASES, bps=BPS)
def test_equity_is_that_of_a_ledger_of_cash_and_shares(
    three: pl.DataFrame, case: tuple[int, int, int], bps: tuple[float, float]
) -> None:
    rules = costs(*bps)
    weights = weights_of(case, three)
    found = run_backtest(weights, three, rules)
    equity = found.get_column("equity").to_numpy()
    assert equity == pytest.approx(ledger(weights, three, rules), rel=1e-10)
    assert (found.get_column("drawdown") <= 0).all()
    net, gross, cost, borrow = (
        found.get_column(c).to_numpy()
        for c in ("net_return", "gross_return", "cost", "borrow_cost")
    )
    assert 1 + net == pytest.approx((1 + gross) * (1 - borrow) * (1 - cost), rel=1e-14)


@settings(max_examples=40, deadline=None)
@given(case=CASES, bps=BPS)
def test_costs_only_ever_lower_equity(
    three: pl.DataFrame, case: tuple[int, int, int], bps: tuple[float, float]
) -> None:
    weights = weights_of(case, three)
    free, traded, both = (
        run_backtest(weights, three, rules) for rules in (FREE, costs(bps[0]), costs(*bps))
    )
    assert (both.select("cost", "borrow_cost").min_horizontal() >= 0).all()
    gross = [frame.get_column("gross_return") for frame in (free, traded, both)]
    assert gross[0].equals(gross[1])
    assert gross[0].equals(gross[2])
    for frame in (traded, both):
        assert (frame.get_column("equity") <= free.get_column("equity")).all()
    if bps[0] > 1e-6:
        assert traded.get_column("equity")[-1] < free.get_column("equity")[-1]


@settings(max_examples=25, deadline=None)
@given(case=CASES)
def test_the_order_of_rows_changes_nothing(three: pl.DataFrame, case: tuple[int, int, int]) -> None:
    rules = costs(20.0, 100.0)
    weights = weights_of(case, three)
    found = run_backtest(weights, three, rules)
    shuffled = run_backtest(
        weights.sample(fraction=1.0, shuffle=True, seed=case[2]),
        three.sample(fraction=1.0, shuffle=True, seed=case[2]),
        rules,
    )
    assert shuffled.equals(found)


@settings(max_examples=25, deadline=None)
@given(case=CASES, names=st.permutations(SYMBOLS))
def test_the_names_of_symbols_change_nothing(
    three: pl.DataFrame, case: tuple[int, int, int], names: list[str]
) -> None:
    rules = costs(20.0, 100.0)
    weights = weights_of(case, three)
    renamed = pl.col("symbol").replace(dict(zip(SYMBOLS, names, strict=True)))
    found, other = (
        run_backtest(w, b, rules).drop("session").to_numpy()
        for w, b in ((weights, three), (weights.with_columns(renamed), three.with_columns(renamed)))
    )
    assert other == pytest.approx(found, rel=1e-10, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(case=CASES, split_at=st.integers(1, 29), ratio=st.sampled_from([0.125, 0.5, 2.0, 4.0]))
def test_a_split_changes_nothing(
    three: pl.DataFrame, case: tuple[int, int, int], split_at: int, ratio: float
) -> None:
    weights = weights_of(case, three)
    sessions = weights.get_column("session").unique().sort()
    before = (pl.col("session") < sessions[min(split_at, len(sessions) - 1)]) & (
        pl.col("symbol") == "IBM"
    )
    split = three.with_columns(
        *(
            pl.when(before).then(pl.col(name) * ratio).otherwise(name).alias(name)
            for name in PRICES
        ),
        *(
            pl.when(before).then(pl.col(name) / ratio).otherwise(name).alias(name)
            for name in ("split_factor", "adjustment_factor")
        ),
    )
    rules = costs(20.0, 100.0)
    # powers of two: not even rounding differs
    assert run_backtest(weights, split, rules).equals(run_backtest(weights, three, rules))


@settings(max_examples=25, deadline=None)
@given(case=CASES)
def test_a_decision_moved_by_a_session_earns_the_session_after(
    three: pl.DataFrame, case: tuple[int, int, int]
) -> None:
    start, length, seed = case
    sessions = span(three, start, length)
    draw = np.random.default_rng(seed)
    share = draw.uniform(0.2, 1.0, length)
    weights, late = (
        pl.DataFrame({"symbol": "IBM", "session": sessions, "weight": values})
        for values in (share, np.append(0.0, share[:-1]))
    )
    prompt, delayed = (run_backtest(frame, three, FREE) for frame in (weights, late))
    opened = [frame.get_column("opened").to_list() for frame in (prompt, delayed)]
    assert opened[0] == [0, 1] + [0] * (length - 2)
    assert opened[1] == [0, 0, 1][:length] + [0] * (length - 3)
    # Only what was held through the session before the shift may differ: here, the first.
    assert prompt.get_column("gross_return")[1] == pytest.approx(
        share[0]
        * adjusted(three.filter(pl.col("symbol") == "IBM", pl.col("session") == sessions[1]))
        .select(pl.col("close") / pl.col("open") - 1)
        .item()
    )
    assert delayed.get_column("gross_return")[1] == 0.0
    assert not delayed.get_column("turnover").equals(prompt.get_column("turnover"))


@settings(max_examples=25, deadline=None)
@given(case=CASES)
def test_an_account_without_positions_earns_nothing(
    three: pl.DataFrame, case: tuple[int, int, int]
) -> None:
    weights = weights_of(case, three).with_columns(pl.lit(0.0).alias("weight"))
    found = run_backtest(weights, three, costs(20.0, 100.0))
    assert set(found.get_column("equity")) == {1.0}
    rest = found.drop("session", "equity", "benchmark")
    assert rest.height == case[1]
    assert all(set(column) == {0} for column in rest)


def test_short_positions_pay_for_the_calendar_days_they_are_held_overnight() -> None:
    friday = [dt.date(2024, 1, day) for day in (4, 5, 8, 9)]
    bars = make_bars("A", [(10, 10), (10, 8), (8, 8), (8, 8)]).with_columns(
        pl.Series("session", friday)
    )
    weights = pl.DataFrame({"symbol": "A", "session": friday, "weight": [-0.5, -0.5, 0.0, 0.0]})
    found = run_backtest(weights, bars, costs(0.0, 365.0))
    # Sold on Friday at 10, closed at 8: 0.4 of 1.1 is short over three nights, at 1 bp a day.
    # Monday keeps half of equity short for one night more; on Tuesday it is bought back.
    weekend = 0.4 / 1.1 * 3e-4
    assert found.get_column("borrow_cost").to_list() == pytest.approx([0, 0, weekend, 0.5e-4])
    assert found.get_column("equity").to_list() == pytest.approx(
        [1.0, 1.1, 1.1 - 0.4 * 3e-4, (1.1 - 0.4 * 3e-4) * (1 - 0.5e-4)]
    )
    assert found.get_column("short").to_list() == [0.0, 0.5, 0.5, 0.0]
    assert found.get_column("cost").to_list() == [0.0] * 4


def test_a_long_account_borrows_nothing(three: pl.DataFrame) -> None:
    sessions = span(three, 100, 200)
    weights = random_weights(sessions, 3).with_columns(pl.col("weight").abs())
    dear = run_backtest(weights, three, costs(5.0, 1000.0))
    assert dear.equals(run_backtest(weights, three, costs(5.0)))
    assert set(dear.get_column("short")) == {0.0}


def test_opened_counts_new_positions_and_turned_ones() -> None:
    days = len(DAYS)
    bars = pl.concat([make_bars(symbol, [(10, 10)] * days) for symbol in "ABC"])
    weights = pl.concat(
        [
            make_weights("A", [0.3, 0.1, 0.3, 0.0]),  # opened once, then changed
            make_weights("B", [0.2, -0.2, -0.2, 0.0]),  # turned: two positions
            make_weights("C", [0.0, 0.1, 0.0, 0.5]),  # opened and closed; the last is not traded
        ]
    )
    found = run_backtest(weights, bars, FREE)
    assert found.get_column("opened").to_list() == [0, 2, 2, 0]
    assert found.get_column("short").to_list() == [0.0, 0.0, 0.2, 0.2]


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
        run_backtest(weights, frame, costs(5.0)).select(columns).filter(pl.col("session") <= cut)
        for frame in (ibm, doubled)
    )
    assert before.height > 2000
    assert before.equals(after)


def test_the_benchmark_holds_what_is_quoted_throughout() -> None:
    late = make_bars("B", [(5, 5), (5, 5), (5, 10), (10, 20)]).tail(2)
    bars = pl.concat([make_bars("A", [(10, 10), (10, 11), (12, 12), (9, 9)]), late])
    weights = pl.concat([make_weights("A", [0.0] * 4), make_weights("B", [0.0] * 4)])
    found = run_backtest(weights, bars, FREE).get_column("benchmark")
    assert found.to_list() == pytest.approx([1.0, 1.1, 1.2, 0.9])


def halted(prices: list[tuple[float, float]]) -> pl.DataFrame:
    """Bars of B, of which the third day's is missing, beside those of A."""
    b = make_bars("B", prices).filter(pl.col("session") != DAYS[2])
    return pl.concat([make_bars("A", [(10, 10)] * 4), b])


def test_a_position_without_a_price_is_refused() -> None:
    weights = pl.concat([make_weights("A", [0.5] * 4), make_weights("B", [0.5] * 4)])
    with pytest.raises(BacktestError, match="B is held on 2024-01-04 but has no price"):
        run_backtest(weights, halted([(5, 5)] * 4), FREE)


def test_a_position_that_cannot_be_sold_is_refused() -> None:
    weights = pl.concat([make_weights("A", [0.0] * 4), make_weights("B", [0.5, 0.0, 0.0, 0.0])])
    with pytest.raises(BacktestError, match="B is held on 2024-01-04 but has no price"):
        run_backtest(weights, halted([(5, 5)] * 4), FREE)


def test_bars_after_the_last_session_tell_a_halt_from_a_delisting() -> None:
    weights = pl.concat([make_weights("A", [0.5] * 3), make_weights("B", [0.5] * 3)])
    with pytest.raises(BacktestError, match="B is held on 2024-01-04 but has no price"):
        run_backtest(weights, halted([(5, 5)] * 4), FREE)


def ended(
    values: Sequence[float | None], prices: list[tuple[float, float]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Weights and bars of B, which ends before A does, and of A, which is not held."""
    bars = pl.concat([make_bars("A", [(10, 10)] * 4), make_bars("B", prices)])
    weights = pl.concat([make_weights("A", [0.0] * len(values)), make_weights("B", values)])
    return weights, bars


@pytest.mark.parametrize(
    ("delisting_return", "paid"), [(0.0, 6.0), (-0.5, 3.0), (0.5, 9.0), (-1.0, 0.0)]
)
def test_what_is_held_of_a_delisted_symbol_is_sold_in_the_session_after(
    delisting_return: float, paid: float
) -> None:
    rules = costs(100.0).model_copy(update={"delisting_return": delisting_return})
    found = run_backtest(*ended([0.5, 0.5, 0.5, 0.5], [(5, 5), (5, 6)]), rules)
    # Day 2: half of equity bought at 5 for 1 %, worth 6 at the close. Day 3: sold for 1 %.
    before, after = 0.995 * (0.5 + 0.5 * 6 / 5), 0.995 * (0.5 + 0.5 * paid / 5)
    sold = 0.995 * 0.5 * paid / 5
    end = after - sold / 100
    assert found.get_column("equity").to_list() == pytest.approx([1.0, before, end, end])
    assert found.get_column("turnover").to_list() == pytest.approx([0.0, 0.5, sold / after, 0.0])
    assert found.get_column("gross_return").to_list() == pytest.approx(
        [0.0, 0.1, after / before - 1, 0.0]
    )
    assert found.get_column("opened").to_list() == [0, 1, 0, 0]
    assert found.get_column("benchmark").to_list() == pytest.approx(
        [1.0, 1.1, (1 + paid / 5) / 2, (1 + paid / 5) / 2]
    )


def test_a_short_position_in_a_delisted_symbol_is_bought_back_and_pays_until_then() -> None:
    rules = costs(0.0, 365.0).model_copy(update={"delisting_return": -0.5})
    found = run_backtest(*ended([-0.5] * 4, [(5, 5), (5, 6)]), rules)
    # Sold for 0.5, worth 0.6 at the last close, for which one night is paid; bought back for 0.3.
    assert found.get_column("equity").to_list() == pytest.approx(
        [1.0, 0.9, 1.2 - 0.6e-4, 1.2 - 0.6e-4]
    )
    assert found.get_column("short").to_list() == [0.0, 0.5, 0.0, 0.0]


def test_nothing_is_bought_after_the_last_bar() -> None:
    rules = costs(100.0).model_copy(update={"delisting_return": -0.5})
    for prices in (
        [(5.0, 5.0)],
        [(5.0, 5.0), (5.0, 6.0)],
    ):  # the second: wanted from its last close
        found = run_backtest(*ended([0.0] * (len(prices) - 1) + [0.5] * 2, prices), rules)
        assert set(found.get_column("equity")) == {1.0}
        assert set(found.get_column("opened")) == {0}


def test_all_that_is_held_may_be_delisted() -> None:
    weights, bars = ended([1.0] * 4, [(5, 5), (5, 6)])
    worthless = FREE.model_copy(update={"delisting_return": -1.0})
    with pytest.raises(BacktestError, match="all equity is lost on 2024-01-04"):
        run_backtest(weights, bars, worthless)
    assert run_backtest(weights, bars, FREE).get_column("equity")[-1] == pytest.approx(1.2)


def test_a_symbol_that_is_listed_late_is_held_once_it_has_a_bar() -> None:
    late = make_bars("B", [(1, 1), (1, 1), (5, 6), (7, 9)]).tail(2)
    bars = pl.concat([make_bars("A", [(10, 10)] * 4), late])
    weights = [make_weights("A", [0.0] * 4), make_weights("B", [0.0, 1.0, 1.0, 0.0])]
    found = run_backtest(pl.concat(weights), bars, FREE)
    assert found.get_column("equity").to_list() == pytest.approx([1.0, 1.0, 6 / 5, 9 / 5])
    early = [weights[0], make_weights("B", [1.0, 1.0, 1.0, 0.0])]
    with pytest.raises(BacktestError, match="B is held on 2024-01-03 but has no price"):
        run_backtest(pl.concat(early), bars, FREE)


ENDINGS = st.tuples(st.integers(1, 29), st.floats(-0.9, 0.9))  # session of the last bar, return


def cut(bars: pl.DataFrame, symbol: str, after: dt.date) -> pl.DataFrame:
    return bars.filter((pl.col("symbol") != symbol) | (pl.col("session") <= after))


@settings(max_examples=40, deadline=None)
@given(case=CASES, bps=BPS, ending=ENDINGS)
def test_a_delisting_is_that_of_a_ledger_of_cash_and_shares(
    three: pl.DataFrame,
    case: tuple[int, int, int],
    bps: tuple[float, float],
    ending: tuple[int, float],
) -> None:
    weights = weights_of(case, three)
    days = weights.get_column("session").unique().sort()
    rules = costs(*bps).model_copy(update={"delisting_return": ending[1]})
    bars = cut(three, "IBM", days[min(ending[0], len(days) - 2)])
    found = run_backtest(weights, bars, rules).get_column("equity").to_numpy()
    assert found == pytest.approx(ledger(weights, bars, rules), rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(case=CASES, ending=ENDINGS)
def test_a_delisting_changes_no_session_before_it_is_known(
    three: pl.DataFrame, case: tuple[int, int, int], ending: tuple[int, float]
) -> None:
    weights = weights_of(case, three)
    days = weights.get_column("session").unique().sort()
    last = min(ending[0], len(days) - 2)
    rules = costs(20.0, 100.0).model_copy(update={"delisting_return": ending[1]})
    whole, delisted = (
        run_backtest(weights, bars, rules).drop("benchmark")
        for bars in (three, cut(three, "IBM", days[last]))
    )
    assert delisted.head(last + 1).equals(whole.head(last + 1))
    for length in range(last + 1, len(days)):  # one more session changes none before
        known = pl.col("session") < days[length]
        shorter = cut(three, "IBM", days[last]).filter(known)
        found = run_backtest(weights.filter(known), shorter, rules).drop("benchmark")
        assert found.equals(delisted.head(length))


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (
            make_weights("A", [1.0, 1.0, 1.0]).filter(pl.col("session") != DAYS[1]),
            "disagree on the session 2024-01-03",
        ),
        (make_weights("B", [1.0, 1.0]), "no bars of B"),
        (make_weights("A", []), "no weights"),
        (make_weights("A", [1.0, float("nan")]), "weight of A 2024-01-03 is nan"),
        (make_weights("A", [1.0, None]), "weight of A 2024-01-03 is nan"),
        (make_weights("A", [1.0, float("inf")]), "weight of A 2024-01-03 is inf"),
        (pl.concat([make_weights("A", [1.0, 1.0])] * 2), "A 2024-01-02 has more than one row"),
    ],
)
def test_what_cannot_be_traded_is_refused(weights: pl.DataFrame, reason: str) -> None:
    with pytest.raises(BacktestError, match=reason):
        run_backtest(weights, make_bars("A", [(10, 10)] * 4), FREE)


@pytest.mark.parametrize(
    ("prices", "day"),
    [
        ([(10, 10), (10, 10), (25, 25), (10, 30)], "2024-01-04"),  # overnight
        ([(10, 10), (10, 20), (10, 30), (10, 30)], "2024-01-03"),  # in the session, to nothing
    ],
)
def test_ruin_is_an_error_with_its_day(prices: list[tuple[float, float]], day: str) -> None:
    with pytest.raises(BacktestError, match=f"all equity is lost on {day}"):
        run_backtest(make_weights("A", [-1.0] * 4), make_bars("A", prices), FREE)

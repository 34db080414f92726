"""Whatever is traded, the book is the backtest's to the cent; and the arithmetic both share."""

import datetime as dt
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from itertools import count

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Training
from tests.trading.books import BARS, SESSIONS, SYMBOLS, TERMS, Desk, assert_same, expected_books
from tradewind.bookings import (
    borrow_fee,
    cents,
    decimal_of,
    equity_of,
    split_shares,
    target_shares,
    trading_cost,
)
from tradewind.research.strategy.judging import Backtest
from tradewind.trading.book.quotes import HISTORY, quote, quotes_from_bars

MONEY = st.decimals(-(10**9), 10**9, places=2)
PRICES = st.decimals("0.01", 10_000, places=8)
SHARES = st.integers(-(10**7), 10**7)
RATIOS = st.fractions(min_value=Fraction(1, 50), max_value=50, max_denominator=50)
NUMBERS = count()
BPS = st.floats(0, 100).map(lambda value: round(value, 3))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.integers(30, len(SESSIONS) - 6) | st.just(SESSIONS.index(dt.date(2005, 2, 24))),
    weights=st.lists(
        st.fixed_dictionaries({}, optional={s: st.floats(-0.3, 0.3) for s in SYMBOLS}).filter(bool),
        min_size=3,
        max_size=4,
    ),
    capital=st.decimals(100_000, 10**7, places=2).map(float),
    bps=st.tuples(BPS, BPS, BPS),
)
def test_the_book_is_the_backtest_s_whatever_is_traded(
    desk: Desk,
    start: int,
    weights: list[dict[str, float]],
    capital: float,
    bps: tuple[float, float, float],
) -> None:
    whole = [{symbol: each.get(symbol, 0.0) for symbol in SYMBOLS} for each in weights]
    days = SESSIONS[start : start + len(whole)]
    commission, slippage, borrow = bps
    desk.terms = replace(
        TERMS,
        account=f"account_{next(NUMBERS)}",
        capital=decimal_of(capital).quantize(Decimal("0.01")),
        commission_bps=decimal_of(commission),
        slippage_bps=decimal_of(slippage),
        borrow_bps=decimal_of(borrow),
        max_participation=Decimal(1),
        max_order_volume=Decimal(1000),
        max_price_move=Decimal(1000),
        max_gross=Decimal(10),
        max_net=Decimal(10),
    )
    for day, wanted in zip(days, whole, strict=True):
        desk.run(day, wanted)
    rules = Backtest(
        commission_bps=commission, slippage_bps=slippage, borrow_bps=borrow, capital=capital
    )
    assert_same(desk, expected_books(days, whole, rules))


@given(shares=SHARES, ratio=RATIOS, price=PRICES)
def test_a_split_makes_and_loses_nothing(shares: int, ratio: Fraction, price: Decimal) -> None:
    whole, paid = split_shares(shares, ratio, price)
    exact = shares * ratio
    assert abs(exact - whole) < 1
    assert abs(whole) <= abs(exact)
    # To 1e-30 of a unit of money: the cash is a decimal number, and a third is none.
    assert abs(Fraction(paid) - (exact - whole) * Fraction(price)) < Fraction(1, 10**30)


@given(shares=SHARES, close=PRICES, bps=PRICES, nights=st.integers(1, 10))
def test_only_short_positions_pay_for_borrowing(
    shares: int, close: Decimal, bps: Decimal, nights: int
) -> None:
    fee = borrow_fee(shares, close, bps, nights)
    assert (fee < 0) == (shares < 0)
    assert fee <= 0


@given(
    cash=st.decimals(10_000, 10**9, places=2),
    prices=st.dictionaries(st.sampled_from("ABCDEF"), PRICES, min_size=1),
    data=st.data(),
)
def test_what_is_wanted_can_be_paid_for(
    cash: Decimal, prices: dict[str, Decimal], data: st.DataObject
) -> None:
    """Long only and without leverage: at the prices it was sized by, no cash is borrowed."""
    parts = data.draw(st.lists(st.integers(0, 100), min_size=len(prices), max_size=len(prices)))
    weights = {s: Decimal(p) / max(sum(parts), 1) for s, p in zip(prices, parts, strict=True)}
    # So that 28 digits of a third do not add up to more than one.
    weights = {s: w.quantize(Decimal("1e-6"), rounding="ROUND_DOWN") for s, w in weights.items()}
    bps = data.draw(st.decimals(0, 100, places=2))
    wanted = target_shares(cash, {}, prices, weights, bps)
    spent = sum(shares * prices[s] for s, shares in wanted.items())
    costs = sum(trading_cost(shares, prices[s], bps) for s, shares in wanted.items())
    assert all(shares >= 0 for shares in wanted.values())
    assert spent + costs <= cash
    assert equity_of(cash - spent, wanted, prices) == cash


@given(amount=st.decimals(-(10**20), 10**20, allow_nan=False, places=6))
def test_the_caller_s_context_changes_nothing(amount: Decimal) -> None:
    with localcontext() as context:
        context.prec = 3
        rounded = cents(amount)
    assert rounded == amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def test_quotes_carry_what_happened_between_two_sessions() -> None:
    split, paid = dt.date(2005, 2, 28), dt.date(2004, 11, 15)
    quotes = {
        (each.session, each.symbol): each
        for until in (split, paid)
        for each in quotes_from_bars(BARS, after=dt.date(2004, 11, 12), until=until)
    }
    assert quotes[split, "AAPL"].split == Fraction(2)
    assert quotes[split, "AAPL"].dividend == 0
    assert quotes[paid, "MSFT"].dividend == Decimal("3.08")
    assert [key for key, each in quotes.items() if each.split != 1] == [(split, "AAPL")]
    assert {key for key, each in quotes.items() if each.dividend} == {
        (dt.date(2004, 11, 8), "IBM"), (paid, "MSFT"),
        (dt.date(2005, 2, 8), "IBM"), (dt.date(2005, 2, 15), "MSFT"),
    }  # fmt: skip


def test_a_new_account_is_told_of_enough_sessions_for_a_median() -> None:
    quotes = quotes_from_bars(BARS, after=None, until=SESSIONS[100])
    assert sorted({each.session for each in quotes}) == SESSIONS[80:101]
    first = quotes_from_bars(BARS, after=None, until=SESSIONS[2])
    assert sorted({each.session for each in first}) == SESSIONS[:3]
    missed = quotes_from_bars(BARS, after=SESSIONS[50], until=SESSIONS[100])
    assert sorted({each.session for each in missed}) == SESSIONS[51:101]


def test_a_strategy_s_account_is_opened_once_and_told_of_symbols_that_are_new(
    desk: Desk, training: Training
) -> None:
    name, before, after = training.strategy.name, SESSIONS[100], SESSIONS[101]
    then, later = (BARS.filter(pl.col("session") <= day) for day in (before, after))
    two = pl.col("symbol") != "IBM"
    assert quote(desk.engine, training.strategy, then.filter(two), {}) == 2 * HISTORY
    assert quote(desk.engine, training.strategy, then.filter(two), {}) == 0
    desk.terms = replace(TERMS, account=name)
    assert quote(desk.engine, training.strategy, later.filter(two), {}) == 2
    desk.settle(after)
    # What a vendor adds to a settled session later changes nothing; a new symbol has its history.
    desk.change(f"DELETE FROM trading.quotes WHERE symbol = 'MSFT' AND session = '{after}'")
    assert quote(desk.engine, training.strategy, later, {}) == HISTORY
    [terms] = desk.rows("SELECT capital, commission_bps, slippage_bps FROM trading.accounts")
    assert terms == (1_000_000, 1, 4)

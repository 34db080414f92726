import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import typed
from tradewind.errors import BacktestError
from tradewind.market.bars import PRICES, SCHEMA
from tradewind.research.backtest.books import Books, keep_books
from tradewind.research.backtest.run import run_backtest
from tradewind.research.strategy.judging import Backtest

CENT = Decimal("0.01")
SYMBOLS = ["AAPL", "IBM", "MSFT"]
FRIDAY, MONDAY, TUESDAY, WEDNESDAY = (dt.date(2024, 1, day) for day in (5, 8, 9, 10))
DAYS = [FRIDAY, MONDAY, TUESDAY, WEDNESDAY]


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def make_bars(
    symbol: str,
    prices: list[tuple[float, float]],
    splits: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    factors: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (symbol, day, o, max(o, c), min(o, c), c, 100, split, factor)
            for day, (o, c), split, factor in zip(DAYS, prices, splits, factors, strict=True)
        ],
        schema=SCHEMA,
        orient="row",
    )


def make_weights(symbol: str, values: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"symbol": symbol, "session": DAYS, "weight": values})


def rules(
    capital: float = 1_000_000.0,
    commission: float = 0.0,
    slippage: float = 0.0,
    borrow: float = 0.0,
) -> Backtest:
    return Backtest(
        commission_bps=commission, slippage_bps=slippage, borrow_bps=borrow, capital=capital
    )


def bookings(books: Books) -> list[tuple[object, ...]]:
    return [
        (day, symbol, kind, shares, float(price), str(amount))
        for day, symbol, kind, shares, price, amount in books.ledger.iter_rows()
    ]


def check(books: Books, asked: Backtest) -> None:
    """Add the books up again, in decimals, from their smallest parts."""
    capital = cents(Decimal(repr(asked.capital)))
    rates = {"commission": asked.commission_bps, "slippage": asked.slippage_bps}
    shares: dict[str, int] = {}
    cash, filled = capital, Decimal(0)
    ledger = books.ledger.partition_by("session", as_dict=True)
    positions = books.positions.partition_by("session", as_dict=True)
    order = ["split", "dividend", "borrow", "sell", "buy"]
    for session, booked, valued, equity in books.equity.iter_rows():
        stage = 0
        for row in ledger.get((session,), pl.DataFrame(schema=books.ledger.schema)).iter_rows(
            named=True
        ):
            kind, price, amount = row["kind"], row["price"], row["amount"]
            if kind in rates:
                assert row["shares"] == 0
                rate = Decimal(repr(rates[kind])) / 10_000
                assert amount == -cents(filled * rate)
            else:
                assert order.index(kind) >= stage
                stage = order.index(kind)
            if kind in {"buy", "sell"}:
                assert (row["shares"] > 0) == (kind == "buy")
                assert amount == cents(-row["shares"] * price)
                filled = abs(row["shares"] * price)
            elif kind == "dividend":
                assert amount == cents(shares[row["symbol"]] * price)
            elif kind == "borrow":
                assert amount < 0
            cash += amount
            shares[row["symbol"]] = shares.get(row["symbol"], 0) + row["shares"]
        assert cash == booked
        held = positions.get((session,), pl.DataFrame(schema=books.positions.schema))
        assert {s: n for s, n in shares.items() if n} == dict(
            held.select("symbol", "shares").iter_rows()
        )
        for _, _, count, price, value in held.iter_rows():
            assert value == cents(count * price)
        assert valued == sum(held.get_column("value"), Decimal(0))
        assert equity == booked + valued


def test_every_booking_matches_a_hand_count() -> None:
    bars = make_bars("A", [(10.0, 10.0), (10.01, 11.0), (12.0, 12.0), (9.0, 9.5)])
    asked = rules(capital=10_000.0, commission=1.0, slippage=4.0)
    books = keep_books(make_weights("A", [1.0, 0.5, 0.0, 1.0]), bars, asked)
    # Monday: 10,000 less 5 set aside buys 998 shares (998.5) for 9,989.98; 0.998998 and 3.995992.
    # Tuesday: equity 5.02 + 11,976 = 11,981.02; half is 5,990.51, so 5,985.49 are to be sold, for
    # which 2.992745 are set aside: 499 shares (499.08) stay. Wednesday: all is sold.
    assert bookings(books) == [
        (MONDAY, "A", "buy", 998, 10.01, "-9989.98"),
        (MONDAY, "A", "commission", 0, 10.01, "-1.00"),
        (MONDAY, "A", "slippage", 0, 10.01, "-4.00"),
        (TUESDAY, "A", "sell", -499, 12.0, "5988.00"),
        (TUESDAY, "A", "commission", 0, 12.0, "-0.60"),
        (TUESDAY, "A", "slippage", 0, 12.0, "-2.40"),
        (WEDNESDAY, "A", "sell", -499, 9.0, "4491.00"),
        (WEDNESDAY, "A", "commission", 0, 9.0, "-0.45"),
        (WEDNESDAY, "A", "slippage", 0, 9.0, "-1.80"),
    ]
    assert [tuple(map(str, row[1:])) for row in books.equity.iter_rows()] == [
        ("10000.00", "0.00", "10000.00"),
        ("5.02", "10978.00", "10983.02"),
        ("5990.02", "5988.00", "11978.02"),
        ("10478.77", "0.00", "10478.77"),
    ]
    check(books, asked)


@pytest.mark.parametrize(
    ("weight", "shares", "amount"),
    [
        (0.2, 1, "-0.12"),  # 0.125
        (0.3, 2, "-0.25"),
        (0.4, 3, "-0.38"),  # 0.375
        (-0.2, -1, "0.12"),
    ],
)
def test_halves_of_a_cent_go_to_the_even_cent(weight: float, shares: int, amount: str) -> None:
    bars = make_bars("A", [(1.0, 1.0), (0.125, 0.125), (0.125, 0.125), (0.125, 0.125)])
    asked = rules(capital=1.0)
    books = keep_books(make_weights("A", [weight] * 4), bars, asked)
    kind = "buy" if shares > 0 else "sell"
    assert bookings(books) == [(MONDAY, "A", kind, shares, 0.125, amount)]
    assert str(books.positions.get_column("value")[0]) == str(-Decimal(amount))
    check(books, asked)


def test_a_short_pays_dividends_and_a_fee_for_each_day_of_the_weekend() -> None:
    # A dividend of 0.50 on Monday: close 10.00, factor 1.05 from here on.
    days = [dt.date(2024, 1, day) for day in (4, 5, 8, 9)]
    bars = make_bars(
        "A", [(10.0, 10.0), (10.0, 8.0), (10.0, 10.0), (10.0, 10.0)], factors=(1, 1, 1.05, 1.05)
    ).with_columns(pl.Series("session", days))
    weights = make_weights("A", [-0.5, -0.5, 0.0, 0.0]).with_columns(pl.Series("session", days))
    asked = rules(capital=1000.0, borrow=365.0)
    books = keep_books(weights, bars, asked)
    # Friday: 50 sold. Monday: 50 x 0.50 is paid; 50 x 8.00 x 3 days at 1 bp a day is 0.12. Of
    # 974.88 half is 48 shares.
    assert bookings(books) == [
        (days[1], "A", "sell", -50, 10.0, "500.00"),
        (days[2], "A", "dividend", 0, 0.5, "-25.00"),
        (days[2], "A", "borrow", 0, 8.0, "-0.12"),
        (days[2], "A", "buy", 2, 10.0, "-20.00"),
        (days[3], "A", "borrow", 0, 10.0, "-0.05"),
        (days[3], "A", "buy", 48, 10.0, "-480.00"),
    ]
    check(books, asked)


@pytest.mark.parametrize(
    ("weight", "shares", "amount"),
    [(1.0, 166, "1.00"), (-1.0, -166, "-1.00")],  # 333 become 499.5, half of 2.00 is settled
)
def test_a_split_multiplies_shares_and_pays_for_the_fraction(
    weight: float, shares: int, amount: str
) -> None:
    bars = make_bars(
        "A",
        [(3.0, 3.0), (3.0, 3.0), (2.0, 2.0), (2.0, 2.0)],
        splits=(2 / 3, 2 / 3, 1.0, 1.0),
        factors=(2 / 3, 2 / 3, 1.0, 1.0),
    )
    asked = rules(capital=1000.0)
    books = keep_books(make_weights("A", [weight] * 4), bars, asked)
    found = [row for row in bookings(books) if row[2] == "split"]
    assert found == [(TUESDAY, "A", "split", shares, 2.0, amount)]
    assert set(books.equity.get_column("equity")) == {Decimal("1000.00")}
    check(books, asked)


def test_dividends_are_those_that_were_paid(bars: pl.DataFrame) -> None:
    three = bars.filter(pl.col("symbol").is_in(SYMBOLS))
    weights = three.select("symbol", "session", pl.lit(0.3).alias("weight"))
    paid = keep_books(weights, three, rules()).ledger.filter(pl.col("kind") == "dividend")
    per_share = {(s, d): p for s, d, p in paid.select("symbol", "session", "price").rows()}
    assert per_share["MSFT", dt.date(2004, 11, 15)] == Decimal("3.08")  # 3.00 of it was special
    assert per_share["MSFT", dt.date(2003, 2, 19)] == Decimal("0.08")  # the first ever
    assert per_share["AAPL", dt.date(2012, 8, 9)] == Decimal("2.65")  # the first since 1995
    assert per_share["IBM", dt.date(2008, 5, 7)] == Decimal("0.50")
    assert len(per_share) == 92
    assert all(value == cents(value) for value in per_share.values())


def random_weights(keys: pl.DataFrame, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return keys.select(
        "symbol", "session", pl.Series("weight", draw.uniform(-0.3, 0.4, keys.height))
    )


def test_the_books_add_up_on_all_real_bars(bars: pl.DataFrame) -> None:
    asked = rules(capital=1_000_000.0, commission=1.0, slippage=4.0, borrow=50.0)
    books = keep_books(random_weights(bars, 5), bars, asked)
    kinds = dict(books.ledger.get_column("kind").value_counts().iter_rows())
    assert kinds["split"] == 3
    assert kinds["dividend"] == 92
    assert min(kinds[kind] for kind in ("buy", "sell", "borrow")) > 4000
    assert books.equity.height == 3270
    check(books, asked)


@pytest.mark.parametrize(("capital", "tolerance"), [(1e6, 2e-3), (1e8, 5e-4)])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_whole_shares_follow_the_backtest_of_fractions(
    bars: pl.DataFrame, capital: float, tolerance: float, seed: int | None
) -> None:
    keys = bars.select("symbol", "session")
    weights = (
        keys.with_columns(pl.lit(0.2).alias("weight"))
        if seed is None
        else random_weights(keys, seed)
    )
    asked = rules(capital=capital, commission=1.0, slippage=4.0, borrow=50.0)
    equity = keep_books(weights, bars, asked).equity.get_column("equity").cast(pl.Float64)
    expected = run_backtest(weights, bars, asked).get_column("equity")
    assert (equity / capital).to_numpy() == pytest.approx(expected.to_numpy(), rel=tolerance)


def test_without_dividends_and_costs_of_trading_there_is_no_other_difference(
    bars: pl.DataFrame,
) -> None:
    undivided = bars.with_columns(pl.col("split_factor").alias("adjustment_factor"))
    weights = random_weights(bars, 4)
    asked = rules(capital=1e12, borrow=50.0)
    books = keep_books(weights, undivided, asked)
    assert set(books.ledger.get_column("kind")) == {"split", "borrow", "buy", "sell"}
    equity = books.equity.get_column("equity").cast(pl.Float64) / 1e12
    expected = run_backtest(weights, undivided, asked).get_column("equity")
    assert equity.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-7)


CASES = st.tuples(st.integers(0, 3240), st.integers(3, 25), st.integers(0, 2**32 - 1))


def case_of(bars: pl.DataFrame, case: tuple[int, int, int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    start, length, seed = case
    used = bars.filter(pl.col("symbol").is_in(SYMBOLS))
    sessions = used.get_column("session").unique().sort().slice(start, length)
    used = used.filter(pl.col("session").is_in(sessions.implode())).sort("session", "symbol")
    return random_weights(used, seed), used


def split(
    bars: pl.DataFrame, symbol: str, before: dt.date, ratio: float, *, prices: bool = True
) -> pl.DataFrame:
    """Bars in which a share becomes `ratio` shares on a day."""
    earlier = (pl.col("symbol") == symbol) & (pl.col("session") < before)
    return bars.with_columns(
        *(
            pl.when(earlier).then(pl.col(name) * ratio).otherwise(name).alias(name)
            for name in (PRICES if prices else ())
        ),
        *(
            pl.when(earlier).then(pl.col(name) / ratio).otherwise(name).alias(name)
            for name in ("split_factor", "adjustment_factor")
        ),
    )


@settings(max_examples=40, deadline=None)
@given(
    case=CASES,
    capital=st.decimals(1_000, 10**9, places=2).map(float),
    bps=st.tuples(*[st.floats(0, 200).map(lambda v: round(v, 3))] * 3),
    ratio=st.sampled_from([2.0, 1.5, 1.25, 7.0, 0.1, 1 / 3]),
)
def test_the_books_add_up_to_the_cent(
    bars: pl.DataFrame,
    case: tuple[int, int, int],
    capital: float,
    bps: tuple[float, float, float],
    ratio: float,
) -> None:
    weights, used = case_of(bars, case)
    days = used.get_column("session").unique().sort()
    asked = rules(capital, *bps)
    books = keep_books(weights, split(used, "IBM", days[len(days) // 2], ratio), asked)
    check(books, asked)
    assert books.equity.get_column("session").equals(days)


@settings(max_examples=25, deadline=None)
@given(case=CASES, ratio=st.sampled_from([2.0, 4.0, 0.5]))
def test_a_split_changes_no_more_than_a_share(
    bars: pl.DataFrame, case: tuple[int, int, int], ratio: float
) -> None:
    weights, used = case_of(bars, case)
    days = used.get_column("session").unique().sort()
    asked = rules(1e7, 1.0, 4.0, 50.0)
    plain, other = (
        keep_books(weights, frame, asked).equity.get_column("equity").cast(pl.Float64).to_numpy()
        for frame in (used, split(used, "IBM", days[1], ratio))
    )
    assert other == pytest.approx(plain, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(case=CASES, factor=st.integers(2, 1000))
def test_more_capital_earns_nearly_the_same(
    bars: pl.DataFrame, case: tuple[int, int, int], factor: int
) -> None:
    weights, used = case_of(bars, case)
    small, large = (
        keep_books(weights, used, rules(capital, 1.0, 4.0, 50.0))
        .equity.get_column("equity")
        .cast(pl.Float64)
        .to_numpy()
        / capital
        for capital in (1e6, 1e6 * factor)
    )
    assert large == pytest.approx(small, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(case=CASES)
def test_without_weights_nothing_is_booked(bars: pl.DataFrame, case: tuple[int, int, int]) -> None:
    weights, used = case_of(bars, case)
    books = keep_books(weights.with_columns(pl.lit(0.0).alias("weight")), used, rules(5.0, 9.0))
    assert books.ledger.is_empty()
    assert books.positions.is_empty()
    assert set(books.equity.get_column("equity")) == {Decimal("5.00")}


def test_orders_are_never_larger_than_what_the_weights_allow(bars: pl.DataFrame) -> None:
    used = bars.filter(pl.col("symbol").is_in(SYMBOLS))
    weights = used.select("symbol", "session", pl.lit(1 / 3).alias("weight"))
    books = keep_books(weights, used, rules(10_000.0, 10.0, 40.0))
    # Shares are rounded towards zero and costs are set aside, so that cash lasts.
    assert typed(books.equity.get_column("cash").min(), Decimal) >= 0
    dates = books.equity.get_column("session")
    assert all(a < b for a, b in pairwise(dates))


def test_the_end_of_a_symbol_s_bars_matches_a_hand_count() -> None:
    prices = [(10.0, 10.0), (10.0, 12.0), (0.0, 0.0), (0.0, 0.0)]
    bars = pl.concat([make_bars("A", [(20.0, 20.0)] * 4), make_bars("B", prices).head(2)])
    weights = pl.concat([make_weights("A", [0.0, 0.5, 0.5, 0.5]), make_weights("B", [0.5] * 4)])
    asked = rules(10_000.0, commission=1.0, slippage=4.0, borrow=50.0).model_copy(
        update={"delisting_return": -0.25}
    )
    books = keep_books(weights, bars, asked)
    # Monday: 10,000 less 2.50 set aside buys 499 of B. Tuesday, without a bar of it: sold at 9.00.
    # Of 9,498.51 half is wanted of A and 4,491 of B are to go: 4.62 are set aside, and 237.3 left.
    assert bookings(books) == [
        (MONDAY, "B", "buy", 499, 10.0, "-4990.00"),
        (MONDAY, "B", "commission", 0, 10.0, "-0.50"),
        (MONDAY, "B", "slippage", 0, 10.0, "-2.00"),
        (TUESDAY, "B", "sell", -499, 9.0, "4491.00"),
        (TUESDAY, "B", "commission", 0, 9.0, "-0.45"),
        (TUESDAY, "B", "slippage", 0, 9.0, "-1.80"),
        (TUESDAY, "A", "buy", 237, 20.0, "-4740.00"),
        (TUESDAY, "A", "commission", 0, 20.0, "-0.47"),
        (TUESDAY, "A", "slippage", 0, 20.0, "-1.90"),
    ]
    assert books.positions.select("session", "symbol", "shares").rows() == [
        (MONDAY, "B", 499),
        (TUESDAY, "A", 237),
        (WEDNESDAY, "A", 237),
    ]
    check(books, asked)


@pytest.mark.parametrize(("weight", "end"), [(0.5, "500.00"), (-0.5, "1500.00")])
def test_shares_that_become_worthless_are_given_up_for_nothing(weight: float, end: str) -> None:
    bars = pl.concat(
        [make_bars("A", [(20.0, 20.0)] * 4), make_bars("B", [(10.0, 10.0)] * 4).head(2)]
    )
    weights = pl.concat([make_weights("A", [0.0] * 4), make_weights("B", [weight] * 4)])
    asked = rules(1000.0).model_copy(update={"delisting_return": -1.0})
    books = keep_books(weights, bars, asked)
    kind, shares = ("sell", -50) if weight > 0 else ("buy", 50)
    assert bookings(books)[1:] == [(TUESDAY, "B", kind, shares, 0.0, "0.00")]
    assert str(books.equity.get_column("equity")[-1]) == end
    check(books, asked)


@pytest.mark.parametrize("delisting_return", [0.0, -0.3, -1.0])
def test_a_delisting_is_booked_as_the_backtest_of_fractions_says(
    bars: pl.DataFrame, delisting_return: float
) -> None:
    weights = random_weights(bars.select("symbol", "session"), 3)
    gone = {"IBM": dt.date(2005, 8, 12), "GOOG": dt.date(2009, 3, 9)}
    ended = bars.filter(
        ~pl.any_horizontal(
            *[(pl.col("symbol") == s) & (pl.col("session") > day) for s, day in gone.items()]
        )
    )
    asked = rules(1e8, 1.0, 4.0, 50.0).model_copy(update={"delisting_return": delisting_return})
    books = keep_books(weights, ended, asked)
    check(books, asked)
    expected = run_backtest(weights, ended, asked).get_column("equity").to_numpy()
    equity = books.equity.get_column("equity").cast(pl.Float64).to_numpy()
    assert equity / 1e8 == pytest.approx(expected, rel=5e-4)
    for symbol, day in gone.items():
        booked = books.ledger.filter(pl.col("symbol") == symbol, pl.col("session") > day)
        assert set(booked.get_column("kind")) <= {"borrow", "buy", "sell", "commission", "slippage"}
        assert booked.filter(pl.col("shares") != 0).height == 1
        assert booked.get_column("session").n_unique() == 1


def test_sized_by_the_close_orders_know_nothing_of_the_open() -> None:
    bars = make_bars("A", [(10.0, 10.0), (10.01, 11.0), (12.0, 12.0), (9.0, 9.5)])
    asked = rules(capital=10_000.0, commission=1.0, slippage=4.0)
    books = keep_books(make_weights("A", [1.0, 0.5, 0.0, 1.0]), bars, asked, sizing="close")
    # Monday: 9,995 at Friday's close is 999 shares (999.5), which cost 9,999.99 and 5.00. Tuesday:
    # equity 10,984.01 at 11.00; half is 5,492.01, and 5,496.99 are to be sold, for which 2.75 are
    # set aside: 499 shares (499.15) stay. Wednesday: all is sold.
    assert bookings(books) == [
        (MONDAY, "A", "buy", 999, 10.01, "-9999.99"),
        (MONDAY, "A", "commission", 0, 10.01, "-1.00"),
        (MONDAY, "A", "slippage", 0, 10.01, "-4.00"),
        (TUESDAY, "A", "sell", -500, 12.0, "6000.00"),
        (TUESDAY, "A", "commission", 0, 12.0, "-0.60"),
        (TUESDAY, "A", "slippage", 0, 12.0, "-2.40"),
        (WEDNESDAY, "A", "sell", -499, 9.0, "4491.00"),
        (WEDNESDAY, "A", "commission", 0, 9.0, "-0.45"),
        (WEDNESDAY, "A", "slippage", 0, 9.0, "-1.80"),
    ]
    check(books, asked)


def test_a_split_before_the_open_multiplies_the_order() -> None:
    bars = make_bars(
        "A",
        [(3.0, 3.0), (2.0, 2.0), (2.0, 2.0), (2.0, 2.0)],
        splits=(2 / 3, 1.0, 1.0, 1.0),
        factors=(2 / 3, 1.0, 1.0, 1.0),
    )
    books = keep_books(make_weights("A", [1.0] * 4), bars, rules(capital=1000.0), sizing="close")
    # 333 shares at 3.00 become 499.5 at 2.00.
    assert bookings(books) == [
        (MONDAY, "A", "buy", 499, 2.0, "-998.00"),
        (TUESDAY, "A", "buy", 1, 2.0, "-2.00"),
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_sized_by_either_the_books_add_up_and_stay_near_each_other(
    bars: pl.DataFrame, seed: int
) -> None:
    asked = rules(capital=1e7, commission=1.0, slippage=4.0, borrow=50.0)
    weights = random_weights(bars, seed)
    by_close = keep_books(weights, bars, asked, sizing="close")
    check(by_close, asked)
    kinds = dict(by_close.ledger.get_column("kind").value_counts().iter_rows())
    assert kinds["split"] == 3
    by_open = keep_books(weights, bars, asked)
    last = [float(books.equity.get_column("equity")[-1]) for books in (by_close, by_open)]
    assert last[0] == pytest.approx(last[1], rel=0.15)
    assert last[0] != last[1]


def test_a_symbol_without_a_close_cannot_be_sized_by_it() -> None:
    bars = pl.concat(
        [
            make_bars("A", [(10, 10)] * 4),
            make_bars("B", [(10, 10)] * 4).filter(pl.col("session") > FRIDAY),
        ]
    )
    weights = pl.concat([make_weights("A", [0.5] * 4), make_weights("B", [0.5] * 4)])
    keep_books(weights, bars, rules())
    with pytest.raises(BacktestError, match=f"B is to be traded on {MONDAY}.*on {FRIDAY}"):
        keep_books(weights, bars, rules(), sizing="close")


def test_ruin_is_an_error_with_its_day() -> None:
    bars = make_bars("A", [(10, 10), (10, 10), (25, 25), (25, 25)])
    with pytest.raises(BacktestError, match="all equity is lost on 2024-01-09"):
        keep_books(make_weights("A", [-1.0] * 4), bars, rules())
    bars = make_bars("A", [(10, 10), (10, 20), (25, 25), (25, 25)])
    with pytest.raises(BacktestError, match="all equity is lost on 2024-01-08"):
        keep_books(make_weights("A", [-1.0] * 4), bars, rules())

"""What a backtest says of rows in order is what it says of the same rows in any order."""

import datetime as dt
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import BacktestError
from tradewind.research.backtest import _rows, run
from tradewind.research.backtest.books import keep_books
from tradewind.research.backtest.run import run_backtest
from tradewind.research.strategy.judging import Backtest

RULES = Backtest(
    commission_bps=3.0, slippage_bps=7.0, borrow_bps=90.0, delisting_return=-0.4, capital=1e6
)
KEY = ["symbol", "session"]


def made_up(
    seed: int, n_sessions: int, n_symbols: int, *, gaps: float = 0.0, uneven: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Weights and bars; uneven, symbols are listed late and end early, and have holes."""
    draw = np.random.default_rng(seed)
    shape = n_symbols, n_sessions
    days = np.datetime64("2001-01-01") + np.cumsum(draw.choice([1, 1, 1, 3], n_sessions))
    close = 100.0 * np.exp(draw.normal(0.0, 0.02, shape).cumsum(axis=1))
    frame = pl.DataFrame(
        {
            "symbol": np.repeat([f"ß{number:04d}" for number in range(n_symbols)], n_sessions),
            "session": np.tile(days, n_symbols),
            "open": (close * np.exp(draw.normal(0.0, 0.01, shape))).ravel(),
            "close": close.ravel(),
            "split_factor": 1.0,
            "adjustment_factor": np.repeat(draw.uniform(0.2, 1.0, n_symbols), n_sessions),
            "weight": draw.uniform(-0.8, 1.0, shape).ravel() / n_symbols,
        }
    ).cast({"session": pl.Date})
    there = draw.random(shape) >= gaps
    if uneven:
        at = np.arange(n_sessions)
        first, last = (draw.integers(0, n_sessions, (n_symbols, 1)) for _ in range(2))
        last = np.maximum(first, last)
        there &= (at >= np.where(draw.random((n_symbols, 1)) < 0.4, first, 0)) & (
            at <= np.where(draw.random((n_symbols, 1)) < 0.4, last, n_sessions)
        )
        there |= at == first  # each symbol has a bar
    there[0] = True  # one symbol is always quoted, so that no session is skipped
    ended = there.shape[1] - there[:, ::-1].argmax(axis=1)[:, None]
    priced = there | (np.arange(n_sessions) >= ended)
    held = priced.copy()
    for ahead in (1, 2):  # wanted today is bought tomorrow, and sold the day after at the latest
        held[:, :-ahead] &= priced[:, ahead:]
    weights = frame.select(
        *KEY, pl.when(pl.Series(held.ravel())).then("weight").otherwise(0.0).alias("weight")
    )
    return weights, frame.drop("weight").filter(pl.Series(there.ravel()))


def answer(weights: pl.DataFrame, bars: pl.DataFrame) -> list[pl.DataFrame] | tuple[str, str]:
    """Return every figure, or the kind and the text of the error."""
    try:
        found = run_backtest(weights, bars, RULES)
        small = bars.height < 500  # books are kept row by row
        books = keep_books(weights, bars, RULES) if small else None
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same
        return type(error).__name__, str(error)
    return [found] if books is None else [found, books.ledger, books.positions, books.equity]


def in_any_order(weights: pl.DataFrame, bars: pl.DataFrame) -> list[pl.DataFrame] | tuple[str, str]:
    """Return the same, the order of the rows overlooked."""
    with patch.object(_rows, "_in_order", lambda _: None):
        return answer(weights, bars)


def assert_same(weights: pl.DataFrame, bars: pl.DataFrame) -> None:
    found, expected = answer(weights, bars), in_any_order(weights, bars)
    if isinstance(expected, tuple) or isinstance(found, tuple):
        assert found == expected
        return
    for one, other in zip(found, expected, strict=True):
        assert one.schema == other.schema
        for column in one.columns:
            if one.schema[column] == pl.Float64:  # bit by bit: NaN and negative zero count
                assert one[column].to_numpy().tobytes() == other[column].to_numpy().tobytes()
            assert one[column].equals(other[column], null_equal=True)


ORDERS: dict[str, Callable[[pl.DataFrame, int], pl.DataFrame]] = {
    "by symbol": lambda frame, _: frame,
    "by session": lambda frame, _: frame.sort("session", "symbol"),
    "symbols down": lambda frame, _: frame.sort(KEY, descending=[True, False]),
    "by session, symbols down": lambda frame, _: frame.sort(
        "session", "symbol", descending=[False, True]
    ),
    "sessions down": lambda frame, _: frame.sort(KEY, descending=[False, True]),
    "shuffled": lambda frame, seed: frame.sample(fraction=1.0, shuffle=True, seed=seed),
    "in chunks": lambda frame, _: pl.concat(
        [frame.head(frame.height // 3), frame.slice(frame.height // 3)], rechunk=False
    ),
    "columns turned round": lambda frame, _: frame.select(frame.columns[::-1]),
}


def spoilt(frame: pl.DataFrame, how: str, at: int, value: float | None) -> pl.DataFrame:
    """Return a frame with something wrong in a row, of another kind, or with fewer rows."""
    row = at % max(frame.height, 1)
    here = pl.int_range(pl.len()) == row
    number = "weight" if "weight" in frame.columns else "open"
    given = pl.lit(value, dtype=pl.Float64)
    ways: dict[str, Callable[[], pl.DataFrame]] = {
        "not at all": lambda: frame,
        "twice": lambda: pl.concat([frame.head(row + 1), frame.slice(row)]),
        "twice, apart": lambda: pl.concat([frame, frame.slice(row, 1)]),
        "null symbol": lambda: frame.with_columns(symbol=pl.when(~here).then("symbol")),
        "null session": lambda: frame.with_columns(session=pl.when(~here).then("session")),
        "number": lambda: frame.with_columns(
            pl.when(here).then(given).otherwise(number).alias(number)
        ),
        "single precision": lambda: frame.cast({pl.Float64: pl.Float32}),
        "categories": lambda: frame.cast({"symbol": pl.Categorical}),
        "times": lambda: frame.cast({"session": pl.Datetime("us")}),
        "no session": lambda: frame.filter(pl.col("session") != frame["session"][row]),
        "no symbol": lambda: frame.filter(pl.col("symbol") != frame["symbol"][row]),
        "no row": lambda: frame.filter(~here),
        "empty": frame.clear,
    }
    return ways[how]()


FAULTS = [
    "not at all", "twice", "twice, apart", "null symbol", "null session", "number",
    "single precision", "categories", "times", "no session", "no symbol", "no row", "empty",
]  # fmt: skip
SHAPES = st.tuples(
    st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 4, 7, 40]), st.sampled_from([1, 2, 5, 12])
)


@settings(max_examples=150, deadline=None)
@given(
    shape=SHAPES,
    gaps=st.sampled_from([0.0, 0.0, 0.1]),
    uneven=st.booleans(),
    orders=st.tuples(*[st.sampled_from(sorted(ORDERS))] * 2),
)
def test_the_order_of_rows_changes_no_bit(
    shape: tuple[int, int, int], gaps: float, uneven: bool, orders: tuple[str, str]
) -> None:
    frames = made_up(*shape, gaps=gaps, uneven=uneven)
    assert_same(*(ORDERS[order](f, shape[0]) for order, f in zip(orders, frames, strict=True)))


@settings(max_examples=150, deadline=None)
@given(
    shape=SHAPES,
    uneven=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
    faults=st.tuples(*[st.sampled_from(FAULTS)] * 2),
    where=st.tuples(
        st.integers(0, 10_000), st.sampled_from([float("nan"), float("inf"), 0.0, None])
    ),
)
def test_what_is_wrong_is_said_in_the_same_words_whatever_the_order(
    shape: tuple[int, int, int],
    uneven: bool,
    order: str,
    faults: tuple[str, str],
    where: tuple[int, float | None],
) -> None:
    weights, bars = made_up(*shape, uneven=uneven)
    weights = ORDERS[order](spoilt(weights, faults[0], *where), shape[0])
    assert_same(weights, ORDERS[order](spoilt(bars, faults[1], *where), shape[0]))


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(("n_sessions", "n_symbols"), [(700, 120), (331, 97), (5, 9001), (4, 8193)])
def test_blocks_change_no_bit(n_sessions: int, n_symbols: int, uneven: bool) -> None:
    frames = made_up(4, n_sessions, n_symbols, gaps=0.01 * uneven, uneven=uneven)
    found = run_backtest(*frames, RULES)
    with patch.object(run, "_CELLS", 2**40):  # all sessions at once
        whole = run_backtest(*frames, RULES)
    with patch.object(run, "_CELLS", 1):
        small = run_backtest(*frames, RULES)
    assert found.equals(whole)
    assert found.equals(small)


@pytest.mark.parametrize(
    ("order", "uneven", "read"),
    [
        ("by symbol", False, True),
        ("by symbol", True, True),  # late, ended, and with holes
        ("symbols down", True, True),
        ("by session", False, True),
        ("by session", True, False),
        ("sessions down", False, False),
        ("shuffled", False, False),
    ],
)
def test_rows_are_read_where_they_are_in_these_orders(order: str, uneven: bool, read: bool) -> None:
    _, bars = made_up(1, 40, 12, gaps=0.1 * uneven, uneven=uneven)
    assert isinstance(_rows.rows_of(ORDERS[order](bars, 1))[0], _rows._InOrder) is read


def test_a_row_given_twice_in_order_is_refused() -> None:
    weights, bars = made_up(1, 5, 3)
    with pytest.raises(BacktestError, match=r"ß0001 .* has more than one row of weights or bars"):
        run_backtest(spoilt(weights, "twice", 6, None), bars, RULES)
    with pytest.raises(BacktestError, match=r"ß0001 .* has more than one row of weights or bars"):
        run_backtest(weights, spoilt(bars, "twice", 6, None), RULES)


def test_bars_may_be_of_more_symbols_and_sessions_than_weights() -> None:
    weights, bars = made_up(8, 40, 12, uneven=True)
    days = weights["session"].unique().sort()
    some = weights.filter(
        pl.col("session").is_between(days[7], days[29]),
        pl.col("symbol").is_in(["ß0000", "ß0003", "ß0007", "ß0011"]),
    )
    assert isinstance(days[7], dt.date)
    assert_same(some, bars)
    assert_same(some.sort("session", "symbol"), bars)

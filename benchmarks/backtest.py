"""Row 11: from weights to equity, ours beside vectorbt and a plain loop.

Ours is given what it is given in a training, long frames of weights and of bars, and puts them in
order and checks them within the time; the others are given arrays that are in order already. All
trade at the next open without cost, and agree on the equity before they are timed. The account of
whole shares, which has no match in vectorbt, is held to ours of fractions.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.others import environment
from benchmarks.table import Row, Times, row
from benchmarks.workers import worker
from tradewind.research.backtest.books import keep_books
from tradewind.research.backtest.run import run_backtest
from tradewind.research.strategy.judging import Backtest

__all__ = ["measure"]

ENGINES = ("numba", "rust")
WORKER = Path(__file__).with_name("vectorbt_orders.py")
FREE = Backtest(commission_bps=0.0, slippage_bps=0.0, borrow_bps=0.0)
PAID = Backtest(commission_bps=1.0, slippage_bps=4.0, borrow_bps=50.0, capital=1e9)
Matrix = NDArray[np.float64]


def made_up(n_sessions: int, n_symbols: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Weights that change every day, and bars of a random walk; real ones are too few."""
    draw = np.random.default_rng(0)
    shape = (n_symbols, n_sessions)
    close = 100.0 * np.exp(draw.normal(0.0, 0.01, shape).cumsum(axis=1))
    days = np.busday_offset(np.datetime64("1985-01-02"), np.arange(n_sessions)).astype(
        "datetime64[D]"
    )
    bars = pl.DataFrame(
        {
            "symbol": np.repeat([f"S{number:04d}" for number in range(n_symbols)], n_sessions),
            "session": np.tile(days, n_symbols),
            "open": (close * np.exp(draw.normal(0.0, 0.003, shape))).ravel().round(4),
            "close": close.ravel().round(4),
            "split_factor": 1.0,
            "adjustment_factor": 1.0,
        }
    )
    shares = draw.uniform(-1.0, 1.0, bars.height) / n_symbols
    return bars.select("symbol", "session", pl.Series("weight", shares)), bars


def in_order(frame: pl.DataFrame, column: str) -> Matrix:
    """Return a column as a matrix of sessions by symbols."""
    n_symbols = frame.get_column("symbol").n_unique()
    return np.ascontiguousarray(frame.get_column(column).to_numpy().reshape(n_symbols, -1).T)


def plain_loop(held: Matrix, opens: Matrix, closes: Matrix) -> Matrix:
    """Keep shares and cash, session by session."""
    equity = np.empty(len(held))
    cash, shares = 1.0, np.zeros(held.shape[1])
    for at, weights in enumerate(held):
        worth = cash + shares @ opens[at]
        shares = weights * worth / opens[at]
        cash = worth - shares @ opens[at]
        equity[at] = cash + shares @ closes[at]
    return equity


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(quick: bool) -> list[Row]:
    """Measure each size in turn, and the account of whole shares on the smallest."""
    sizes = ((1_000, 100, 9),) if quick else ((1_000, 100, 15), (10_000, 1_000, 5))
    return [*(_beside_others(*size) for size in sizes), _whole_shares()]


def _beside_others(n_sessions: int, n_symbols: int, runs: int) -> Row:
    weights, bars = made_up(n_sessions, n_symbols)
    held = np.roll(in_order(weights, "weight"), 1, axis=0)
    held[0] = 0.0
    opens, closes = in_order(bars, "open"), in_order(bars, "close")
    equity = run_backtest(weights, bars, FREE).get_column("equity").to_numpy()
    np.testing.assert_allclose(plain_loop(held, opens, closes), equity, rtol=1e-6)
    timed: dict[str, Callable[[], float]] = {
        "ours": lambda: seconds(lambda: run_backtest(weights, bars, FREE)),
        "plain loop": lambda: seconds(lambda: plain_loop(held, opens, closes)),
    }
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "arrays.npz"
        np.savez(file, held=held, opens=opens, closes=closes)
        python = environment("vectorbt") / "python"
        for engine in ENGINES:
            once = stack.enter_context(worker([python, "-W", "ignore", WORKER, file, engine]))
            np.testing.assert_allclose(np.load(f"{file}.{engine}.npy"), equity, rtol=1e-6)
            timed[f"vectorbt {engine}"] = once
        taken: dict[str, list[float]] = {who: [] for who in timed}
        for _ in range(runs):
            for who, once in timed.items():
                taken[who].append(once() * 1e3)
    goals = [Times(f"vectorbt {engine}", 1.0) for engine in ENGINES]
    return row(11, f"backtest, {n_sessions:,} x {n_symbols:,}", "ms", taken, goals)


def _whole_shares() -> Row:
    weights, bars = made_up(250, 20)
    equity = run_backtest(weights, bars, PAID).get_column("equity").to_numpy()
    books = keep_books(weights, bars, PAID).equity.get_column("equity").cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(books / PAID.capital, equity, rtol=1e-4)
    taken = [seconds(lambda: keep_books(weights, bars, PAID)) * 1e3 for _ in range(5)]
    return row(11, "account of whole shares, 250 x 20", "ms", {"ours": taken})

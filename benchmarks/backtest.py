"""How fast weights are traded: rows (sessions times symbols) a second, and what it weighs.

    .venv/bin/python -m benchmarks.backtest

The account of whole shares is checked against the backtest of fractions before either is timed.
"""

import resource
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from tradewind.research.accounting import keep_books
from tradewind.research.backtest import run_backtest
from tradewind.research.strategy import Backtest

RULES = Backtest(commission_bps=1.0, slippage_bps=4.0, borrow_bps=50.0, capital=1e9)


def made_up(n_sessions: int, n_symbols: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Weights that change every day, and bars of a random walk; real ones are too few."""
    draw = np.random.default_rng(0)
    shape = (n_symbols, n_sessions)
    close = 100.0 * np.exp(draw.normal(0.0, 0.01, shape).cumsum(axis=1))
    days = np.busday_offset("1985-01-02", np.arange(n_sessions)).astype("datetime64[D]")
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


def best_of(repeats: int, call: Callable[[], object]) -> float:
    """Seconds of the fastest call."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def memory() -> float:
    """Most memory this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line a size."""
    weights, bars = made_up(250, 20)
    equity = run_backtest(weights, bars, RULES).get_column("equity").to_numpy()
    books = keep_books(weights, bars, RULES).equity.get_column("equity").cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(books / RULES.capital, equity, rtol=1e-4)

    for n_sessions, n_symbols, repeats in ((1_000, 100, 20), (5_000, 500, 3), (10_000, 1_000, 3)):
        weights, bars = made_up(n_sessions, n_symbols)
        before = memory()
        seconds = best_of(repeats, lambda w=weights, b=bars: run_backtest(w, b, RULES))
        print(
            f"backtest {n_sessions:6,} x {n_symbols:5,}: {seconds * 1e3:7.1f} ms, "
            f"{weights.height / seconds / 1e6:4.1f} million rows/s, "
            f"{memory() - before:4.0f} MB above the {before:,.0f} MB of making the data"
        )
    weights, bars = made_up(1_000, 100)
    seconds = best_of(1, lambda: keep_books(weights, bars, RULES))
    print(f"accounting 1,000 x   100: {seconds:7.1f} s,  {weights.height / seconds:,.0f} rows/s")


if __name__ == "__main__":
    main()

"""Series and tables that a tear sheet derives from the sessions of a backtest."""

import math
from typing import Final

import numpy as np
import polars as pl

__all__ = [
    "ROLLING_SESSIONS",
    "benchmark_equity",
    "benchmark_returns",
    "monthly_returns",
    "rolling_sharpe",
    "yearly_returns",
]

ROLLING_SESSIONS: Final = 126


def benchmark_returns(days: pl.DataFrame) -> pl.Series:
    """Return the returns of holding the symbols, by session, shape (n_sessions,).

    Null throughout where there is no benchmark.
    """
    held = days.get_column("benchmark")
    return (held / held.shift(1, fill_value=1.0) - 1.0).alias("benchmark_return")


def benchmark_equity(days: pl.DataFrame) -> pl.DataFrame:
    """Return session and benchmark_equity: one unit of capital in the strategy's benchmark.

    Parameters
    ----------
    days : DataFrame of shape (n_sessions, 2) or wider
        session, benchmark_return.
    """
    grown = (pl.col("benchmark_return") + 1.0).cum_prod()
    return days.select("session", grown.alias("benchmark_equity"))


def monthly_returns(days: pl.DataFrame) -> pl.DataFrame:
    """Return the compounded return of each month that has a session.

    Parameters
    ----------
    days : DataFrame of shape (n_sessions, 2) or wider
        session, net_return.

    Returns
    -------
    DataFrame of shape (n_months, 3)
        year, month, net_return; oldest first.
    """
    return (
        days.group_by(
            pl.col("session").dt.year().alias("year"), pl.col("session").dt.month().alias("month")
        )
        .agg(_compounded("net_return"))
        .sort("year", "month")
    )


def yearly_returns(days: pl.DataFrame) -> pl.DataFrame:
    """Return the compounded return of each year, of the strategy and of its benchmark.

    Parameters
    ----------
    days : DataFrame of shape (n_sessions, 3) or wider
        session, net_return, benchmark.

    Returns
    -------
    DataFrame of shape (n_years, 3)
        year, net_return, benchmark_return (null without a benchmark); oldest first.
    """
    held = benchmark_returns(days)
    return (
        days.with_columns(held)
        .group_by(pl.col("session").dt.year().alias("year"))
        .agg(
            _compounded("net_return"),
            pl.when(pl.col("benchmark_return").null_count() == 0)
            .then(_compounded("benchmark_return"))
            .alias("benchmark_return"),
        )
        .sort("year")
    )


def rolling_sharpe(
    days: pl.DataFrame, window: int = ROLLING_SESSIONS, *, per_year: float
) -> pl.Series:
    """Return the annualised Sharpe ratio of the latest `window` sessions, for each session.

    Null before there are as many sessions, and where returns did not vary, such as out of the
    market.
    """
    net = days.get_column("net_return").to_numpy()
    values: list[float | None] = [None] * min(window - 1, net.size)
    if net.size >= window:
        # Not polars' rolling deviation: its running sums give returns that do not vary a tiny
        # deviation, and so an enormous ratio.
        windows = np.lib.stride_tricks.sliding_window_view(net, window)
        means, deviations = windows.mean(axis=1), windows.std(axis=1, ddof=1)
        varied = np.ptp(windows, axis=1) > 0.0
        root = math.sqrt(per_year)
        values += [
            float(mean / deviation * root) if moves else None
            for mean, deviation, moves in zip(means, deviations, varied, strict=True)
        ]
    return pl.Series("rolling_sharpe", values, dtype=pl.Float64)


def _compounded(column: str) -> pl.Expr:
    return (pl.col(column) + 1.0).product() - 1.0

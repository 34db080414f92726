"""Weights and bars as matrices of sessions by symbols, checked so that they can be traded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import BacktestError

__all__ = ["Matrix", "Panel", "arrange"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """What is held when, and the prices of it.

    Attributes
    ----------
    sessions : Series of Date, length n_sessions
    symbols : tuple of str, length n_symbols
        Sorted.
    held : ndarray of shape (n_sessions, n_symbols)
        Weights held from the open of each session: those decided after the close before. In the
        first session nothing is, nor is a symbol after its last bar.
    prices : tuple of ndarray, each of shape (n_sessions, n_symbols)
        In the order asked for; NaN where a symbol has no bar. After a symbol's last bar, the
        price its position was closed at.
    """

    sessions: pl.Series
    symbols: tuple[str, ...]
    held: Matrix
    prices: tuple[Matrix, ...]


def arrange(
    weights: pl.DataFrame,
    bars: pl.DataFrame,
    columns: Sequence[pl.Expr],
    *,
    delisting_return: float = 0.0,
) -> Panel:
    """Lay weights out as they are held, and columns of bars beside them.

    A symbol whose bars end before the last session can be sold in the session after, at its last
    close times one plus `delisting_return`, and is wanted no more, whatever the weights say.

    Parameters
    ----------
    weights : DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight. A symbol without a row in a session has weight 0.0 there.
    bars : DataFrame of shape (n_bars, 9)
    columns : sequence of expressions
        Of `bars`; the first two are what is traded at and what is valued at.
    delisting_return : float
        What a share earns from its last close to the next open, which it does not see.

    Raises
    ------
    BacktestError
        If there are no weights, sessions are skipped, a weight is no number or given twice, or a
        held symbol has no price and has bars later.
    """
    if weights.is_empty():
        raise BacktestError("no weights to trade")
    sessions = weights.get_column("session").unique().sort()
    symbols = weights.get_column("symbol").unique().sort()
    _refuse_skipped_sessions(sessions, bars)
    used = bars.filter(
        pl.col("symbol").is_in(symbols.implode()),
        pl.col("session").is_between(sessions[0], sessions[-1]),
    )
    absent = sorted(set(symbols) - set(used.get_column("symbol").unique()))
    if absent:
        raise BacktestError(f"no bars of {', '.join(absent)}, which the weights name")
    [wanted] = _matrices(weights, [pl.col("weight")], sessions, symbols, missing=0.0)
    _refuse_no_numbers(wanted, sessions, symbols)
    prices = _matrices(used, columns, sessions, symbols, missing=np.nan)
    held = np.vstack([np.zeros_like(wanted[:1]), wanted[:-1]])
    for column, last in _ended(sessions, symbols, bars):
        _close_out(
            held[:, column], [matrix[:, column] for matrix in prices], last, delisting_return
        )
    _refuse_unpriced(held, prices[0], prices[1], sessions, symbols)
    return Panel(sessions, tuple(symbols), held, prices)


def _matrices(
    frame: pl.DataFrame,
    columns: Sequence[pl.Expr],
    sessions: pl.Series,
    symbols: pl.Series,
    *,
    missing: float,
) -> tuple[Matrix, ...]:
    """Scatter columns of a long frame; several times faster than a pivot, and checked."""
    rows = sessions.search_sorted(frame.get_column("session")).to_numpy()
    at = frame.get_column("symbol").cast(pl.Enum(symbols)).to_physical().to_numpy()
    seen = np.zeros((sessions.len(), symbols.len()), dtype=bool)
    seen[rows, at] = True
    if np.count_nonzero(seen) < frame.height:
        repeated = frame.filter(frame.select("symbol", "session").is_duplicated())
        symbol, session = repeated.select("symbol", "session").row(0)
        raise BacktestError(f"{symbol} {session} has more than one row of weights or bars")
    laid_out = []
    for column in columns:
        matrix = np.full(seen.shape, missing)
        matrix[rows, at] = frame.select(column.cast(pl.Float64)).to_series().to_numpy()
        laid_out.append(matrix)
    return tuple(laid_out)


def _refuse_skipped_sessions(sessions: pl.Series, bars: pl.DataFrame) -> None:
    traded = bars.get_column("session").unique().sort()
    expected = traded.filter(traded.is_between(sessions[0], sessions[-1]))
    skipped = sorted(set(expected) ^ set(sessions))
    if skipped:
        raise BacktestError(
            f"weights and bars disagree on the session {skipped[0]} ({len(skipped)} in all): "
            "weights must cover every session from the first to the last"
        )


def _refuse_no_numbers(wanted: Matrix, sessions: pl.Series, symbols: pl.Series) -> None:
    broken = ~np.isfinite(wanted)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise BacktestError(
            f"the weight of {symbols[int(column)]} {sessions[int(row)]} is "
            f"{wanted[row, column]}, not a number"
        )


def _ended(
    sessions: pl.Series, symbols: pl.Series, bars: pl.DataFrame
) -> Iterator[tuple[int, int]]:
    """Yield each symbol whose bars end before the last session, and the row of its last bar.

    All bars count, those after the last session, too: a symbol that has some was not delisted.
    """
    last = bars.filter(pl.col("symbol").is_in(symbols.implode())).group_by("symbol")
    ends = dict(last.agg(pl.max("session")).iter_rows())
    for column, symbol in enumerate(symbols):
        if ends[symbol] < sessions[-1]:
            yield column, int(sessions.search_sorted(ends[symbol]))


def _close_out(held: Matrix, prices: Sequence[Matrix], last: int, delisting_return: float) -> None:
    """Want nothing of a symbol after its last bar, and let the rows after say what it is sold at.

    Nothing but the price of that sale is traded at or valued at: what is sold is not held.
    """
    held[last + 1 :] = 0.0
    if last == 0:  # never held, and not to be bought by a benchmark, either
        return
    opens, closes, *factors = prices
    opens[last + 1 :] = closes[last + 1 :] = closes[last] * (1.0 + delisting_return)
    for values in factors:
        values[last + 1 :] = values[last]


def _refuse_unpriced(
    held: Matrix, opens: Matrix, closes: Matrix, sessions: pl.Series, symbols: pl.Series
) -> None:
    """Refuse a position that cannot be bought, or not be sold at the open after.

    A symbol that has bars again later was halted, or its bars are missing. What it was worth
    meanwhile nobody knows, and when it could have been sold neither.
    """
    unpriced = np.isnan(opens) | np.isnan(closes)
    if not unpriced.any():
        return
    owned = held != 0.0
    owned[1:] |= held[:-1] != 0.0
    if (owned & unpriced).any():
        row, column = np.argwhere(owned & unpriced)[0]
        raise BacktestError(
            f"{symbols[int(column)]} is held on {sessions[int(row)]} but has no price that day"
        )

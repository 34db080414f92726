"""What a strategy is compared with: the returns of a position that is held all the time.

The position is the strategy's benchmark (its universe, one symbol, or cash), or the mix that the
strategy held on average.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import StrategyError
from tradewind.research.strategy.judging import SymbolBenchmark
from tradewind.research.strategy.strategy import Strategy

__all__ = ["benchmark_bars", "benchmark_name", "benchmark_returns", "mix_returns", "refuse_holes"]

Matrix = NDArray[np.float64]
Returns = NDArray[np.float64]


def benchmark_name(strategy: Strategy) -> str:
    """Return the benchmark's name: ``equal_weight``, ``cash`` or a symbol."""
    held = strategy.held_against
    return held.symbol if isinstance(held, SymbolBenchmark) else held


def benchmark_bars(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Return the bars from which the benchmark's returns are computed; none for cash.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold those of the strategy's `bar_symbols`.
    strategy : Strategy
    """
    held = strategy.held_against
    if held == "cash":
        return bars.clear()
    wanted = (held.symbol,) if isinstance(held, SymbolBenchmark) else strategy.universe.symbols
    return bars.filter(pl.col("symbol").is_in(list(wanted)))


def benchmark_returns(bars: pl.DataFrame, strategy: Strategy, sessions: pl.Series) -> Returns:
    """Return what the strategy's benchmark earned in each session that the strategy was tested in.

    ``equal_weight`` holds the same share of every symbol of the universe that had a bar at the
    close before, put back to equal shares at each open, at no cost: what a strategy without any
    preference would hold here. It is not bought once and then left alone: such a portfolio drifts
    into the symbol that rose most, so that it is another one each year, and known in hindsight
    only. So a strategy that holds all symbols all the time has a beta of one, and its alpha is
    minus its costs.

    A symbol that starts late is held from its second bar on. One whose bars end is sold as in
    `tradewind.research.backtest.run`: at its last close and the file's `delisting_return`. Where a
    bar is missing in the middle, the last close is used until there is another.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        From `benchmark_bars`.
    strategy : Strategy
    sessions : Series of Date, length n_sessions
        Without a gap and increasing; as in a backtest, nothing is held before the open of the
        second.

    Returns
    -------
    ndarray of shape (n_sessions,)
        Simple returns, close to close; zero throughout for ``cash``.

    Raises
    ------
    StrategyError
        If the symbol that is the benchmark has no bar in one of the sessions.
    """
    held = strategy.held_against
    if held == "cash":
        return np.zeros(sessions.len())
    refuse_holes(bars, strategy, sessions)
    symbols = bars.get_column("symbol").unique().sort().to_list()
    opens, closes = _matrices(bars, symbols, sessions)
    lost = strategy.backtest.delisting_return
    wanted = _fill(opens, closes, _ends(bars, symbols, sessions), lost)
    number = wanted.sum(axis=1, keepdims=True)
    equal = np.divide(wanted, number, out=np.zeros(wanted.shape), where=number > 0)
    return _earned(opens, closes, equal)


def mix_returns(
    bars: pl.DataFrame, weights: pl.DataFrame, predictions: pl.DataFrame, strategy: Strategy
) -> Returns:
    """Return what the strategy's own average position earned, held all the time at no cost.

    A strategy that mostly holds one symbol long and another short earns the returns of those two,
    for whatever reason it holds them. In a universe that was picked in hindsight even noise can
    find such a gain, if it tells symbols apart, and no benchmark of the market removes it. The
    strategy's decisions add what it earned beyond this mix.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Of the strategy's universe.
    weights : DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight: its targets.
    predictions : DataFrame of shape (n_rows, 2) or wider
        symbol, session: when it could have held each symbol. A symbol's weight is its mean over
        these sessions, and is held in these sessions only.
    strategy : Strategy

    Returns
    -------
    ndarray of shape (n_sessions,)
        Simple returns, close to close.
    """
    sessions = weights.get_column("session").unique().sort()
    symbols = weights.get_column("symbol").unique().sort().to_list()
    used = bars.filter(pl.col("symbol").is_in(symbols))
    opens, closes = _matrices(used, symbols, sessions)
    lost = strategy.backtest.delisting_return
    wanted = _fill(opens, closes, _ends(used, symbols, sessions), lost)
    decided = np.zeros(wanted.shape, dtype=bool)
    decided[_places(predictions.select("session", "symbol"), symbols, sessions)] = True
    target = np.zeros(wanted.shape)
    target[_places(weights, symbols, sessions)] = weights.get_column("weight").to_numpy()
    # By NumPy, which adds in one order: the sum is the same to the bit with any number of threads.
    mean = np.where(decided, target, 0.0).sum(axis=0) / np.maximum(decided.sum(axis=0), 1)
    wanted[1:] &= decided[:-1]
    return _earned(opens, closes, wanted * mean)


def _places(
    frame: pl.DataFrame, symbols: Sequence[str], sessions: pl.Series
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and column in a matrix of sessions by symbols of each row of a frame."""
    rows = sessions.search_sorted(frame.get_column("session")).to_numpy()
    columns = frame.get_column("symbol").cast(pl.Enum(symbols)).to_physical().to_numpy()
    return rows, columns


def refuse_holes(bars: pl.DataFrame, strategy: Strategy, sessions: pl.Series) -> None:
    """Refuse a benchmark symbol without a bar in a session that the strategy is tested in.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        From `benchmark_bars`.
    strategy : Strategy
    sessions : Series of Date

    Raises
    ------
    StrategyError
        Which names symbol and session.
    """
    held = strategy.held_against
    if not isinstance(held, SymbolBenchmark):
        return
    symbol = held.symbol
    missing = sorted(set(sessions) - set(bars.get_column("session")))
    if missing:
        raise StrategyError(
            f"strategy {strategy.name}: benchmark: {symbol} has no bar on {missing[0]} "
            f"({len(missing)} of the {sessions.len()} sessions that the strategy is tested in), so "
            "nobody can say what it earned. Name a symbol of the source that is quoted throughout, "
            "or write `benchmark: equal_weight`"
        )


def _matrices(
    bars: pl.DataFrame, symbols: Sequence[str], sessions: pl.Series
) -> tuple[Matrix, Matrix]:
    """Return adjusted opens and closes, shape (n_sessions, n_symbols), NaN without a bar."""
    used = bars.filter(pl.col("session").is_in(sessions.implode()))
    places = _places(used, symbols, sessions)
    found = []
    for price in ("open", "close"):
        matrix = np.full((sessions.len(), len(symbols)), np.nan)
        adjusted = used.select(pl.col(price) * pl.col("adjustment_factor")).to_series()
        matrix[places] = adjusted.to_numpy()
        found.append(matrix)
    return found[0], found[1]


def _ends(bars: pl.DataFrame, symbols: Sequence[str], sessions: pl.Series) -> list[int | None]:
    """Return the row of each symbol's last bar; None if it has one in the last session or later."""
    last: dict[str, date] = dict(bars.group_by("symbol").agg(pl.max("session")).iter_rows())
    return [
        None
        if last[symbol] >= sessions[-1]
        else int(sessions.search_sorted(last[symbol], side="right")) - 1
        for symbol in symbols
    ]


def _fill(
    opens: Matrix, closes: Matrix, ends: Sequence[int | None], delisting_return: float
) -> NDArray[np.bool_]:
    """Fill missing prices, and return when each symbol is held.

    Returns
    -------
    ndarray of bool, shape (n_sessions, n_symbols)
        Whether a symbol is held from the open of a session.
    """
    wanted = np.zeros(closes.shape, dtype=bool)
    for column, end in enumerate(ends):
        quoted = np.flatnonzero(~np.isnan(closes[:, column]))
        if not quoted.size:
            continue
        first = quoted[0]
        stop = len(closes) if end is None else end + 1
        wanted[first + 1 : stop, column] = True
        for row in range(first + 1, stop):
            if np.isnan(closes[row, column]):
                opens[row, column] = closes[row, column] = closes[row - 1, column]
        if stop < len(closes):
            sold = closes[stop - 1, column] * (1.0 + delisting_return)
            opens[stop, column] = closes[stop, column] = sold
    return wanted


def _earned(opens: Matrix, closes: Matrix, held: Matrix) -> Returns:
    """Return what shares of equity earn: the arithmetic of a backtest without costs."""
    wanted = held != 0.0
    # A symbol that is not held may have no price, or one of zero.
    intraday_moves = _moves(closes, opens, wanted)
    intraday = np.einsum("ij,ij->i", held, intraday_moves)
    at_close = held * (1.0 + intraday_moves) / (1.0 + intraday)[:, None]
    overnight_moves = _moves(opens[1:], closes[:-1], wanted[:-1])
    overnight = np.append(0.0, np.einsum("ij,ij->i", at_close[:-1], overnight_moves))
    returns: Returns = (1.0 + overnight) * (1.0 + intraday) - 1.0
    return returns


def _moves(later: Matrix, earlier: Matrix, wanted: NDArray[np.bool_]) -> Matrix:
    moves: Matrix = np.divide(later, earlier, out=np.ones(later.shape), where=wanted) - 1.0
    return moves

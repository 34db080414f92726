"""Weights and bars as matrices of sessions by symbols, checked so that they can be traded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import BacktestError
from tradewind.research.backtest._rows import Laid, Matrix, rows_of

__all__ = ["Matrix", "Panel", "arrange"]


@dataclass(frozen=True)
class Panel:
    """The weights held in each session, and the prices.

    Matrices are made only for the sessions that are asked for. To make all of them at once takes
    many times as long, mostly for memory that is used once.

    Attributes
    ----------
    sessions : Series of Date, length n_sessions
    symbols : tuple of str, length n_symbols
        Sorted.
    """

    sessions: pl.Series
    symbols: tuple[str, ...]
    _wanted: Laid
    _prices: tuple[Laid, ...]
    _ended: "_Ended"

    def held(self, start: int, stop: int) -> Matrix:
        """Return the weights held from the opens of some sessions, a row each.

        They are those decided after the close before. In the first session nothing is held, nor
        is a symbol after its last bar.
        """
        held = self._wanted.between(max(start - 1, 0), stop - 1)
        if start == 0:
            held = np.vstack([np.zeros((1, len(self.symbols))), held])
        self._ended.give_up(held, start)
        return held

    def price(self, column: int, start: int, stop: int) -> Matrix:
        """Return one of the columns asked for in some sessions, a row each.

        It is NaN where a symbol has no bar. After a symbol's last bar, it is the price that its
        position was closed at.
        """
        prices = self._prices[column].between(start, stop)
        self._ended.go_on(prices, start, column)
        return prices

    def prices_of(self, column: int, symbol: int) -> Matrix:
        """Return one column of one symbol, by session; it must not be changed.

        The values are those of `price`, without laying out the other symbols.
        """
        return self._ended.go_on_alone(self._prices[column].whole(symbol), symbol, column)

    def refuse_unpriced(self, held: Matrix, unpriced: NDArray[np.bool_], start: int = 0) -> None:
        """Refuse a position that cannot be bought, or cannot be sold at the next open.

        A symbol that has bars again later was halted, or its bars are missing. Nobody knows its
        value meanwhile, or when it could have been sold.

        Parameters
        ----------
        held, unpriced : ndarray of shape (n_rows, n_symbols)
            Of the sessions from `start` on: weights, and where there is no open or no close.
        start : int

        Raises
        ------
        BacktestError
            Which names the first position.
        """
        if not unpriced.any():
            return
        owned = held != 0.0
        owned[1:] |= held[:-1] != 0.0
        if (owned & unpriced).any():
            row, column = np.argwhere(owned & unpriced)[0]
            raise BacktestError(
                f"{self.symbols[int(column)]} is held on {self.sessions[start + int(row)]} but has "
                "no price that day"
            )


def arrange(
    weights: pl.DataFrame,
    bars: pl.DataFrame,
    columns: Sequence[pl.Expr],
    *,
    delisting_return: float = 0.0,
) -> Panel:
    """Lay out weights in the sessions they are held, with columns of bars beside them.

    A symbol whose bars end before the last session can be sold in the session after, at its last
    close times one plus `delisting_return`. From then on its weight is zero, whatever `weights`
    says.

    Parameters
    ----------
    weights : DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight. A symbol without a row in a session has weight 0.0 there.
    bars : DataFrame of shape (n_bars, 9)
    columns : sequence of expressions
        Of `bars`, each row by itself; the first two are the price of trades and the price of
        positions.
    delisting_return : float
        Return of a share from its last close to the next open, for which it has no bar.

    Raises
    ------
    BacktestError
        If there are no weights, sessions are skipped, or a weight is no number or given twice.
    """
    if weights.is_empty():
        raise BacktestError("no weights to trade")
    decided, quoted = rows_of(weights, bars)
    sessions, symbols = decided.sessions, decided.symbols
    _refuse_skipped_sessions(sessions, quoted.sessions)
    used = quoted.within(sessions, symbols)
    names = symbols.to_list()
    absent = sorted(set(names) - set(used.symbols.to_list()))
    if absent:
        raise BacktestError(f"no bars of {', '.join(absent)}, which the weights name")
    [wanted] = decided.lay_out([pl.col("weight")], sessions, symbols, missing=0.0)
    _refuse_no_numbers(wanted, sessions, symbols)
    prices = used.lay_out(columns, sessions, symbols, missing=np.nan)
    ended = _ended(sessions, quoted.ends(symbols), prices, delisting_return)
    return Panel(sessions, tuple(names), wanted, prices, ended)


@dataclass(frozen=True)
class _Ended:
    """Symbols whose bars end before the last session.

    Attributes
    ----------
    columns : ndarray of int, shape (n_ended,)
        Their columns.
    last : ndarray of int, shape (n_ended,)
        The row of the last bar of each.
    after : tuple of ndarray, each of shape (n_ended,)
        For each column of bars the value after the last bar: the price at which the symbol is sold.
    """

    columns: NDArray[np.intp]
    last: NDArray[np.intp]
    after: tuple[Matrix, ...]

    def give_up(self, held: Matrix, start: int) -> None:
        """Set a symbol's weights after its last bar to zero."""
        self._replace(held, start, np.zeros(self.last.shape), self.last >= 0)

    def go_on(self, prices: Matrix, start: int, column: int) -> None:
        """Fill the rows after a symbol's last bar with the price at which it is sold.

        Only that sale uses these prices, for afterwards the symbol is not held. A symbol that ends
        in the first row was never held, and a benchmark must not buy it either.
        """
        self._replace(prices, start, self.after[column], self.last > 0)

    def go_on_alone(self, prices: Matrix, symbol: int, column: int) -> Matrix:
        """Return a symbol's prices as `go_on` fills them; the same array if it has not ended."""
        place = int(self.columns.searchsorted(symbol))
        if place == self.columns.size or self.columns[place] != symbol or self.last[place] == 0:
            return prices
        going_on = prices.copy()
        going_on[self.last[place] + 1 :] = self.after[column][place]
        return going_on

    def _replace(
        self, matrix: Matrix, start: int, after: Matrix, concerned: NDArray[np.bool_]
    ) -> None:
        """Replace the values after the last bars in a matrix whose first row is `start`."""
        stop = start + len(matrix)
        concerned = concerned & (self.last + 1 < stop)
        if concerned.any():
            columns = self.columns[concerned]
            over = np.arange(start, stop)[:, None] > self.last[concerned]
            matrix[:, columns] = np.where(over, after[concerned], matrix[:, columns])


def _ended(
    sessions: pl.Series, ends: pl.Series, prices: Sequence[Laid], delisting_return: float
) -> _Ended:
    """Find the symbols that end early.

    All bars count, also those after the last session: a symbol that has some was not delisted.
    """
    columns = np.flatnonzero((ends < sessions[-1]).to_numpy())
    if not columns.size:
        return _Ended(columns, columns, tuple(np.empty(0) for _ in prices))
    last = sessions.search_sorted(ends.gather(columns)).to_numpy().astype(np.intp)
    _, closes, *factors = prices
    sold_at = closes.at(last, columns) * (1.0 + delisting_return)
    return _Ended(columns, last, (sold_at, sold_at, *(each.at(last, columns) for each in factors)))


def _refuse_skipped_sessions(sessions: pl.Series, traded: pl.Series) -> None:
    expected = traded.filter(traded.is_between(sessions[0], sessions[-1]))
    if expected.equals(sessions, check_dtypes=True):
        return
    skipped = sorted(set(expected) ^ set(sessions))
    if skipped:
        raise BacktestError(
            f"weights and bars disagree on the session {skipped[0]} ({len(skipped)} in all): "
            "weights must cover every session from the first to the last"
        )


def _refuse_no_numbers(laid: Laid, sessions: pl.Series, symbols: pl.Series) -> None:
    if np.isfinite(laid.values).all():
        return
    wanted = laid.between(0, sessions.len())
    broken = ~np.isfinite(wanted)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise BacktestError(
            f"the weight of {symbols[int(column)]} {sessions[int(row)]} is "
            f"{wanted[row, column]}, not a number"
        )

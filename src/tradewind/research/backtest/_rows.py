"""Rows of a long frame, each of a symbol and a session, laid out as sessions by symbols.

The result does not depend on the order of the rows, but the speed does. Rows that come symbol by
symbol, each by session, are copied from where they are, whatever sessions a symbol lacks. So are
rows that come session by session, if each session has the same symbols in the same order. All
others are put in order first. A row given twice fits no order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tradewind.errors import BacktestError

__all__ = ["Laid", "Matrix", "Rows", "rows_of"]

Matrix = NDArray[np.float64]
Positions = NDArray[np.intp]
Days = NDArray[np.int32]

_ENOUGH: Final = 4096  # rows in which a frame without order shows that it has none


class Laid(Protocol):
    """A column as a matrix of sessions by symbols; only the parts that are asked for are made."""

    @property
    def values(self) -> Matrix:
        """Every number of the matrix that is not missing, in any shape, perhaps with others."""

    def between(self, start: int, stop: int) -> Matrix:
        """Return rows from `start` up to `stop` as a new matrix, row by row in memory."""

    def at(self, rows: Positions, columns: Positions) -> Matrix:
        """Return single numbers, by row and column; a column must have the row asked for."""

    def whole(self, column: int) -> Matrix:
        """Return one column of the matrix, which must not be changed."""


class Rows(Protocol):
    """Rows of a long frame."""

    @property
    def sessions(self) -> pl.Series:
        """Those there are, each once, in order."""

    @property
    def symbols(self) -> pl.Series:
        """Those there are, each once, in order."""

    def ends(self, symbols: pl.Series) -> pl.Series:
        """Return the last session of each of these symbols, which must all have rows."""

    def within(self, sessions: pl.Series, symbols: pl.Series) -> "Rows":
        """Return the rows of these symbols, from the first to the last of these sessions."""

    def lay_out(
        self, columns: Sequence[pl.Expr], sessions: pl.Series, symbols: pl.Series, missing: float
    ) -> tuple[Laid, ...]:
        """Lay columns out as matrices, by sessions that hold those of all rows and their symbols.

        Raises
        ------
        BacktestError
            If a symbol has two rows in a session.
        """


def rows_of(*frames: pl.DataFrame) -> tuple[Rows, ...]:
    """Return the rows of long frames that have columns symbol and session.

    Their order is only checked if all have keys of the same plain types, so that keys of one frame
    can be looked up in another.
    """
    if all(_has_plain_keys(frame) for frame in frames):
        return tuple(_in_order(frame) or _InAnyOrder(frame) for frame in frames)
    return tuple(_InAnyOrder(frame) for frame in frames)


@dataclass(frozen=True)
class _InAnyOrder:
    """Rows in an unknown order."""

    frame: pl.DataFrame

    @cached_property
    def sessions(self) -> pl.Series:
        return self.frame.get_column("session").unique().sort()

    @cached_property
    def symbols(self) -> pl.Series:
        return self.frame.get_column("symbol").unique().sort()

    def ends(self, symbols: pl.Series) -> pl.Series:
        named = self.frame.filter(pl.col("symbol").is_in(symbols.implode()))
        last = dict(named.group_by("symbol").agg(pl.max("session")).iter_rows())
        return pl.Series([last[symbol] for symbol in symbols])

    def within(self, sessions: pl.Series, symbols: pl.Series) -> "_InAnyOrder":
        return _InAnyOrder(
            self.frame.filter(
                pl.col("symbol").is_in(symbols.implode()),
                pl.col("session").is_between(sessions[0], sessions[-1]),
            )
        )

    def lay_out(
        self, columns: Sequence[pl.Expr], sessions: pl.Series, symbols: pl.Series, missing: float
    ) -> tuple[Laid, ...]:
        """Scatter the values; several times faster than a pivot, and checked for repeated rows."""
        frame = self.frame
        rows = sessions.search_sorted(frame.get_column("session")).to_numpy()
        at = frame.get_column("symbol").cast(pl.Enum(symbols)).to_physical().to_numpy()
        seen = np.zeros((sessions.len(), symbols.len()), dtype=bool)
        seen[rows, at] = True
        if np.count_nonzero(seen) < frame.height:
            repeated = frame.filter(frame.select("symbol", "session").is_duplicated())
            symbol, session = repeated.select("symbol", "session").row(0)
            raise BacktestError(f"{symbol} {session} has more than one row of weights or bars")
        laid_out = []
        for values in _numbers(frame, columns):
            matrix = np.full(seen.shape, missing)
            matrix[rows, at] = values
            laid_out.append(_Whole(matrix))
        return tuple(laid_out)


@dataclass(frozen=True)
class _Whole:
    """A matrix in memory, in any order of its numbers."""

    values: Matrix

    def between(self, start: int, stop: int) -> Matrix:
        return self.values[start:stop].copy(order="C")

    def at(self, rows: Positions, columns: Positions) -> Matrix:
        found: Matrix = self.values[rows, columns]
        return found

    def whole(self, column: int) -> Matrix:
        found: Matrix = self.values[:, column]
        return found


@dataclass(frozen=True)
class _InOrder:
    """Rows in which those of each symbol come by session, at equal distances.

    Attributes
    ----------
    frame : DataFrame
    days : ndarray of int, shape (n_rows,)
        The sessions of the frame's rows, as days since 1970.
    names : tuple of str
        Each symbol once.
    starts, lengths : ndarray of int
        By symbol: its first row, and how many it has, one or more.
    step : int
        From one row of a symbol to its next.
    alike : bool
        Whether all symbols have the same sessions.
    """

    frame: pl.DataFrame
    days: Days
    names: tuple[str, ...]
    starts: Positions
    lengths: Positions
    step: int
    alike: bool

    @cached_property
    def sessions(self) -> pl.Series:
        longest = self._days_of(int(self.lengths.argmax()))
        found = [longest]
        for symbol in range(0 if self.alike else len(self.starts)):
            days = self._days_of(symbol)
            at = int(longest.searchsorted(days[0]))
            if not np.array_equal(longest[at : at + len(days)], days):
                found.append(days)
        if len(found) == 1 and self.step == 1:
            at = int(self.lengths.argmax())
            start, length = int(self.starts[at]), int(self.lengths[at])
            return self.frame.get_column("session").slice(start, length)
        days = longest if len(found) == 1 else np.unique(np.concatenate(found))
        return pl.Series("session", days, dtype=pl.Int32).cast(pl.Date)

    @cached_property
    def symbols(self) -> pl.Series:
        return pl.Series("symbol", sorted(self.names), dtype=pl.String)

    def ends(self, symbols: pl.Series) -> pl.Series:
        at = self._places(symbols)
        last = self.starts[at] + (self.lengths[at] - 1) * self.step
        return self.frame.get_column("session").gather(last)

    def within(self, sessions: pl.Series, symbols: pl.Series) -> "_InOrder":
        first, last = _numbered(sessions)[[0, -1]]
        wanted = set(symbols.to_list())
        kept = np.flatnonzero([name in wanted for name in self.names])
        bounds = np.array(
            [
                (days.searchsorted(first), days.searchsorted(last, side="right"))
                for days in map(self._days_of, kept[:1] if self.alike else kept)
            ],
            dtype=np.intp,
        ).reshape(-1, 2)
        skipped, stops = np.broadcast_to(bounds, (len(kept), 2)).T
        there = stops > skipped
        kept, skipped, stops = kept[there], skipped[there], stops[there]
        return _InOrder(
            self.frame,
            self.days,
            tuple(self.names[at] for at in kept),
            self.starts[kept] + skipped * self.step,
            stops - skipped,
            self.step,
            self.alike,
        )

    def lay_out(
        self, columns: Sequence[pl.Expr], sessions: pl.Series, symbols: pl.Series, missing: float
    ) -> tuple[Laid, ...]:
        """Leave columns where they are, and record where each symbol begins and ends."""
        at = self._places(symbols)
        starts, lengths = self.starts[at], self.lengths[at]
        lasts = starts + (lengths - 1) * self.step
        days = _numbered(sessions)
        first = days.searchsorted(self.days[starts])
        stop = days.searchsorted(self.days[lasts]) + 1
        holed = np.flatnonzero(stop - first > lengths)
        filled = [days.searchsorted(self._days_of(int(symbol))) for symbol in at[holed]]
        # Columns at equal distances can be copied without an index for each number.
        apart = int(starts[1] - starts[0]) if starts.size > 1 else 1
        even = bool((lengths == days.size).all() and (np.diff(starts) == apart).all() and apart > 0)
        lowest, highest = int(starts.min()), int(lasts.max())
        part = self.frame.slice(lowest, highest + 1 - lowest)
        laid_out: list[Laid] = []
        for values in _numbers(part, columns):
            if even:
                strides = values.itemsize * self.step, values.itemsize * apart
                shape = days.size, starts.size
                laid_out.append(_Whole(as_strided(values, shape, strides, writeable=False)))
                continue
            patches = np.full((holed.size, days.size), missing)
            for patch, rows, start in zip(patches, filled, starts[holed] - lowest, strict=True):
                patch[rows] = values[start : start + rows.size * self.step : self.step]
            origin = starts - lowest - first * self.step
            laid_out.append(
                _InPlace(values, origin, self.step, first, stop, missing, holed, patches)
            )
        return tuple(laid_out)

    def _days_of(self, symbol: int) -> Days:
        start = self.starts[symbol]
        return self.days[start : start + self.lengths[symbol] * self.step : self.step]

    def _places(self, symbols: pl.Series) -> Positions:
        place = {symbol: at for at, symbol in enumerate(self.names)}
        return np.array([place[symbol] for symbol in symbols.to_list()], dtype=np.intp)


@dataclass(frozen=True)
class _InPlace:
    """A matrix whose columns are read from where they are in a long column.

    Attributes
    ----------
    values : ndarray of float
        The long column.
    origin : ndarray of int
        Where the first row of each column would be; before the beginning, if it starts late.
    step : int
        From one row of a column to its next.
    first, stop : ndarray of int
        The rows that each column has; those before and after are missing.
    missing : float
    holed : ndarray of int
        Columns that lack rows in between; `patches` has these columns instead.
    patches : ndarray of shape (n_holed, n_rows)
    """

    values: Matrix
    origin: Positions
    step: int
    first: Positions
    stop: Positions
    missing: float
    holed: Positions
    patches: Matrix

    def between(self, start: int, stop: int) -> Matrix:
        rows = np.arange(start, stop)[:, None]
        made = np.take(self.values, self.origin + rows * self.step, mode="clip")
        cut = np.flatnonzero((self.first > start) | (self.stop < stop))
        if cut.size:
            lacking = (rows < self.first[cut]) | (rows >= self.stop[cut])
            made[:, cut] = np.where(lacking, self.missing, made[:, cut])
        made[:, self.holed] = self.patches[:, start:stop].T
        return made

    def at(self, rows: Positions, columns: Positions) -> Matrix:
        made = np.take(self.values, self.origin[columns] + rows * self.step, mode="clip")
        patched = np.isin(columns, self.holed)
        place = self.holed.searchsorted(columns[patched])
        made[patched] = self.patches[place, rows[patched]]
        return made

    def whole(self, column: int) -> Matrix:
        place = int(self.holed.searchsorted(column))
        if place < self.holed.size and self.holed[place] == column:
            patch: Matrix = self.patches[place]
            return patch
        first, stop, step = int(self.first[column]), int(self.stop[column]), self.step
        made = np.full(self.patches.shape[1], self.missing)
        start = int(self.origin[column]) + first * step
        made[first:stop] = self.values[start : start + (stop - first) * step : step]
        return made


def _has_plain_keys(frame: pl.DataFrame) -> bool:
    symbol, session = frame.get_column("symbol"), frame.get_column("session")
    plain = symbol.dtype == pl.String and session.dtype == pl.Date and frame.height > 0
    return plain and not symbol.null_count() and not session.null_count()


def _in_order(frame: pl.DataFrame) -> _InOrder | None:
    """Return the rows as they are if they are in an order that can be read."""
    days: Days = frame.get_column("session").to_physical().to_numpy()
    if len(days) > 1 and days[0] == days[1]:
        return _by_session(frame, days)
    symbol = frame.get_column("symbol")
    if _runs(symbol.head(_ENOUGH)) is None:
        return None
    runs = _runs(symbol)
    if runs is None:
        return None
    starts, names = runs
    lengths = np.diff(starts, append=len(days))
    table = days.reshape(len(starts), -1) if np.ptp(lengths) == 0 else None
    alike = table is not None and bool((table == table[0]).all())
    checked, begins = (days[: lengths[0]], starts[:1]) if alike else (days, starts)
    later = np.empty(len(checked), dtype=bool)  # later than the row before, of the same symbol
    np.greater(checked[1:], checked[:-1], out=later[1:])
    later[begins] = True
    if not later.all():
        return None
    return _InOrder(frame, days, names, starts, lengths, 1, alike)


def _by_session(frame: pl.DataFrame, days: Days) -> _InOrder | None:
    """Return the rows as they are if each session has the same symbols in the same order."""
    symbol = frame.get_column("symbol")
    width = int((days != days[0]).argmax()) or len(days)
    names = tuple(symbol.head(width).to_list())
    if len(days) % width or len(set(names)) < width:
        return None
    table = days.reshape(-1, width)
    if not (table == table[:, :1]).all() or not (table[1:, 0] > table[:-1, 0]).all():
        return None
    if not (symbol.slice(width) == symbol.slice(0, len(days) - width)).all():
        return None
    starts = np.arange(width)
    return _InOrder(frame, days, names, starts, np.full(width, len(table)), width, alike=True)


def _runs(symbol: pl.Series) -> tuple[Positions, tuple[str, ...]] | None:
    """Return where each symbol's rows begin, and the symbols; None if some are not together."""
    changed = symbol.slice(1) != symbol.slice(0, symbol.len() - 1)
    starts = np.append(0, np.flatnonzero(changed.to_numpy()) + 1)
    names = (symbol[0], *symbol.slice(1).filter(changed).to_list())
    return (starts, names) if len(set(names)) == len(names) else None


def _numbered(sessions: pl.Series) -> Days:
    """Return a few sessions as days since 1970; a cast in polars takes longer to be planned."""
    return sessions.to_numpy().astype(np.int32)


def _numbers(frame: pl.DataFrame, columns: Sequence[pl.Expr]) -> list[Matrix]:
    named = {str(at): column.cast(pl.Float64) for at, column in enumerate(columns)}
    return [column.to_numpy() for column in frame.select(**named).get_columns()]

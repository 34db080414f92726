"""Where the leak check cuts: each symbol at dates of its own, on which features often look ahead.

Most features that look ahead do so everywhere, and any cut finds them. Others do it on few
sessions: at a month's end, before a holiday, on the 13th, after a split, when volume is extreme.
Only a cut just after such a session finds these. So every second cut of a symbol takes one of
`OCCASIONS`, in turn, and the others take a day of the month, in turn. The session is drawn at
random from those that fit.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import ResearchError
from tradewind.market.bars import adjusted

__all__ = ["LEAST_ROUNDS", "OCCASIONS", "common_cuts", "own_cuts", "spans"]

LEAST_ROUNDS: Final = 3
_EXTREME: Final = 20  # sessions that count as a symbol's extreme ones
_DAYS: Final = 31  # of the longest month
_WEEK: Final = 7  # days without a session that are more than a long weekend

_SESSION: Final = pl.col("session")
_MONTHS: Final = _SESSION.dt.year().cast(pl.Int32) * 12 + _SESSION.dt.month()
_WAIT: Final = _SESSION.diff().dt.total_days()
_USUAL: Final = pl.when(_SESSION.dt.weekday() == 1).then(3).otherwise(1)  # days since the last one
_HOLIDAY: Final = _WAIT > _USUAL
_SPLIT: Final = pl.col("split_factor").diff() != 0.0
_LEAST_STEP: Final = 1e-9  # factors are quotients of rounded numbers
_STEP: Final = (pl.col("adjustment_factor") / pl.col("split_factor")).pct_change()
_DIVIDEND: Final = _STEP.abs() > _LEAST_STEP
_CHANGE: Final = pl.col("price").pct_change()
_USUAL_VOLUME: Final = pl.col("volume").rolling_mean(20)

_FLAGS: Final = {
    "the last session of a month": _MONTHS.shift(-1) != _MONTHS,
    "the first session of a month": _MONTHS.shift(1) != _MONTHS,
    "the last session of a quarter": (_MONTHS.shift(-1) - 1) // 3 != (_MONTHS - 1) // 3,
    "the first session of a quarter": (_MONTHS.shift(1) - 1) // 3 != (_MONTHS - 1) // 3,
    "the last session of a year": _SESSION.dt.year() != _SESSION.dt.year().shift(-1),
    "the first session of a year": _SESSION.dt.year() != _SESSION.dt.year().shift(1),
    "the last session of a week": _SESSION.dt.week() != _SESSION.dt.week().shift(-1),
    "the first session of a week": _SESSION.dt.week() != _SESSION.dt.week().shift(1),
    "before a holiday": _HOLIDAY.shift(-1),
    "after a holiday": _HOLIDAY,
    "before a gap": (_WAIT > _WEEK).shift(-1),
    "after a gap": _WAIT > _WEEK,
    "the third Friday": _SESSION.dt.weekday().eq(5) & _SESSION.dt.day().is_between(15, 21),
    "29 February": _SESSION.dt.month().eq(2) & _SESSION.dt.day().eq(29),
    "before a split": _SPLIT.shift(-1),
    "a split": _SPLIT,
    "after a split": _SPLIT.shift(1),
    "before a dividend": _DIVIDEND.shift(-1),
    "a dividend": _DIVIDEND,
    "a highest close so far": pl.col("price") >= pl.col("price").cum_max(),
    "a lowest close so far": pl.col("price") <= pl.col("price").cum_min(),
    "the first sessions": pl.int_range(pl.len()).lt(2),
    "the last sessions": pl.int_range(pl.len()) >= pl.len() - 3,
    "any session": pl.lit(value=True),
    "any other session": pl.lit(value=True),
}
_SCORES: Final = {
    "volume far above the usual": pl.col("volume") / _USUAL_VOLUME,
    "high volume": pl.col("volume"),
    "low volume": -pl.col("volume"),
    "a large gain": _CHANGE,
    "a large loss": -_CHANGE,
    "a wide range": pl.col("high") / pl.col("low"),
}
OCCASIONS: Final = (*_FLAGS, *_SCORES)
"""Names of the occasions that cuts are chosen for."""


def own_cuts(bars: pl.DataFrame, *, rounds: int, seed: int) -> NDArray[np.intp]:
    """Return how many of its bars each symbol keeps in each round.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted by symbol and session.
    rounds : int
        Cuts a symbol, at least three.
    seed : int
        Of the order of the turns, and of the draw among sessions that fit.

    Returns
    -------
    ndarray of int, shape (rounds, n_symbols)
        From one to all but one of the symbol's bars; one, where it has no more.

    Raises
    ------
    ResearchError
        If less than three rounds are asked for.
    """
    if rounds < LEAST_ROUNDS:
        raise ResearchError(f"a leak check needs {LEAST_ROUNDS} rounds or more, not {rounds}")
    chance = np.random.default_rng(seed)
    marks = _marks(bars)
    starts, sizes = spans(bars)
    occasions = chance.permutation(OCCASIONS)
    days = chance.permutation(_DAYS) + 1
    kept = np.empty((rounds, starts.size), dtype=np.intp)
    turns = (rounds + 1) // 2
    for place, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        # The last bar is no cut: after it there is nothing to take away.
        span = slice(start, start + max(size - 1, 1))
        for turn in range(rounds):
            number = place * turns + turn // 2
            if turn % 2 == 0:
                fitting = _fitting(marks, str(occasions[number % occasions.size]), span)
            else:
                fitting = np.flatnonzero(marks["day"][span] == days[number % _DAYS])
            if fitting.size == 0:
                fitting = np.arange(span.stop - span.start)
            kept[turn, place] = chance.choice(fitting) + 1
    return kept


def common_cuts(bars: pl.DataFrame, own: NDArray[np.intp], *, rounds: int) -> NDArray[np.intp]:
    """Return how many of its bars each symbol keeps when all are cut at one date.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted by symbol and session.
    own : ndarray of int, shape (n_rounds, n_symbols)
        As returned by `own_cuts`; each round takes the date of another symbol of it.
    rounds : int
        At most; no more than `own` has.

    Returns
    -------
    ndarray of int, shape (rounds, n_symbols)
        Zero where a symbol has no bar yet. Each round leaves out at least one bar of some symbol.
    """
    starts, sizes = spans(bars)
    sessions = bars.get_column("session").to_numpy()
    kept = np.empty((min(rounds, len(own)), starts.size), dtype=np.intp)
    for turn in range(len(kept)):
        chosen = turn // 2 % starts.size
        cut = sessions[starts[chosen] + own[turn, chosen] - 1]
        for place, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            kept[turn, place] = np.searchsorted(sessions[start : start + size], cut, side="right")
    return kept


def _marks(bars: pl.DataFrame) -> dict[str, NDArray[np.generic]]:
    """Return day of the month, flags and scores of each bar."""
    price = adjusted(bars).get_column("close").alias("price")
    marks = bars.with_columns(price).select(
        _SESSION.dt.day().alias("day"),
        *(
            mark.fill_null(value=False).over("symbol").alias(name)
            for name, mark in _FLAGS.items()
        ),
        *(mark.cast(pl.Float64).fill_nan(None).over("symbol").alias(name)
          for name, mark in _SCORES.items()),
    )  # fmt: skip
    return {
        mark.name: mark.fill_null(-np.inf).to_numpy() if mark.name in _SCORES else mark.to_numpy()
        for mark in marks
    }


def _fitting(marks: dict[str, NDArray[np.generic]], occasion: str, span: slice) -> NDArray[np.intp]:
    mark = marks[occasion][span]
    if occasion in _FLAGS:
        return np.flatnonzero(mark)
    return np.argsort(mark, kind="stable")[-_EXTREME:]


def spans(bars: pl.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where each symbol's bars begin, and how many they are."""
    sizes = bars.get_column("symbol").rle().struct.field("len").to_numpy().astype(np.intp)
    return np.cumsum(sizes) - sizes, sizes

"""Ratios of splits: which there are, and which one a vendor's adjusted close shows.

One place for what reads splits from an adjusted close (`factors`) and for what looks for splits
that were left out (`action_rules`).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.market.rounding import decimals

__all__ = ["USUAL", "is_ratio", "splits_shown"]

USUAL: Final = (
    5 / 4, 4 / 3, 3 / 2, 2.0, 5 / 2, *map(float, range(3, 11)), 12.0, 15.0, 20.0, 25.0, 30.0, 40.0,
    50.0, 60.0, 75.0, 80.0, 100.0, 120.0, 125.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 750.0,
    1000.0, 2000.0, 5000.0, 10000.0,
)  # fmt: skip
"""What companies choose, above one; a reverse split is one over it. In ascending order."""

_LARGEST: Final = 10_000.0
_PARTS: Final = (1, 2, 3, 4)
_LARGEST_FRACTION: Final = 50.0
_LEAST: Final = 1.24  # a simple ratio nearer to one is told from a cash dividend by exactness alone
_TOLERANCE: Final = 1e-4  # vendors that do not round are exact to 1e-12
_MOST_NOISE: Final = 5e-3
_EXACT: Final = 1e-10
_EXACT_FACTOR: Final = 1e-6  # of factors that a vendor writes with some digits
_FINE: Final = np.unique(
    [
        *(p / q for q in range(2, 21) for p in range(q + 1, 2 * q)),
        *(1.0 + percent / 100.0 for percent in np.arange(0.5, 25.5, 0.5)),
    ]
)
_USUAL: Final = np.array(USUAL)
_BOTH_WAYS: Final = np.array(
    [
        *(1.0 / ratio for ratio in reversed(USUAL)),
        1.0,
        *(ratio for ratio in USUAL if ratio == 1.5 or (ratio > 1.5 and ratio.is_integer())),  # noqa: PLR2004
    ]
)
_DIVIDEND_ON_SPLIT: Final = 0.05
_DIVIDEND_ON_REVERSE: Final = 0.1
_SMALL_DIVIDEND: Final = 0.03  # with it, a usual reverse split is likelier than an unusual one
_GRID: Final = 1e-4
_32_BITS: Final = 6e-8

_Floats = NDArray[np.float64]


def is_ratio(steps: _Floats, tolerance: float) -> NDArray[np.bool_]:
    """Return whether steps of a split factor are one, or the ratio of a split or stock dividend.

    Parameters
    ----------
    steps : ndarray
        Above zero.
    tolerance : float
        Relative, for ratios whose smaller number is up to four; others must be exact to 1e-6.
    """
    ratio = np.maximum(steps, 1.0 / steps)
    found = np.abs(_nearest(ratio, _FINE) / ratio - 1.0) < _EXACT_FACTOR
    for part in _PARTS:
        found |= np.abs(np.rint(ratio * part) / (ratio * part) - 1.0) < tolerance
    return found


def splits_shown(close: _Floats, adjusted: _Floats, first: NDArray[np.bool_]) -> _Floats:
    """Return the ratio of the split that each step of ``adjusted / close`` shows, or one.

    A step is read as the first of these that fits:

    1. Rounding, if it is within half a unit of the last digit of both adjusted closes.
    2. A split, in either direction: n:1, or p:q with a q of up to four, from 5:4 on. It fits
       to 1e-4, or as far as the adjusted closes are rounded, to 5e-3 at most.
    3. A usual split and a dividend on the same day. With a split of 3:2 or from 2:1 on, the
       dividend is up to 5 % of the price and a round amount or percentage; with a reverse split,
       up to 10 % and any amount.
    4. Another simple ratio, such as a stock dividend of 5 % (21:20), if it is exact to 1e-10 and
       what a cash dividend would have to be is neither a whole number of cents nor a whole
       percentage of the price. A step below one is no dividend, so that there the ratio need only
       be as exact as the adjusted closes.

    Everything else is a dividend. The adjusted close cannot tell 2:1 from a dividend of exactly
    half the price, which is rare: where it happened, a column of split factors must say so.

    Parameters
    ----------
    close, adjusted : ndarray of shape (n_bars,)
        Sorted by symbol and session; NaN where missing.
    first : ndarray of bool, shape (n_bars,)
        Whether a bar is its symbol's first.

    Returns
    -------
    ndarray of shape (n_bars,)
        By which a raw price before the session is divided; one where there was no split.
    """
    splits = np.ones(close.shape)
    if close.size < 2:  # noqa: PLR2004 - no step without two bars
        return splits
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = adjusted / close
        steps = factor[1:] / factor[:-1]
        moved = ~first[1:] & np.isfinite(steps) & (steps > 0.0) & (np.abs(steps - 1.0) > _EXACT)
    at = np.flatnonzero(moved)
    if at.size:
        noise = _noise(adjusted[at], adjusted[at + 1])
        told = np.abs(np.log(steps[at])) > noise
        at, noise = at[told], noise[told]
        splits[at + 1] = _splits(steps[at], close[at], noise)
    return splits


def _noise(before: _Floats, after: _Floats) -> _Floats:
    """Return by how much, relative, a step is off for the rounding of two adjusted closes."""
    places = np.maximum(np.maximum(decimals(before), decimals(after)), 2)
    unit = 0.5 * 10.0 ** -np.minimum(places, 12.0)
    in_32_bits = (before == before.astype(np.float32)) & (after == after.astype(np.float32))
    written = unit / before + unit / after
    return np.where(places < 99, written, np.where(in_32_bits, 4.0 * _32_BITS, 1e-12))  # noqa: PLR2004


def _splits(steps: _Floats, close: _Floats, noise: _Floats) -> _Floats:
    up = steps > 1.0
    ratio = np.where(up, steps, 1.0 / steps)
    percentage = 100.0 * (1.0 - 1.0 / ratio)  # of the price, as a cash dividend
    as_cash = up & _is_whole(percentage)
    simple = _simple(ratio, np.clip(noise, _EXACT, _MOST_NOISE))
    simple = np.where(as_cash & (simple < _LARGEST_FRACTION), 1.0, simple)
    fine = _nearest(ratio, _FINE)
    near = np.abs(fine / ratio - 1.0)
    as_cash |= up & _is_whole(close * percentage)
    exact = np.where(up, (near < _EXACT) & ~as_cash, near < np.clip(noise, _EXACT, 1e-5))
    usual = _nearest(ratio, _USUAL)
    plain = np.abs(usual / ratio - 1.0) < np.clip(noise, _TOLERANCE, _MOST_NOISE)
    by_dividend, is_round = _with_dividend(steps, close, noise)
    small = (1.0 - by_dividend / steps) < _SMALL_DIVIDEND
    whole = simple == np.rint(simple)
    exactly = whole & (simple > 1.0) & (np.abs(simple / ratio - 1.0) < _EXACT)

    def directed(ratio: _Floats) -> _Floats:
        return np.where(up, ratio, 1.0 / ratio)

    return np.select(
        [
            exactly, plain, (simple > 1.0) & whole, (by_dividend != 1.0) & is_round & (up | small),
            simple > 1.0, exact, ~up & (by_dividend != 1.0),
        ],
        [
            directed(simple), directed(usual), directed(simple), by_dividend,
            directed(simple), directed(fine), by_dividend,
        ],
        1.0,
    )  # fmt: skip


def _simple(ratio: _Floats, tolerance: _Floats) -> _Floats:
    """Return the simple ratio that is near, the one with the smallest parts first, or one."""
    found = np.ones(ratio.shape)
    for part in _PARTS:
        whole = np.rint(ratio * part)
        fits = np.abs(ratio * part / whole - 1.0) < tolerance
        fits &= (whole / part > _LEAST) & (whole / part <= _LARGEST)
        if part > 1:
            fits &= ratio < _LARGEST_FRACTION
        found = np.where((found == 1.0) & fits, whole / part, found)
    return found


def _with_dividend(
    steps: _Floats, close: _Floats, noise: _Floats
) -> tuple[_Floats, NDArray[np.bool_]]:
    """Return the usual split of a step that is one and a dividend, or one; and if that is round."""
    below = _BOTH_WAYS[np.clip(np.searchsorted(_BOTH_WAYS, steps, side="right") - 1, 0, None)]
    share = 1.0 - below / steps  # of the price before, as a dividend
    noise = np.where(noise < 1e-6, noise, 0.0)  # noqa: PLR2004 - else only what is exact is round
    bound = 1e-6 + close * noise
    amount = close * share
    is_round = (_on_grid(amount, bound) | _on_grid(amount / below, bound)) & (bound < _GRID / 5.0)
    is_round |= _on_grid(share, 1e-9 + noise)
    most = np.where(below > 1.0, _DIVIDEND_ON_SPLIT, _DIVIDEND_ON_REVERSE)
    return np.where((share > 0.0) & (share <= most), below, 1.0), is_round


def _on_grid(numbers: _Floats, bound: _Floats) -> NDArray[np.bool_]:
    return np.abs(numbers - np.rint(numbers / _GRID) * _GRID) < bound


def _is_whole(numbers: _Floats) -> NDArray[np.bool_]:
    return np.abs(numbers - np.rint(numbers)) < 1e-6 * np.maximum(numbers, 1.0)


def _nearest(numbers: _Floats, table: _Floats) -> _Floats:
    after = np.clip(np.searchsorted(table, numbers), 1, table.size - 1)
    low, high = table[after - 1], table[after]
    return np.where(numbers - low < high - numbers, low, high)

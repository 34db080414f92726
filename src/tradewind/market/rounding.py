"""How exactly a vendor writes numbers, and whether two of them differ by more than that.

A price on a tick is a decimal of few digits, and exact. A price that was divided by a factor, or
kept in 32 bits, is not: a download gives 12.345678 and the next one 12.345679, and a high that
equals the close comes out below it in the 16th digit. That is rounding, neither an error nor a
revision.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = [
    "FLOAT_NOISE", "STEP_NOISE", "decimals", "kept_in_32_bits", "rounding_apart", "step_rounding",
]  # fmt: skip

FLOAT_NOISE: Final = 1e-9
"""Relative difference of two numbers of 64 bits that are the same after some arithmetic."""

STEP_NOISE: Final = 5e-7
"""As `FLOAT_NOISE` of computed numbers: four roundings to 32 bits, each 6e-8, and some arithmetic.

The smallest step of an exchange, a cent on a share of 10,000, is twice as much."""

_MOST_DECIMALS: Final = 6
_TICK_DECIMALS: Final = 4  # exchanges quote no finer, but for coins and currencies below one
_LEAST_DECIMALS: Final = 2  # in a column of cents, 10.1 is 10.10
_MANY: Final = 99  # digits, which stand for a number that was computed
_COARSE: Final = 1e-3  # a number that is written more coarsely is not taken for any other


def decimals(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many digits after the point a number is written with; 99 for more than six."""
    found = np.full(numbers.shape, _MANY, dtype=np.int64)
    for places in range(_MOST_DECIMALS, -1, -1):
        with np.errstate(over="ignore", invalid="ignore"):  # of 1e308, which another rule reports
            scaled = numbers * 10.0**places
            found[np.abs(scaled - np.rint(scaled)) <= 1e-14 * np.abs(scaled)] = places
    return found


def rounding_apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether numbers above zero are the same but for a vendor's rounding.

    They are if one of these holds:

    - They differ by less than `FLOAT_NOISE` of themselves.
    - They differ by less than `STEP_NOISE` of themselves, and one of them is no decimal of up to
      four digits after the point: it was computed, or kept in 32 bits.
    - One of them was computed, and the other is that, rounded to the digits it is written with:
      10.123456 and 10.12. Half a unit of those must be less than a thousandth of it.

    So two prices in cents are the same only if they are equal.

    Parameters
    ----------
    one, other : ndarray of the same shape
        NaN is never the same as anything.
    """
    same = np.zeros(one.shape, dtype=np.bool_)
    gap = np.abs(one - other)
    size = np.maximum(np.abs(one), np.abs(other))
    same[gap <= FLOAT_NOISE * size] = True
    open_ = np.flatnonzero(~same & (gap <= _COARSE * size))
    if open_.size:  # few are left: most numbers are equal or quite different
        a, b, gap, size = one[open_], other[open_], gap[open_], size[open_]
        digits_a, digits_b = decimals(a), decimals(b)
        computed = np.maximum(digits_a, digits_b) > _TICK_DECIMALS
        written = np.clip(np.minimum(digits_a, digits_b), _LEAST_DECIMALS, 99)
        half_unit = 0.5 * 10.0 ** -written.astype(np.float64)
        bound = np.where(half_unit < _COARSE * size, half_unit * (1.0 + FLOAT_NOISE), 0.0)
        bound = np.maximum(bound, STEP_NOISE * size)
        same[open_] = computed & (gap <= bound)
    return same


def kept_in_32_bits(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether one of two numbers is the other as 32 bits keep it.

    So a vendor's volume of 123,456,789 comes out as 123,456,792 by another of its doors. Two counts
    that are both exact differ even by a single share.

    Parameters
    ----------
    one, other : ndarray of the same shape
        NaN is never the same as anything.
    """
    with np.errstate(over="ignore"):
        short_one, short_other = one.astype(np.float32), other.astype(np.float32)
    same: NDArray[np.bool_] = (short_one == other) | (short_other == one)
    return same


def step_rounding(bars: pl.DataFrame) -> pl.Series:
    """Return the relative error of each bar's adjustment step that the vendor's rounding causes.

    A vendor who writes adjusted closes with two or four digits rounds them anew when the next
    dividend scales them all, so that every step of the symbol comes out a little different. How
    many digits are written is read from the adjusted closes that are not the raw ones. They can be
    read where the adjusted close of the last bar equals its close, as it does when bars are up to
    date.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted by symbol and session.

    Returns
    -------
    Series of shape (n_bars,)
        Half a unit of the last digit of the session's adjusted close and of that of the one before,
        each over that close. Zero of a symbol whose adjusted closes have more than six digits, or
        are the raw ones.
    """
    adjusted = (pl.col("close") * pl.col("adjustment_factor")).alias("adjusted")
    closes = bars.select("symbol", "adjustment_factor", adjusted)
    digits = pl.Series("digits", decimals(closes.get_column("adjusted").to_numpy()))
    digits = digits.zip_with(closes.get_column("adjustment_factor") != 1.0, pl.Series([0]))
    half_unit = (
        pl.when(pl.col("digits").is_between(1, _MOST_DECIMALS))
        .then(0.5 * 10.0 ** -pl.max_horizontal("digits", _LEAST_DECIMALS).cast(pl.Float64))
        .otherwise(0.0)
    )
    most = closes.with_columns(digits).with_columns(pl.col("digits").max().over("symbol"))
    off = half_unit / pl.col("adjusted")
    return most.select(off + off.shift(1).over("symbol")).to_series().fill_null(0.0)

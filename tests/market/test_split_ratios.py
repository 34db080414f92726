"""Splits that a vendor's adjusted close shows, told from dividends and from rounding."""

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tradewind.market.sources.factors import adjustment_factor_from, split_factor_from
from tradewind.market.split_ratios import USUAL, is_ratio, splits_shown

AT = 20
LENGTH = 40

Floats = NDArray[np.float64]


def prices(seed: int, level: float = 50.0) -> Floats:
    """A path in cents, as it would be without corporate actions."""
    moves = np.random.default_rng(seed).normal(0.0, 0.01, LENGTH)
    return np.round(level * np.exp(np.cumsum(moves)), 2)


def shown(close: Floats, adjusted: Floats) -> Floats:
    return splits_shown(close, adjusted, np.arange(LENGTH) == 0)


def expected(ratio: float) -> Floats:
    splits = np.ones(LENGTH)
    splits[AT] = ratio
    return splits


def with_split(path: Floats, ratio: float, share: float = 0.0) -> tuple[Floats, Floats]:
    """Raw and adjusted closes of a split, and a dividend of a share of the price, on one day."""
    close = path.copy()
    close[:AT] *= ratio
    factor = np.where(np.arange(LENGTH) < AT, (1.0 - share) / ratio, 1.0)
    return close, close * factor


@pytest.mark.parametrize("rounded", [None, 6, 2])
@pytest.mark.parametrize(
    "ratio",
    ["1/10", "1/25", "1/100", "1/1000", "1/5", "1/7", "2/3", "3/4", "2/25", "3/2", "5/4", "4/3",
     "2", "7", "20", "25", "50", "100", "1000"],
)  # fmt: skip
def test_a_split_in_either_direction_is_found(ratio: str, rounded: int | None) -> None:
    ratio_ = float(Fraction(ratio))
    for seed in range(10):
        close, adjusted = with_split(prices(seed), ratio_)
        adjusted = adjusted if rounded is None else np.round(adjusted, rounded)
        np.testing.assert_allclose(shown(close, adjusted), expected(ratio_), rtol=1e-15)


@given(st.integers(2, 10_000), st.booleans(), st.integers(0, 1000))
def test_every_whole_ratio_is_found(number: int, reverse: bool, seed: int) -> None:
    ratio = 1.0 / number if reverse else float(number)
    close, adjusted = with_split(prices(seed), ratio)
    np.testing.assert_allclose(shown(close, adjusted), expected(ratio), rtol=1e-15)


@pytest.mark.parametrize("ratio", [21 / 20, 26 / 25, 11 / 10, 51 / 50, 41 / 40, 103 / 100])
def test_a_stock_dividend_is_told_from_a_cash_dividend(ratio: float) -> None:
    """No dividend in cents is 1/21 of 50.13; that of 50.19 would be 2.39, and is taken for one."""
    path = prices(3)
    path[AT - 1] = 50.13 / ratio
    close, adjusted = with_split(path, ratio)
    np.testing.assert_allclose(shown(close, adjusted), expected(ratio), rtol=1e-15)
    close[AT - 1] = 2.0 * ratio / (ratio - 1.0)  # of which two is what the step takes away
    adjusted[AT - 1] = close[AT - 1] / ratio
    assert (shown(close, adjusted) == 1.0).all()


@given(st.integers(2_000, 50_000), st.integers(1, 1_000_000), st.integers(0, 100))
def test_a_small_dividend_in_cents_is_never_a_split(price: int, part: int, seed: int) -> None:
    """Up to 19.3 % of the price before: 5:4, a fifth, is a usual split."""
    cents = max(1, int(price * 0.193 * part / 1_000_000))
    close = prices(seed)
    close[AT - 1] = price / 100.0
    factor = np.where(np.arange(LENGTH) < AT, 1.0 - cents / price, 1.0)
    assert (shown(close, close * factor) == 1.0).all()


@pytest.mark.parametrize("share", [0.3, 0.332, 0.45, 0.7, 0.62])
def test_a_special_dividend_is_no_split(share: float) -> None:
    for seed in range(20):
        assert (shown(*with_split(prices(seed), 1.0, share)) == 1.0).all()


@pytest.mark.parametrize("ratio", [2.0, 3.0, 1.5, 10.0, 25.0, 50.0, 0.5, 0.1, 0.04, 1 / 7, 2 / 3])
@pytest.mark.parametrize("share", [0.002, 0.01, 0.0225])
def test_a_split_and_a_dividend_on_one_day_are_both_found(ratio: float, share: float) -> None:
    for seed in range(10):
        close, adjusted = with_split(prices(seed), ratio, share)
        np.testing.assert_allclose(shown(close, adjusted), expected(ratio), rtol=1e-15)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 2.0, 50.0]), st.integers(2, 4))
def test_rounding_is_no_split(seed: int, level: float, places: int) -> None:
    """A penny stock adjusted to a tenth, and written in cents, has quotients all over."""
    close = np.maximum(prices(seed, level), 0.01)
    adjusted = np.maximum(np.round(close * 0.1234, places), 10.0**-places)
    assert (shown(close, adjusted) == 1.0).all()


@given(st.integers(0, 10_000))
def test_what_was_kept_in_32_bits_shows_its_splits(seed: int) -> None:
    close, adjusted = with_split(prices(seed), 0.1)
    kept = adjusted.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(shown(close, kept), expected(0.1), rtol=1e-15)


def test_missing_and_impossible_closes_show_nothing() -> None:
    close, adjusted = with_split(prices(1), 2.0)
    for bad in (np.nan, 0.0, -1.0, np.inf):
        spoiled = adjusted.copy()
        spoiled[AT] = bad
        assert (shown(close, spoiled) == 1.0).all()
    assert splits_shown(np.array([]), np.array([]), np.array([], dtype=bool)).size == 0
    assert splits_shown(close[:1], adjusted[:1], np.array([True])).tolist() == [1.0]


def test_the_factors_of_one_symbol_know_nothing_of_another() -> None:
    halves, plain = with_split(prices(1), 2.0), with_split(prices(2), 1.0)
    bars = pl.concat(
        pl.DataFrame({"symbol": [name] * LENGTH, "close": close, "adj": adjusted})
        for name, (close, adjusted) in {"A": halves, "B": plain}.items()
    ).with_columns(split_factor_from("adj"), adjustment_factor_from("adj"))
    factors = bars.get_column("split_factor").to_list()
    assert factors == [0.5] * AT + [1.0] * (2 * LENGTH - AT)
    assert bars.get_column("adjustment_factor").to_list() == pytest.approx(factors, rel=1e-15)


def test_what_is_usual_is_a_ratio_in_either_direction() -> None:
    usual = np.array(USUAL)
    assert usual.tolist() == sorted(USUAL)
    assert is_ratio(np.concatenate([usual, 1.0 / usual, [1.0, 21 / 20, 20 / 21]]), 1e-3).all()
    assert not is_ratio(np.array([1.038422, 1.1234567]), 1e-3).any()

"""Whether two numbers differ by more than a vendor's rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.market.rounding import decimals, kept_in_32_bits, rounding_apart


def same(one: float, other: float) -> bool:
    found = rounding_apart(np.array([one, other]), np.array([other, one]))
    assert found[0] == found[1]  # whichever comes first
    return bool(found[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (112.67195224761963, 112.67195224761962),  # the last bit
        (0.1 + 0.2, 0.3),
        (109.5885009765625, 109.5885),  # kept in 32 bits
        (109.5885009765625, 109.58851),  # and multiplied
        (12.3456781, 12.3456789),
        (10.12, 10.123456),  # cents, and not
        (10.1, 10.1034567),
        (600_123.456789, 600_123.456790),
    ],
)
def test_rounding(one: float, other: float) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (10.0, 10.01),
        (10.1, 10.123456),  # which is 10.12 in cents
        (10.12, 10.1234),  # both may be ticks
        (0.12, 0.12004321),
        (600_000.01, 600_000.02),  # a cent
        (60_123.1, 60_123.2),
        (1.08345, 1.08346),  # a tenth of a pip
        (0.00001234, 0.00001235),
        (0.0123, 0.01),
        (109.5885009765625, 109.5895),
        (float("nan"), float("nan")),
        (0.01, 0.02),
    ],
)
def test_no_rounding(one: float, other: float) -> None:
    assert not same(one, other)


@given(st.integers(1, 10**8), st.integers(0, 4))
def test_two_neighbours_on_a_grid_are_never_the_same(ticks: int, places: int) -> None:
    grid = 10.0**-places
    assert not same(ticks * grid, (ticks + 1) * grid)
    assert same(ticks * grid, ticks / 10.0**places)


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e3))
def test_a_number_that_was_multiplied_and_divided_is_the_same(number: float, factor: float) -> None:
    assert same(number * factor / factor, number)
    assert same(float(np.float32(number)), number) or decimals(np.array([number]))[0] <= 4


def test_decimals() -> None:
    numbers = np.array([1.0, 1.5, 60.07000000000001, 0.125, 1e-6, 1e-7, 1 / 3, np.nan])
    assert decimals(numbers).tolist() == [0, 1, 2, 3, 6, 99, 99, 99]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (123_456_789, 123_456_792, True),  # the nearest number of 32 bits
        (123_456_792, 123_456_789, True),
        (123_456_789, 123_456_790, False),  # a share more is a share more
        (123_456_789, 123_456_800, False),
        (1_000_001, 1_000_002, False),
        (float("nan"), 1.0, False),
    ],
)
def test_a_volume_of_32_bits_is_the_same_volume(one: float, other: float, same: bool) -> None:
    found = kept_in_32_bits(np.array([float(one)]), np.array([float(other)]))
    assert found.tolist() == [same]

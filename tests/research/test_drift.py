import datetime as dt
import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.errors import ResearchError
from tradewind.research.monitoring.drift import feature_drift, ks_distance, psi
from tradewind.research.statistics.inference import performance_probability

RANDOM = np.random.default_rng(7)
NORMAL = RANDOM.normal(size=5000)


def test_psi_of_a_sample_with_itself_is_zero_and_of_a_shift_is_large() -> None:
    assert psi(NORMAL, NORMAL) == pytest.approx(0.0, abs=1e-6)
    assert psi(NORMAL, RANDOM.normal(size=5000)) < 0.02
    assert psi(NORMAL, NORMAL + 1.0) > 0.25


def test_psi_by_hand() -> None:
    # Two bins of one half each; the recent sample has three quarters in the upper one.
    reference, recent = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 3.5, 4.0])
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert psi(reference, recent, bins=2) == pytest.approx(expected)


def by_hand(
    reference: np.ndarray, recent: np.ndarray, bins: Sequence[tuple[float, float]]
) -> float:
    """The sum over bins (low, high], of one value where both are the same, written out."""
    total = 0.0
    for low, high in bins:
        shares = []
        for sample in (reference, recent):
            inside = sample == low if low == high else (sample > low) & (sample <= high)
            shares.append(max(inside.mean(), 1e-4))
        total += (shares[1] - shares[0]) * math.log(shares[1] / shares[0])
    return total


HALF = np.arange(1.0, 51.0)
SPIKES = {
    "top": np.append(HALF, np.full(50, 60.0)),
    "bottom": np.append(np.full(50, -5.0), HALF),
    "middle": np.concatenate([HALF[:25], np.full(50, 25.5), HALF[25:]]),
    "both ends": np.concatenate([np.full(40, -5.0), HALF[:20], np.full(40, 60.0)]),
    "a constant": np.full(100, 3.0),
    "two values": np.repeat([0.0, 1.0], 50),
    "a rank": np.tile([-0.5, -1 / 6, 1 / 6, 0.5], 25),
    "a tiny one": np.append(HALF, np.full(50, 60.0)) * 1e-300,
    "a huge one": np.append(HALF, np.full(50, 60.0)) * 1e300,
}


@pytest.mark.parametrize("reference", SPIKES.values(), ids=SPIKES)
@pytest.mark.parametrize("direction", [-1, 1])
def test_what_leaves_a_heavy_value_to_either_side_is_found(
    reference: np.ndarray, direction: int
) -> None:
    values, counts = np.unique(reference, return_counts=True)
    heavy = values[counts == counts.max()]
    step = np.nextafter(1.0, 2.0) - 1.0
    for value in heavy:
        near = value * (1.0 + direction * step) if value else direction * 5e-324
        recent = np.where(reference == value, near, reference)
        assert psi(reference, recent) > 0.25
        assert psi(reference, np.full(30, near)) > 0.25
    assert psi(reference, reference) == 0.0
    assert psi(reference, np.tile(reference, 3)) == pytest.approx(0.0, abs=1e-12)


def test_psi_with_a_heavy_top_by_hand() -> None:
    reference = np.append(np.arange(1.0, 6.0), np.full(5, 9.0))
    recent = np.array([1.0, 3.0, 5.0, 7.0, 8.0, 8.9, 9.0, 9.0, 10.0, 11.0])
    inf = math.inf
    # Halves: up to 7, the median between 5 and 9; then 9 itself is no edge.
    expected = by_hand(reference, recent, [(-inf, 7.0), (7.0, inf)])
    assert psi(reference, recent, bins=2) == pytest.approx(expected)
    # Quarters: 3.25, 7, and 9, which alone has two of them.
    expected = by_hand(reference, recent, [(-inf, 3.25), (3.25, 7), (7, 8.99), (9, 9), (9, inf)])
    assert psi(reference, recent, bins=4) == pytest.approx(expected)


def test_a_total_shift_below_a_heavy_top_value_is_found() -> None:
    reference = np.append(np.linspace(0.0, 0.9, 50), np.full(950, 1.0))
    recent = np.linspace(0.91, 0.99, 100)
    # All lie up to the one edge that there is, 1.0.
    expected = by_hand(reference, recent, [(-math.inf, 0.999), (1.0, 1.0), (1.0, math.inf)])
    assert psi(reference, recent) == pytest.approx(expected)
    assert expected > 2.0


def test_values_of_equal_weight_are_compared_one_by_one() -> None:
    """Beside scipy's entropy: the index is the sum of both divergences."""
    from scipy.stats import entropy

    draw = np.random.default_rng(3)
    reference, recent = (draw.integers(0, 5, size).astype(np.float64) for size in (4000, 500))
    shares = [np.bincount(each.astype(int)) / each.size for each in (reference, recent)]
    assert psi(reference, recent) == pytest.approx(entropy(*shares) + entropy(*shares[::-1]))


@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf])
def test_what_is_undefined_is_a_bin_of_its_own(hole: float) -> None:
    holed = NORMAL.copy()
    holed[::2] = hole
    assert psi(NORMAL, holed) == pytest.approx(psi(holed, NORMAL), rel=0.05)
    assert psi(NORMAL, holed) > 0.25
    assert psi(holed, holed) == 0.0
    assert math.isnan(psi(np.full(5, hole), NORMAL))
    assert psi(NORMAL, np.full(5, hole)) > 0.25
    assert ks_distance(NORMAL, holed) == ks_distance(NORMAL, NORMAL[1::2])
    assert math.isnan(ks_distance(NORMAL, np.full(5, hole)))


def test_ks_by_hand() -> None:
    assert ks_distance(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0])) == 0.5


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_neither_is_negative_nor_infinite(values: list[float]) -> None:
    recent = np.array(values)
    assert 0.0 <= psi(NORMAL, recent) < math.inf
    assert 0.0 <= ks_distance(NORMAL, recent) <= 1.0


def test_an_empty_sample_has_no_distance() -> None:
    empty = np.array([])
    assert math.isnan(psi(NORMAL, empty))
    assert math.isnan(ks_distance(empty, NORMAL))


def features(values: np.ndarray) -> pl.DataFrame:
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(values.size)]
    return pl.DataFrame({"symbol": "A", "session": days, "x": values})


def test_a_shift_of_a_quiet_feature_is_found_and_ranked_above_the_past() -> None:
    quiet = RANDOM.normal(size=700)
    quiet[600:] += 2.0
    trained = dt.date(2020, 1, 1) + dt.timedelta(days=599)
    [row] = feature_drift(features(quiet), ["x"], trained_until=trained, sessions=60).to_dicts()
    assert row["psi"] > 1.0
    assert row["psi_rank"] == row["ks_rank"] == 1.0


def test_a_persistent_feature_is_as_far_off_as_it_always_was() -> None:
    wandering = np.sin(np.arange(1200) / 60.0)  # a year's cycle: every window looks shifted
    trained = dt.date(2020, 1, 1) + dt.timedelta(days=1139)
    [row] = feature_drift(features(wandering), ["x"], trained_until=trained, sessions=60).to_dicts()
    assert row["psi"] > 0.25  # the textbook's bound, broken by nothing at all
    assert row["psi_rank"] < 0.95


@pytest.mark.parametrize("since", [0, 19])
def test_what_the_training_has_seen_is_no_drift(since: int) -> None:
    shifted = NORMAL[: 600 + since].copy()
    shifted[540:600] += 3.0  # the training's own last days, and the most unusual of all
    trained = dt.date(2020, 1, 1) + dt.timedelta(days=599)
    [row] = feature_drift(features(shifted), ["x"], trained_until=trained, sessions=60).to_dicts()
    assert row["psi"] > 0.25  # shown, and no reason for anything
    assert math.isnan(row["psi_rank"])
    assert math.isnan(row["ks_rank"])


def test_the_first_weeks_are_held_against_windows_of_their_own_length() -> None:
    quiet = NORMAL[:625].copy()
    trained = dt.date(2020, 1, 1) + dt.timedelta(days=599)
    quiet[590:600] += 9.0  # seen in training
    [row] = feature_drift(features(quiet), ["x"], trained_until=trained, sessions=60).to_dicts()
    assert row["ks"] == ks_distance(quiet[:600], quiet[600:])
    assert row["ks_rank"] < 0.95


def test_without_a_past_there_is_nothing_to_compare() -> None:
    with pytest.raises(ResearchError, match="2019"):
        feature_drift(features(NORMAL), ["x"], trained_until=dt.date(2019, 1, 1), sessions=60)


def test_a_result_that_the_backtest_lets_expect_is_probable_and_a_loss_is_not() -> None:
    expected = RANDOM.normal(0.001, 0.01, size=2000)
    assert 0.2 < performance_probability(expected, expected[:250]) < 0.9
    assert performance_probability(expected, RANDOM.normal(-0.003, 0.01, size=250)) < 0.01


def test_returns_that_do_not_vary_say_nothing() -> None:
    assert math.isnan(performance_probability(NORMAL, np.zeros(50)))

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.errors import ResearchError
from tradewind.research.drift import feature_drift, ks_distance, psi
from tradewind.research.inference import performance_probability

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

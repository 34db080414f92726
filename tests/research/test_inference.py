"""Figures from the papers, and what must hold of chance and of skill."""

import math
import tracemalloc
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from tradewind.research.statistics import performance
from tradewind.research.statistics.inference import (
    _exceeds,
    backtest_overfitting,
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
    sharpe_difference_interval,
    sharpe_interval,
)


def noise(n_sessions: int, n_trials: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (n_sessions, n_trials))


def test_the_hedge_fund_of_the_2012_paper() -> None:
    # Two years of months, annualised ratio 1.59: 0.982 if they were normal, 0.913 as they are.
    month: dict[str, Any] = {"sharpe": 1.59 / math.sqrt(12), "threshold": 0.0, "n_sessions": 24}
    assert _exceeds(**month, skewness=0.0, kurtosis=3.0) == pytest.approx(0.982, abs=1e-3)
    assert _exceeds(**month, skewness=-2.448, kurtosis=10.164) == pytest.approx(0.913, abs=1e-3)


@pytest.mark.parametrize(
    ("sharpe", "n_sessions", "error"),
    [
        (0.50, 12, 0.306), (1.00, 12, 0.354), (3.00, 12, 0.677),
        (0.50, 60, 0.137), (1.50, 60, 0.188), (1.00, 250, 0.077), (3.00, 500, 0.105),
    ],
)  # fmt: skip
def test_standard_errors_of_normal_returns_are_those_of_the_2002_paper(
    sharpe: float, n_sessions: int, error: float
) -> None:
    # Lo (2002), table 1; he divides by the number of returns, the later papers by one less.
    found = _exceeds(
        sharpe=sharpe, threshold=sharpe - error, n_sessions=n_sessions + 1,
        skewness=0.0, kurtosis=3.0,
    )  # fmt: skip
    assert NormalDist().inv_cdf(found) == pytest.approx(1.0, abs=7e-3)  # one standard error


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "probability"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_worked_example_of_the_2014_paper(
    trials: int, skewness: float, kurtosis: float, probability: float
) -> None:
    # An annualised Sharpe ratio of 2.5 over 1,250 days of 250 a year; variance of the trials' 1/2.
    best = expected_best_sharpe(trials, 0.5 / 250)
    if trials == 100:
        assert best == pytest.approx(0.1132, abs=5e-5)
    found = _exceeds(
        sharpe=2.5 / math.sqrt(250), threshold=best, n_sessions=1250,
        skewness=skewness, kurtosis=kurtosis,
    )  # fmt: skip
    assert found == pytest.approx(probability, abs=5e-4)


def test_probability_of_skill_is_a_calibrated_probability() -> None:
    probabilities = [probabilistic_sharpe(column) for column in noise(750, 2000, 1).T]
    # Without skill it is uniform: no more than its due share looks sure.
    assert np.mean(np.array(probabilities) > 0.95) == pytest.approx(0.05, abs=0.015)
    assert np.mean(probabilities) == pytest.approx(0.5, abs=0.02)


def test_moments_are_those_of_the_returns() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.0, 0.015, -0.06, 0.02, 0.01])
    z = (returns - returns.mean()) / returns.std()
    expected = _exceeds(
        sharpe=returns.mean() / returns.std(ddof=1), threshold=0.1, n_sessions=8,
        skewness=float((z**3).mean()), kurtosis=float((z**4).mean()),
    )  # fmt: skip
    assert probabilistic_sharpe(returns, 0.1) == pytest.approx(expected, rel=1e-12)


def test_trials_that_were_discarded_cost_belief() -> None:
    returns = noise(1000, 1, 7)[:, 0] + 0.001
    once = deflated_sharpe(returns, 1, 0.002)
    assert once == probabilistic_sharpe(returns)
    assert once > deflated_sharpe(returns, 10, 0.002) > deflated_sharpe(returns, 1000, 0.002)


def test_best_of_worthless_trials_is_not_believed() -> None:
    believed = naively = 0
    for seed in range(200):
        trials = noise(500, 50, seed)
        sharpes = trials.mean(axis=0) / trials.std(axis=0, ddof=1)
        best = trials[:, sharpes.argmax()]
        believed += deflated_sharpe(best, 50, float(sharpes.var(ddof=1))) > 0.95
        naively += probabilistic_sharpe(best) > 0.95
    assert believed <= 10
    assert naively > 180  # what ignoring the other 49 would claim


def test_expected_best_is_the_mean_of_real_maxima() -> None:
    maxima = np.random.default_rng(3).normal(0.0, 0.5, (20_000, 40)).max(axis=1)
    assert expected_best_sharpe(40, 0.25) == pytest.approx(maxima.mean(), rel=0.02)


def test_choosing_among_noise_is_overfitting_and_among_skill_is_not() -> None:
    worthless = [backtest_overfitting(noise(640, 20, seed), 8) for seed in range(40)]
    assert 0.4 < np.mean(worthless) < 0.7
    skilled = noise(640, 20, 5)
    skilled[:, 11] += 0.01
    assert backtest_overfitting(skilled, 8) == 0.0


def test_a_trial_good_only_where_it_was_chosen_is_surely_overfit() -> None:
    # Each trial earns in two blocks of four and loses as much in the other two.
    half = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    wave = np.concatenate([half, -half]).T
    returns = np.repeat(wave, 50, axis=0) * 0.01 + noise(200, 6, 2)
    assert backtest_overfitting(returns, 4) > 0.9


def test_overfitting_agrees_with_a_plain_count() -> None:
    from itertools import combinations

    returns = noise(66, 5, 9)
    blocks = np.split(returns[2:], 4)
    below = []
    for chosen in combinations(range(4), 2):
        inside = np.concatenate([blocks[i] for i in chosen])
        outside = np.concatenate([blocks[i] for i in range(4) if i not in chosen])
        best = (inside.mean(0) / inside.std(0)).argmax()
        ratios = outside.mean(0) / outside.std(0)
        rank = (ratios < ratios[best]).sum() + 1
        below.append(0.5 if rank == 3 else float(rank < 3))
    assert backtest_overfitting(returns, 4) == pytest.approx(np.mean(below))


@pytest.mark.parametrize(
    ("shape", "blocks"), [((100, 1), 4), ((100, 5), 5), ((7, 5), 4), ((100, 5), 0)]
)
def test_overfitting_needs_trials_and_even_blocks(shape: tuple[int, int], blocks: int) -> None:
    with pytest.raises(ValueError, match="needs two trials"):
        backtest_overfitting(noise(*shape, seed=0), blocks)


def test_idle_trial_is_never_the_best() -> None:
    found = []
    for seed in range(20):
        returns = noise(200, 3, seed) - 0.002
        returns[:, 1] = 0.0
        found.append(backtest_overfitting(returns, 4))
    assert max(found) > 0.0  # were the idle one chosen, it would win every other half, too
    assert math.isnan(probabilistic_sharpe(returns[:, 1]))


def test_resamples_that_never_vary_do_not_blow_the_interval_up() -> None:
    returns = np.full(60, 0.0013)
    returns[7] = 0.5
    low, high = sharpe_interval(returns, per_year=252)
    assert 0.0 < low < high < 10.0


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = 0.05 * math.sqrt(252)
    covered = 0
    for seed in range(200):
        returns = np.random.default_rng(seed).normal(0.0005, 0.01, 500)
        low, high = sharpe_interval(returns, n_samples=400, seed=seed, per_year=252)
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_widens_with_autocorrelation_that_single_draws_would_miss() -> None:
    random = np.random.default_rng(11)
    shocks = random.normal(0.0, 0.01, 4000)
    returns = np.convolve(shocks, np.full(10, 1 / math.sqrt(10)), mode="valid")
    blocks = sharpe_interval(returns, block=40.0, per_year=252)
    singles = sharpe_interval(returns, block=1.0, per_year=252)
    assert blocks[1] - blocks[0] > 2.0 * (singles[1] - singles[0])


def test_interval_is_repeatable_and_undefined_where_the_ratio_is() -> None:
    returns = noise(300, 1, 6)[:, 0]
    assert sharpe_interval(returns, seed=4, per_year=252) == sharpe_interval(
        returns, seed=4, per_year=252
    )
    assert all(map(math.isnan, sharpe_interval(np.zeros(50), per_year=252)))
    assert all(map(math.isnan, sharpe_interval(returns[:2], per_year=252)))


def test_difference_covers_the_truth_as_often_as_it_says() -> None:
    # Both hold the market; one earns a little more on top.
    truth = (0.0008 / math.hypot(0.01, 0.004) - 0.0005 / math.hypot(0.01, 0.004)) * math.sqrt(252)
    covered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        market = random.normal(0.0, 0.01, 500)
        first, second = (market + random.normal(mean, 0.004, 500) for mean in (0.0008, 0.0005))
        _, low, high = sharpe_difference_interval(
            first, second, n_samples=400, seed=seed, per_year=252
        )
        covered += low <= truth <= high
    assert 0.83 <= covered / 200 <= 0.96


def test_difference_is_that_of_the_ratios_and_turns_with_its_arguments() -> None:
    first, second = noise(400, 2, 3).T
    difference, low, high = sharpe_difference_interval(first, second, seed=5, per_year=252)
    assert difference == pytest.approx(
        performance.sharpe(first, per_year=252) - performance.sharpe(second, per_year=252)
    )
    assert low < difference < high
    turned = sharpe_difference_interval(second, first, seed=5, per_year=252)
    assert turned == pytest.approx((-difference, -high, -low))


def test_sessions_that_both_share_do_not_blur_the_difference() -> None:
    random = np.random.default_rng(8)
    market = random.normal(0.0005, 0.01, 1000)
    better = market + random.normal(0.0002, 0.0005, 1000)
    _, low, high = sharpe_difference_interval(better, market, per_year=252)
    alone = sharpe_interval(market, level=0.9, per_year=252)
    assert low > 0.0
    assert high - low < 0.2 * (alone[1] - alone[0])
    # The same returns in another order are no pair: the sessions must be the same.
    _, low, high = sharpe_difference_interval(better, random.permutation(market), per_year=252)
    assert low < 0.0 < high


def test_nothing_differs_from_itself() -> None:
    returns = noise(300, 1, 6)[:, 0]
    assert sharpe_difference_interval(returns, returns, per_year=252) == (0.0, 0.0, 0.0)
    # Twice the stake, the same ratio.
    assert sharpe_difference_interval(returns, 2 * returns, per_year=252) == pytest.approx(
        (0, 0, 0), abs=1e-12
    )


def test_difference_is_repeatable_and_undefined_where_a_ratio_is() -> None:
    first, second = noise(300, 2, 6).T
    again = [sharpe_difference_interval(first, second, seed=4, per_year=252) for _ in range(2)]
    assert again[0] == again[1]
    wide = sharpe_difference_interval(first, second, level=0.99, seed=4, per_year=252)
    assert wide[1] < again[0][1] < again[0][2] < wide[2]
    assert all(map(math.isnan, sharpe_difference_interval(first, np.zeros(300), per_year=252)))
    assert all(map(math.isnan, sharpe_difference_interval(first[:2], second[:2], per_year=252)))
    with pytest.raises(ValueError, match="same sessions, not on 300 and 299"):
        sharpe_difference_interval(first, second[1:], per_year=252)


def test_overfitting_of_many_trials_fits_into_memory() -> None:
    returns = noise(320, 400, seed=0)
    tracemalloc.start()
    backtest_overfitting(returns, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6  # bytes; at once, 12,870 choices by 400 trials take 41e6 a matrix

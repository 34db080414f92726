"""Figures from the papers, and what must hold of chance and of skill."""

import math

import numpy as np
import pytest

from tradewind.research.inference import (
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
    month = {"sharpe": 1.59 / math.sqrt(12), "threshold": 0.0, "n_sessions": 24}
    assert _exceeds(**month, skewness=0.0, kurtosis=3.0) == pytest.approx(0.982, abs=1e-3)
    assert _exceeds(**month, skewness=-2.448, kurtosis=10.164) == pytest.approx(0.913, abs=1e-3)


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
    low, high = sharpe_interval(returns)
    assert 0.0 < low < high < 10.0


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = 0.05 * math.sqrt(252)
    covered = 0
    for seed in range(200):
        returns = np.random.default_rng(seed).normal(0.0005, 0.01, 500)
        low, high = sharpe_interval(returns, n_samples=400, seed=seed)
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_widens_with_autocorrelation_that_single_draws_would_miss() -> None:
    random = np.random.default_rng(11)
    shocks = random.normal(0.0, 0.01, 4000)
    returns = np.convolve(shocks, np.full(10, 1 / math.sqrt(10)), mode="valid")
    blocks = sharpe_interval(returns, block=40.0)
    singles = sharpe_interval(returns, block=1.0)
    assert blocks[1] - blocks[0] > 2.0 * (singles[1] - singles[0])


def test_interval_is_repeatable_and_undefined_where_the_ratio_is() -> None:
    returns = noise(300, 1, 6)[:, 0]
    assert sharpe_interval(returns, seed=4) == sharpe_interval(returns, seed=4)
    assert all(map(math.isnan, sharpe_interval(np.zeros(50))))
    assert all(map(math.isnan, sharpe_interval(returns[:2])))


def test_a_difference_to_oneself_is_nothing_in_every_history() -> None:
    returns = noise(300, 1, 6)[:, 0]
    assert sharpe_difference_interval(returns, returns.copy()) == (0.0, 0.0, 0.0)


def test_a_difference_is_that_of_the_two_ratios_and_turns_its_sign() -> None:
    a, b = noise(500, 2, 8).T
    difference, low, high = sharpe_difference_interval(a, b)
    year = math.sqrt(252)
    expected = (a.mean() / a.std(ddof=1) - b.mean() / b.std(ddof=1)) * year
    assert difference == pytest.approx(expected, rel=1e-12)
    assert low < difference < high
    assert sharpe_difference_interval(b, a) == pytest.approx((-difference, -high, -low), rel=1e-9)


def test_what_moves_both_on_a_day_cancels_out() -> None:
    market, own = noise(1000, 2, 9).T
    a, b = market + 0.1 * own, market
    paired = sharpe_difference_interval(a, b)
    apart = sharpe_difference_interval(a, np.roll(b, 500))
    assert paired[2] - paired[1] < 0.3 * (apart[2] - apart[1])


def test_a_difference_covers_the_truth_as_often_as_it_says() -> None:
    truth = 0.04 * math.sqrt(252)
    covered = 0
    for seed in range(200):
        common, a, b = np.random.default_rng(seed).normal(0.0, 0.01 / math.sqrt(2), (3, 500))
        # Standard deviation 0.01 each, half of the variance in common.
        found = sharpe_difference_interval(
            common + a + 0.0006, common + b + 0.0002, level=0.9, n_samples=400, seed=seed
        )
        covered += found[1] <= truth <= found[2]
    assert 0.83 <= covered / 200 <= 0.96


def test_a_difference_is_undefined_where_a_ratio_is_and_needs_the_same_sessions() -> None:
    returns = noise(300, 1, 6)[:, 0]
    assert all(map(math.isnan, sharpe_difference_interval(returns, np.zeros(300))))
    assert all(map(math.isnan, sharpe_difference_interval(returns[:2], returns[:2])))
    with pytest.raises(ValueError, match="same sessions"):
        sharpe_difference_interval(returns, returns[1:])

"""What is left of returns without their benchmark."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tradewind.research.statistics.alpha import (
    alpha_figures,
    alpha_probability,
    alpha_variance,
    beta,
    residual,
)
from tradewind.research.statistics.inference import expected_best_sharpe, probabilistic_sharpe
from tradewind.research.statistics.overlap import LEAST_COMMON_SESSIONS

RANDOM = np.random.default_rng(11)
MARKET = RANDOM.normal(0.001, 0.02, 2000)
OWN = RANDOM.normal(0.0, 0.01, 2000)
CASH = np.zeros(2000)
FIGURES = ("alpha", "alpha_probability", "mix_alpha", "mix_alpha_probability")


def test_beta_and_alpha_match_a_regression() -> None:
    net = 0.0004 + 0.7 * MARKET + OWN
    slope, intercept = np.polyfit(MARKET, net, 1)
    mix = 0.2 * MARKET + 0.1 * OWN
    figures = alpha_figures(net, MARKET, mix, per_year=365.0)
    assert figures["beta"] == pytest.approx(slope)
    assert figures["alpha"] == pytest.approx(365.0 * intercept)
    assert np.corrcoef(residual(net, MARKET), MARKET)[0, 1] == pytest.approx(0.0, abs=1e-12)
    expected = probabilistic_sharpe(net - slope * MARKET)
    assert figures["alpha_probability"] == pytest.approx(expected)
    slope, intercept = np.polyfit(mix, net, 1)
    assert figures["mix_alpha"] == pytest.approx(365.0 * intercept)
    assert figures["mix_alpha_probability"] == pytest.approx(alpha_probability(net, mix))


def test_against_cash_all_that_was_earned_is_alpha() -> None:
    assert beta(OWN, CASH) == 0.0
    assert np.array_equal(residual(OWN, CASH), OWN)
    assert alpha_probability(OWN, CASH) == probabilistic_sharpe(OWN)


@pytest.mark.parametrize("share", [1.0, 0.3, 2.5, -1.0])
def test_whoever_holds_a_share_of_the_benchmark_has_no_alpha(share: float) -> None:
    figures = alpha_figures(share * MARKET, MARKET, share * MARKET, per_year=252.0)
    assert figures["beta"] == pytest.approx(share)
    assert [figures[name] for name in FIGURES] == [0.0] * 4
    costs = np.where(np.arange(MARKET.size) % 21 == 0, 5e-4, 0.0)
    assert alpha_probability(share * MARKET - costs, MARKET) < 1e-6


def test_a_rising_market_alone_is_no_alpha_however_it_is_held() -> None:
    # Held at random half of the time: a Sharpe ratio that is sure, and nothing beside it.
    passed = {"sharpe": 0, "alpha": 0}
    for seed in range(200):
        random = np.random.default_rng(seed)
        market = random.normal(0.0015, 0.015, 2000)
        net = market * (random.random(2000) < 0.5)
        passed["sharpe"] += probabilistic_sharpe(net) >= 0.95
        passed["alpha"] += alpha_probability(net, market) >= 0.95
    assert passed["sharpe"] > 150
    # One in twenty of 200, and what chance allows once in a hundred runs.
    assert passed["alpha"] <= 18


def test_trials_raise_the_bar() -> None:
    net = 0.0008 + 0.5 * MARKET + OWN
    alone = alpha_probability(net, MARKET)
    many = alpha_probability(net, MARKET, n_trials=50, variance=1e-4)
    threshold = expected_best_sharpe(50, 1e-4)
    assert many == pytest.approx(probabilistic_sharpe(residual(net, MARKET), threshold))
    assert many < alone


def test_the_variance_of_trials_is_that_of_what_the_market_leaves() -> None:
    trials = [MARKET + RANDOM.normal(0.0, 0.002, MARKET.size) for _ in range(30)]
    whole = np.var([net.mean() / net.std(ddof=1) for net in trials], ddof=1)
    beside = alpha_variance((net, MARKET) for net in trials)
    assert beside > 20 * whole
    assert beside == pytest.approx(1 / MARKET.size, rel=0.6)


def test_a_variance_needs_two_trials_that_vary() -> None:
    assert alpha_variance([]) == 0.0
    assert alpha_variance([(OWN, CASH)]) == 0.0
    assert alpha_variance([(OWN, CASH), (CASH, CASH), (OWN[:2], CASH[:2])]) == 0.0
    assert alpha_variance([(OWN, CASH)], otherwise=0.25) == 0.25


@pytest.mark.parametrize("common", [3, 5, 20, LEAST_COMMON_SESSIONS - 1])
def test_a_trial_of_few_sessions_moves_no_variance(common: int) -> None:
    two = [(OWN, MARKET), (0.5 * MARKET + OWN[::-1], MARKET)]
    short = (RANDOM.normal(0.02, 0.001, common), MARKET[:common])
    assert alpha_variance([*two, short]) == alpha_variance(two)
    assert alpha_variance([two[0], short], otherwise=0.25) == 0.25


@pytest.mark.parametrize(("net", "market"), [
    (np.array([]), np.array([])),
    (np.array([0.01]), np.array([0.02])),
    (np.array([0.01, 0.02]), np.array([0.02, 0.01])),
    (np.zeros(10), np.zeros(10)),
    (np.zeros(10), MARKET[:10]),
    (np.full(10, 0.01), np.zeros(10)),
])  # fmt: skip
def test_what_cannot_be_told_is_nan(net: np.ndarray, market: np.ndarray) -> None:
    assert math.isnan(alpha_probability(net, market))


@settings(deadline=None)
@given(
    net=arrays(np.float64, 40, elements=st.floats(-0.2, 0.2)),
    market=arrays(np.float64, 40, elements=st.floats(-0.2, 0.2)),
    share=st.floats(-3.0, 3.0),
)
def test_more_or_less_of_the_benchmark_changes_no_alpha(
    net: np.ndarray, market: np.ndarray, share: float
) -> None:
    spread = np.ptp(market)
    if 0.0 < spread < 1e-3:  # a slope on next to nothing is a matter of rounding
        return
    one, other = residual(net, market), residual(net + share * market, market)
    assert np.allclose(one, other if spread else other - share * market, atol=1e-8)

import datetime as dt
import math
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tradewind.research.statistics import performance

NONE = np.array([])
FLAT = np.full(10, 0.001)
ZERO = np.zeros(10)
SAMPLE = np.array([0.10, -0.10, 0.20, -0.05])


def test_figures_match_a_hand_count() -> None:
    mean, deviation = 0.0375, math.sqrt((0.0625**2 + 0.1375**2 + 0.1625**2 + 0.0875**2) / 3)
    assert performance.annualised_return(SAMPLE, per_year=252) == pytest.approx(
        (1.1 * 0.9 * 1.2 * 0.95) ** 63 - 1
    )
    assert performance.annualised_volatility(SAMPLE, per_year=252) == pytest.approx(
        deviation * 252**0.5
    )
    assert performance.sharpe(SAMPLE, per_year=252) == pytest.approx(mean / deviation * 252**0.5)
    downside = math.sqrt((0.10**2 + 0.05**2) / 4)
    assert performance.sortino(SAMPLE, per_year=252) == pytest.approx(mean / downside * 252**0.5)
    assert performance.max_drawdown(SAMPLE) == pytest.approx(-0.10)
    assert performance.calmar(SAMPLE, per_year=252) == pytest.approx(
        performance.annualised_return(SAMPLE, per_year=252) / 0.10
    )


def test_sortino_of_the_published_example() -> None:
    # Rollinger and Hoffman (2013), Sortino: A "Sharper" Ratio: eight years, target zero.
    years = np.array([0.17, 0.15, 0.23, -0.05, 0.12, 0.09, 0.13, -0.04])
    assert performance.sortino(years, per_year=252) / math.sqrt(252) == pytest.approx(
        4.417, abs=5e-4
    )


@pytest.mark.parametrize(
    ("growth", "depth", "expected"),
    [(0.25, 0.05, 5.0), (0.30, 0.075, 4.0), (0.25, 0.125, 2.0)],
)
def test_calmar_is_the_growth_of_a_year_over_its_deepest_fall(
    growth: float, depth: float, expected: float
) -> None:
    # A year that falls to its low at once and then rises evenly to its end.
    rise = ((1 + growth) / (1 - depth)) ** (1 / 251) - 1
    returns = np.append(-depth, np.full(251, rise))
    assert performance.max_drawdown(returns) == pytest.approx(-depth)
    assert performance.annualised_return(returns, per_year=252) == pytest.approx(growth)
    assert performance.calmar(returns, per_year=252) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("returns", "deepest", "longest"),
    [
        ([0.1, 0.1], 0.0, 0),
        ([-0.5, 1.0], -0.5, 1),  # capital before the first session is a peak; then regained
        ([0.5, -0.5, 0.5, 0.5], -0.5, 2),  # 1.5, 0.75, 1.125, 1.6875
        ([0.0, -0.1, 0.05, 0.0, 0.5, -0.2], -0.2, 3),
    ],
)
def test_drawdowns_match_a_hand_count(returns: list[float], deepest: float, longest: int) -> None:
    assert performance.max_drawdown(np.array(returns)) == pytest.approx(deepest)
    assert performance.longest_drawdown(np.array(returns)) == longest


@pytest.mark.parametrize(
    ("figure", "returns"),
    [
        (partial(performance.annualised_return, per_year=252), NONE),
        (partial(performance.annualised_volatility, per_year=252), NONE),
        (partial(performance.annualised_volatility, per_year=252), FLAT[:1]),
        (partial(performance.sharpe, per_year=252), NONE),
        (partial(performance.sharpe, per_year=252), FLAT[:1]),
        (partial(performance.sharpe, per_year=252), FLAT),
        (partial(performance.sharpe, per_year=252), ZERO),
        (partial(performance.sortino, per_year=252), NONE),
        (partial(performance.sortino, per_year=252), FLAT),
        (performance.max_drawdown, NONE),
        (partial(performance.calmar, per_year=252), NONE),
        (partial(performance.calmar, per_year=252), FLAT),
    ],
)
def test_what_is_undefined_is_nan(figure: object, returns: np.ndarray) -> None:
    assert callable(figure)
    assert math.isnan(figure(returns))


def test_nothing_that_happened_is_zero_not_nan() -> None:
    assert performance.annualised_return(ZERO, per_year=252) == 0.0
    assert performance.annualised_volatility(ZERO, per_year=252) == 0.0
    assert performance.max_drawdown(ZERO) == 0.0
    assert performance.longest_drawdown(NONE) == 0


@given(arrays(np.float64, st.integers(2, 50), elements=st.floats(-0.5, 0.5)))
def test_drawdown_and_return_stay_in_bounds(returns: np.ndarray) -> None:
    assert -1.0 <= performance.max_drawdown(returns) <= 0.0
    assert 0 <= performance.longest_drawdown(returns) <= returns.size
    assert performance.annualised_return(returns, per_year=252) > -1.0 - 1e-12
    assert performance.annualised_volatility(returns, per_year=252) >= 0.0


def test_hit_rate_counts_signs_and_leaves_out_labels_that_are_zero() -> None:
    predictions, labels = (
        np.array([1.0, -1.0, 1.0, 0.0, 1.0]),
        np.array([2.0, -2.0, -2.0, 1.0, 0.0]),
    )
    assert performance.hit_rate(predictions, labels) == 0.5
    assert math.isnan(performance.hit_rate(np.array([1.0]), np.array([0.0])))


def rows(*sessions: tuple[list[float], list[float | None]]) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame(
            {"session": dt.date(2024, 1, day), "prediction": predictions, "label": labels},
            schema_overrides={"prediction": pl.Float64, "label": pl.Float64},
        )
        for day, (predictions, labels) in enumerate(sessions, start=1)
    )


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (rows(([1, 2, 3], [0.1, 0.2, 0.9])), 1.0),
        (rows(([1, 2, 3], [0.1, 0.2, 0.9]), ([1, 2, 3], [3, 2, 1])), 0.0),
        (rows(([1, 2, 3], [0.2, 0.1, 0.9])), 0.5),
        (rows(([1, 1, 2], [1, 2, 3])), math.sqrt(0.75)),  # ties share their rank
        (rows(([1, 2, 3], [0.1, 0.2, 0.9]), ([1, 1, 1], [3, 2, 1])), 1.0),  # nothing varies
        (rows(([1, 2, 3], [0.1, 0.2, 0.9]), ([1, 2], [2, 1])), 1.0),  # two are no cross-section
        (rows(([1, 2, 3, 9], [0.1, 0.2, 0.9, None])), 1.0),
        (rows(([1, 2], [1, 2]), ([3, 4], [3, 4])), 1.0),  # pooled
        (rows(([1], [4]), ([3], [3]), ([5], [1])), -1.0),
        (rows(([1, 1, 1], [1, 2, 3])), math.nan),
        (rows(([1], [1])), math.nan),
        (rows(([1, 2, 3], [None, None, None])), math.nan),
    ],
)
def test_information_coefficient_matches_a_hand_count(frame: pl.DataFrame, expected: float) -> None:
    assert performance.information_coefficient(frame) == pytest.approx(expected, nan_ok=True)


def test_costs_and_turnover_are_scaled_to_a_year() -> None:
    backtest = pl.DataFrame(
        {
            "net_return": [0.0, 0.01],
            "turnover": [0.0, 1.0],
            "cost": [0.0, 0.001],
            "borrow_cost": [0.0, 0.0001],
            "short": [0.0, 0.5],
            "opened": [0, 3],
        }
    )
    figures = performance.summarise(backtest, per_year=252)
    assert figures["annual_borrow_cost"] == pytest.approx(0.0126)
    assert figures["average_short"] == 0.25
    assert figures["trades"] == 3.0
    assert figures["annual_turnover"] == pytest.approx(126.0)
    assert figures["annual_cost"] == pytest.approx(0.126)


@pytest.mark.parametrize("per_year", [252.0, 365.0, 243.0, 52.0])
def test_figures_of_a_year_follow_the_sessions_it_has(per_year: float) -> None:
    year = {"per_year": per_year}
    root = math.sqrt(per_year)
    deviation = SAMPLE.std(ddof=1)
    assert performance.sharpe(SAMPLE, **year) == SAMPLE.mean() / deviation * root
    assert performance.annualised_volatility(SAMPLE, **year) == deviation * root
    grown = (1.0 + SAMPLE).prod() ** (per_year / SAMPLE.size) - 1.0
    assert performance.annualised_return(SAMPLE, **year) == pytest.approx(grown)
    assert performance.calmar(SAMPLE, **year) == pytest.approx(grown / 0.10)
    downside = math.sqrt((np.minimum(SAMPLE, 0.0) ** 2).mean())
    assert performance.sortino(SAMPLE, **year) == pytest.approx(SAMPLE.mean() / downside * root)

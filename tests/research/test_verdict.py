"""Whether a strategy is better than its benchmark, in words."""

import math

import pytest

from tradewind.research.verdict import verdict, verdict_title

ALPHA = {"alpha": -0.0509, "beta": 0.78, "deflated_alpha_probability": 0.0165,
         "deflated_mix_alpha_probability": 0.0742}  # fmt: skip


def test_a_verdict_has_its_figures() -> None:
    assert verdict(ALPHA, "equal_weight") == (
        "No better than holding: alpha \u22125.1 % a year, beta 0.78, more than luck with "
        "probability 1.7 %; beside its own average position 7.4 %"
    )


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [("equal_weight", "holding"), ("cash", "cash"), ("SPY", "holding SPY")],
)
@pytest.mark.parametrize(
    ("likely", "better"), [(0.95, "Better"), (0.9499, "No better"), (0.0, "No better")]
)
def test_from_where_on_it_is_better(benchmark: str, words: str, likely: float, better: str) -> None:
    metrics = {**ALPHA, "deflated_alpha_probability": likely,
               "deflated_mix_alpha_probability": 0.96}  # fmt: skip
    assert verdict_title(metrics, benchmark) == f"{better} than {words}"


@pytest.mark.parametrize(
    ("earned", "sharpe", "title"),
    [(0.2, 1.0, "Better than holding"), (0.2, 0.5, "No better than holding"),
     (0.1, 1.0, "No better than holding"), (0.15, 0.9, "No better than holding")],
)  # fmt: skip
def test_without_an_alpha_both_return_and_ratio_decide(
    earned: float, sharpe: float, title: str
) -> None:
    metrics = {"annual_return": earned, "sharpe": sharpe, "benchmark_annual_return": 0.15,
               "benchmark_sharpe": 0.9}  # fmt: skip
    assert verdict(metrics, "equal_weight") == title


@pytest.mark.parametrize(
    "metrics",
    [{}, {"sharpe": 1.0}, {"alpha": 0.1, "beta": 0.0}, {**ALPHA, "deflated_alpha_probability":
     math.nan}],
)  # fmt: skip
def test_nothing_is_said_where_nobody_knows(metrics: dict[str, float]) -> None:
    assert verdict(metrics, "equal_weight") == ""


def test_a_mix_that_happened_to_rise_is_named() -> None:
    metrics = {**ALPHA, "deflated_alpha_probability": 0.998}
    assert verdict_title(metrics, "cash") == "No better than what it held on average"
    assert "beside its own average position 7.4 %" in verdict(metrics, "cash")

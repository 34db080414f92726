"""Figures as people read them."""

import math
from collections.abc import Callable
from typing import Final

__all__ = [
    "EXTERNAL_IN_WORDS", "METRICS", "TIMES", "UNDEFINED",
    "count", "percent", "probability", "ratio", "times", "words_of",
]  # fmt: skip

_MINUS: Final = "\u2212"
TIMES: Final = "\u00d7"
UNDEFINED: Final = "\u2013"
"""Stands where a figure is not defined, such as a ratio over nothing."""
EXTERNAL_IN_WORDS: Final = (
    "Its predictions were made elsewhere: nobody here can know whether without the future"
)
"""What is said of a version with an external model."""


def percent(value: float, digits: int = 1) -> str:
    """Return a fraction as percent: ``0.1234`` is ``"12.3 %"``."""
    return _signed(value * 100.0, digits, "\u00a0%")


def ratio(value: float, digits: int = 2) -> str:
    """Return a plain number: ``0.774`` is ``"0.77"``."""
    return _signed(value, digits)


def times(value: float, digits: int = 1) -> str:
    """Return a multiple: ``10.09`` is ``"10.1\u00d7"``."""
    return _signed(value, digits, TIMES)


def count(value: float) -> str:
    """Return a whole number with its thousands apart: ``1072.0`` is ``"1,072"``."""
    return _signed(value, 0)


def probability(value: float) -> str:
    """Return a probability as percent that never claims certainty: ``0.9999`` is ``"> 99.9 %"``."""
    sure = 0.999
    if math.isnan(value):
        return UNDEFINED
    if value > sure:
        return "> 99.9\u00a0%"
    if value < 1.0 - sure:
        return "< 0.1\u00a0%"
    return percent(value)


def _signed(value: float, digits: int, unit: str = "") -> str:
    if not math.isfinite(value):
        return UNDEFINED
    shown = f"{abs(value):,.{digits}f}"
    negative = value < 0.0 and any(digit in "123456789" for digit in shown)
    return f"{_MINUS if negative else ''}{shown}{unit}"


METRICS: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "annual_return": ("Return a year, compounded", percent),
    "annual_volatility": ("Volatility a year", percent),
    "sharpe": ("Sharpe ratio, annualised", ratio),
    "sharpe_low_95": ("\u2026 lower end of its 95 % interval", ratio),
    "sharpe_high_95": ("\u2026 upper end of its 95 % interval", ratio),
    "sortino": ("Sortino ratio", ratio),
    "calmar": ("Calmar ratio", ratio),
    "max_drawdown": ("Deepest drawdown", percent),
    "longest_drawdown_sessions": ("Longest drawdown, sessions", count),
    "hit_rate": ("Predictions with the right sign", percent),
    "information_coefficient": ("Information coefficient", lambda value: ratio(value, 3)),
    "annual_turnover": ("Turnover a year, multiples of equity", times),
    "annual_cost": ("Costs of trading a year, of equity", lambda value: percent(value, 2)),
    "annual_borrow_cost": ("Costs of borrowing a year, of equity", lambda value: percent(value, 2)),
    "average_short": ("Short on average, of equity", percent),
    "trades": ("Positions opened", count),
    "sharpe_probability": ("P(true Sharpe ratio > 0)", probability),
    "deflated_sharpe_probability": ("P(it beats the best of worthless trials)", probability),
    "alpha": ("Alpha a year, against the benchmark", percent),
    "beta": ("Beta to the benchmark", ratio),
    "alpha_probability": ("P(true alpha > 0)", probability),
    "deflated_alpha_probability": ("P(it is more than the luck of the trials)", probability),
    "mix_alpha": ("Alpha a year, against its own average position", percent),
    "mix_alpha_probability": ("P(that alpha > 0)", probability),
    "deflated_mix_alpha_probability": ("P(that is more than the luck of the trials)", probability),
    "benchmark_annual_return": ("Return a year of the benchmark", percent),
    "benchmark_sharpe": ("Sharpe ratio of the benchmark", ratio),
    "benchmark_max_drawdown": ("Deepest drawdown of the benchmark", percent),
    "trials_alpha_variance": (
        "\u2026 variance of the trials' Sharpe ratios beside the benchmark",
        lambda value: ratio(value, 6),
    ),
    "pbo": ("Probability of backtest overfitting", probability),
    "trials": ("Configurations tried", count),
    "trials_variance": (
        "\u2026 variance of their Sharpe ratios a session",
        lambda value: ratio(value, 6),
    ),
    "combinatorial_sharpe_median": ("Sharpe ratio, median of combinatorial histories", ratio),
    "combinatorial_sharpe_worst": ("Sharpe ratio, worst of combinatorial histories", ratio),
    "leakage": ("Marked for leakage (1 is yes)", count),
    "reproducible": ("Two fits predict the same (1 is yes)", count),
    "n_folds": ("Test windows", count),
    "n_test_rows": ("Rows predicted out of sample", count),
    "untested_sessions": ("Newest sessions, in no test window", count),
    "rounds": ("Rounds of boosting, stopped early", count),
    "undefined_rows": ("Rows left out, a feature undefined", count),
}
"""What a metric is called and how it is written, in the order in which they are read."""


def words_of(metric: str) -> tuple[str, Callable[[float], str]]:
    """Return name and format of a metric; one that is not known goes by its own name."""
    return METRICS.get(metric, (metric.replace("_", " "), lambda value: ratio(value, 4)))

"""A strategy's return beyond its benchmark, and how certain it is.

Returns are simple returns a session, as fractions; variances and thresholds are of Sharpe ratios
a session.
"""

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from tradewind.research.statistics import inference
from tradewind.research.statistics.overlap import LEAST_COMMON_SESSIONS
from tradewind.research.statistics.performance import Returns

__all__ = ["alpha_figures", "alpha_probability", "alpha_variance", "beta", "residual"]

_ROUNDING: Final = 1e-12  # of the largest return; what rounding leaves of a difference of equals
_LEAST_SESSIONS: Final = 3


def beta(net: Returns, benchmark: Returns) -> float:
    """Return how much of the benchmark is in the returns: the slope by ordinary least squares.

    Parameters
    ----------
    net, benchmark : ndarray of shape (n_sessions,)
        On the same sessions, out of sample. The slope is estimated on these very sessions, so that
        the alpha contains nothing of the benchmark's rise.

    Returns
    -------
    float
        Zero where the benchmark does not vary, as cash does not.
    """
    if benchmark.size < 2 or np.ptp(benchmark) == 0.0:  # noqa: PLR2004
        return 0.0
    moved = benchmark - benchmark.mean()
    return float((moved * (net - net.mean())).sum() / (moved**2).sum())


def residual(net: Returns, benchmark: Returns) -> Returns:
    """Return net less beta times the benchmark, session by session; its mean is the alpha.

    Differences that are only rounding count as zero.
    """
    left: Returns = net - beta(net, benchmark) * benchmark
    if left.size and np.abs(left).max() <= _ROUNDING * max(np.abs(net).max(), 1e-300):
        return np.zeros_like(left)
    return left


def alpha_probability(
    net: Returns, benchmark: Returns, *, n_trials: int = 1, variance: float = 0.0
) -> float:
    """Return the probability that there is an alpha beyond the luck of as many trials.

    It is the deflated Sharpe ratio of `residual`; with one trial the probabilistic Sharpe ratio
    against zero.

    Parameters
    ----------
    net, benchmark : ndarray of shape (n_sessions,)
    n_trials : int
        Every trial ever run for the strategy on these data.
    variance : float
        Of the trials' Sharpe ratios of their own residuals; see `alpha_variance`.

    Returns
    -------
    float
        Between 0 and 1: zero where the residual is zero, for then there is certainly no alpha. NaN
        below three sessions, or if the residual does not vary.

    References
    ----------
    Jensen (1968), The Performance of Mutual Funds in the Period 1945-1964, on the regression;
    Bailey and Lopez de Prado (2012, 2014) as in `tradewind.research.statistics.inference`.

    Notes
    -----
    That beta is estimated, too, widens the true standard error by the square of the benchmark's
    Sharpe ratio a session: by a quarter of a per cent at a ratio of one a year.
    """
    left = residual(net, benchmark)
    if left.size >= _LEAST_SESSIONS and not left.any() and net.any():
        return 0.0
    return inference.deflated_sharpe(left, n_trials, variance)


def alpha_variance(trials: Iterable[tuple[Returns, Returns]], *, otherwise: float = 0.0) -> float:
    """Return the variance of the Sharpe ratios of trials' residuals.

    The trials of a long-only strategy share the market, so that their whole returns differ less
    than their residuals. Deflated by the variance of whole returns, the best of many would look
    better than it is.

    A trial of fewer than `LEAST_COMMON_SESSIONS` sessions is left out: its ratio is mostly luck,
    and a single one could decide the variance.

    Parameters
    ----------
    trials : iterable of pairs of ndarray
        Net returns and the benchmark's on the same sessions, of each trial.
    otherwise : float
        Returned if fewer than two ratios are defined.
    """
    ratios = [
        left.mean() / left.std(ddof=1)
        for left in (residual(*trial) for trial in trials)
        if left.size >= LEAST_COMMON_SESSIONS and np.ptp(left) > 0.0
    ]
    return float(np.var(ratios, ddof=1)) if len(ratios) > 1 else otherwise


def alpha_figures(
    net: Returns, benchmark: Returns, mix: Returns, *, per_year: float
) -> dict[str, float]:
    """Return alpha (fraction a year, not compounded), beta and the probabilities of an alpha.

    Parameters
    ----------
    net, benchmark, mix : ndarray of shape (n_sessions,)
        See `tradewind.research.backtest.benchmark`.
    per_year : float
        Sessions a year.
    """
    left = residual(net, benchmark)
    return {
        "alpha": float(left.mean()) * per_year if left.size else math.nan,
        "beta": beta(net, benchmark),
        "alpha_probability": alpha_probability(net, benchmark),
        "mix_alpha": float(residual(net, mix).mean()) * per_year if net.size else math.nan,
        "mix_alpha_probability": alpha_probability(net, mix),
    }

"""How far a backtest's figures can be trusted, given chance, length and number of trials.

A Sharpe ratio measured on a few years of returns is an estimate, and the best of many is
biased upward. Sharpe ratios in this module are per session, not annualised, unless a name
says otherwise; returns are simple returns a session, as fractions.
"""

import math
from itertools import combinations
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.research.statistics.performance import Returns

__all__ = [
    "backtest_overfitting",
    "deflated_sharpe",
    "expected_best_sharpe",
    "performance_probability",
    "probabilistic_sharpe",
    "sharpe_difference_interval",
    "sharpe_interval",
]

_NORMAL: Final = NormalDist()
_LEAST_SESSIONS: Final = 3
_CELLS: Final = 1_000_000


def probabilistic_sharpe(returns: Returns, threshold: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds a threshold.

    Parameters
    ----------
    returns : ndarray of shape (n_sessions,)
    threshold : float
        Sharpe ratio a session.

    Returns
    -------
    float
        Between 0 and 1; NaN below three sessions or if returns do not vary.

    References
    ----------
    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, eq. 11: the
    estimate's standard error allows for skewness and fat tails.
    """
    if returns.size < _LEAST_SESSIONS or np.ptp(returns) == 0.0:
        return math.nan
    centred = returns - returns.mean()
    deviation = returns.std()
    return _exceeds(
        sharpe=float(returns.mean() / returns.std(ddof=1)),
        threshold=threshold,
        n_sessions=returns.size,
        skewness=float((centred**3).mean() / deviation**3),
        kurtosis=float((centred**4).mean() / deviation**4),
    )


def expected_best_sharpe(n_trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of several worthless trials is expected to show.

    Parameters
    ----------
    n_trials : int
        Independent trials; correlated ones count as fewer, so that counting all of them errs
        on the strict side.
    variance : float
        Of the trials' Sharpe ratios a session.

    Raises
    ------
    ValueError
        If there is no trial, or the variance is negative.

    References
    ----------
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, eq. 1.
    """
    if n_trials < 1 or variance < 0.0:
        raise ValueError(f"needs a trial and a variance >= 0, not {n_trials} and {variance}")
    if n_trials == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    return math.sqrt(variance) * (
        (1.0 - gamma) * _NORMAL.inv_cdf(1.0 - 1.0 / n_trials)
        + gamma * _NORMAL.inv_cdf(1.0 - 1.0 / (n_trials * math.e))
    )


def deflated_sharpe(returns: Returns, n_trials: int, variance: float) -> float:
    """Return the probability that the true Sharpe ratio beats the best of as many worthless trials.

    Parameters
    ----------
    returns : ndarray of shape (n_sessions,)
        Of the trial that was chosen.
    n_trials : int
        Every trial ever run for the strategy on these data, the discarded ones above all.
    variance : float
        Of the trials' Sharpe ratios a session.

    Returns
    -------
    float
        Between 0 and 1; NaN where `probabilistic_sharpe` is. With one trial it is
        `probabilistic_sharpe` against zero.

    Raises
    ------
    ValueError
        If there is no trial, or the variance is negative.

    References
    ----------
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, eq. 2.
    """
    return probabilistic_sharpe(returns, expected_best_sharpe(n_trials, variance))


def backtest_overfitting(returns: NDArray[np.float64], n_blocks: int = 16) -> float:
    """Return the probability that choosing the best trial in sample picks a below-median one.

    Combinatorially symmetric cross-validation: the sessions are cut into blocks; each choice
    of half of them serves once as the sample in which the best trial is chosen, the other
    half as the judge of that choice.

    Parameters
    ----------
    returns : ndarray of shape (n_sessions, n_trials)
        Trials on the same sessions; sessions beyond a multiple of `n_blocks` are left out at
        the start.
    n_blocks : int
        Even; 16 gives 12,870 choices.

    Returns
    -------
    float
        Between 0 and 1. A trial whose returns do not vary in a half counts as the worst there.

    Raises
    ------
    ValueError
        If there are fewer than two trials or two sessions a block, or an odd number of blocks.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2015), The Probability of Backtest Overfitting,
    section 3.
    """
    n_sessions, n_trials = returns.shape
    if n_trials < 2 or n_blocks < 2 or n_blocks % 2 or n_sessions < 2 * n_blocks:  # noqa: PLR2004
        raise ValueError(
            f"needs two trials and an even number of blocks of two sessions or more, not "
            f"{n_trials} trials and {n_sessions} sessions in {n_blocks} blocks"
        )
    length = n_sessions // n_blocks
    blocks = returns[n_sessions - length * n_blocks :].reshape(n_blocks, length, n_trials)
    # A half's Sharpe ratio follows from its blocks' sums: no choice touches the returns again.
    sums, squares = blocks.sum(axis=1), (blocks**2).sum(axis=1)
    half = n_blocks // 2
    chosen = np.array(list(combinations(range(n_blocks), half)))
    # As many choices at once as keep a few matrices of choices by trials within 100 MB.
    at_once = max(1, _CELLS // n_trials)
    parts = [chosen[start : start + at_once] for start in range(0, len(chosen), at_once)]
    rank = np.concatenate([_ranks(part, sums, squares, half * length) for part in parts])
    # Its logit is below zero where the rank is below one half; a half counts half.
    return float(((rank < 0.5) + 0.5 * (rank == 0.5)).mean())  # noqa: PLR2004


def sharpe_interval(
    returns: Returns,
    *,
    per_year: float,
    level: float = 0.95,
    n_samples: int = 2000,
    block: float | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bootstrap confidence interval of the annualised Sharpe ratio.

    Parameters
    ----------
    returns : ndarray of shape (n_sessions,)
    per_year : float
        Sessions a year.
    level : float
        Between 0 and 1.
    n_samples : int
        Resampled histories.
    block : float, optional
        Mean length of the resampled blocks in sessions; the cube root of the number of
        sessions if not given. Blocks keep most of the autocorrelation that single sessions
        drawn at random would lose.
    seed : int

    Returns
    -------
    tuple of float
        Lower and upper end, by percentile; NaN where the Sharpe ratio is.

    References
    ----------
    Politis and Romano (1994), The Stationary Bootstrap.
    """
    if _is_undefined(returns):
        return math.nan, math.nan
    index = _resampled(returns.size, n_samples=n_samples, block=block, seed=seed)
    sharpes = _sharpe_of_each(returns[index], per_year)
    return _percentiles(sharpes[np.isfinite(sharpes)], level)


def performance_probability(
    expected: Returns, live: Returns, *, n_samples: int = 2000, seed: int = 0
) -> float:
    """Return how probable a Sharpe ratio as low as the live one is if nothing has changed.

    Parameters
    ----------
    expected : ndarray of shape (n_sessions,)
        Out-of-sample net returns of the training.
    live : ndarray of shape (m_sessions,)
        Net returns since; shorter than `expected`.
    n_samples : int
        Histories of the live length drawn from `expected`.
    seed : int

    Returns
    -------
    float
        Share of the histories that did no better; NaN below three sessions, or if returns do not
        vary.

    References
    ----------
    Politis and Romano (1994), The Stationary Bootstrap.
    """
    if _is_undefined(live) or _is_undefined(expected):
        return math.nan
    index = _resampled(expected.size, length=live.size, n_samples=n_samples, block=None, seed=seed)
    sharpes = _sharpe_of_each(expected[index])
    [achieved] = _sharpe_of_each(live[None, :])
    return float((sharpes[np.isfinite(sharpes)] <= achieved).mean())


def sharpe_difference_interval(
    first: Returns,
    second: Returns,
    *,
    per_year: float,
    level: float = 0.9,
    n_samples: int = 2000,
    block: float | None = None,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return by how much one annualised Sharpe ratio exceeds another, with its interval.

    Both strategies are resampled by the same sessions, so that common moves cancel: two similar
    strategies can be told apart sooner than their own intervals suggest.

    Parameters
    ----------
    first, second : ndarray of shape (n_sessions,)
        Returns on the same sessions in the same order.
    per_year : float
        Sessions a year.
    level : float
        Between 0 and 1.
    n_samples : int
        Resampled histories.
    block : float, optional
        Mean length of the resampled blocks in sessions; see `sharpe_interval`.
    seed : int

    Returns
    -------
    tuple of float
        Difference, first less second, and lower and upper end of its interval, by percentile;
        all NaN where either Sharpe ratio is.

    Raises
    ------
    ValueError
        If the two do not have the same number of sessions.

    References
    ----------
    Ledoit and Wolf (2008), Robust Performance Hypothesis Testing with the Sharpe Ratio, on
    resampling both together; here by the blocks of Politis and Romano (1994).
    """
    if first.shape != second.shape:
        raise ValueError(
            f"returns must be on the same sessions, not on {first.size} and {second.size}"
        )
    if _is_undefined(first) or _is_undefined(second):
        return math.nan, math.nan, math.nan
    index = _resampled(first.size, n_samples=n_samples, block=block, seed=seed)
    differences = _sharpe_of_each(first[index], per_year) - _sharpe_of_each(second[index], per_year)
    measured = _sharpe_of_each(first[None], per_year) - _sharpe_of_each(second[None], per_year)
    return float(measured[0]), *_percentiles(differences[np.isfinite(differences)], level)


def _is_undefined(returns: Returns) -> bool:
    return returns.size < _LEAST_SESSIONS or bool(np.ptp(returns) == 0.0)


def _resampled(
    n_sessions: int, *, n_samples: int, block: float | None, seed: int, length: int | None = None
) -> NDArray[np.int64]:
    """Return sessions drawn in blocks, shape (n_samples, length): the stationary bootstrap.

    A history is as long as the one it is drawn from if no length is given.

    The `StationaryBootstrap` of the library arch is not used: its histories are always as long as
    the one they are drawn from, it draws them one at a time, and the same seed gives others, so
    that recorded intervals could not be reproduced.
    """
    random = np.random.default_rng(seed)
    shape = (n_samples, length or n_sessions)
    new_block = random.random(shape) < 1.0 / (block or n_sessions ** (1 / 3))
    new_block[:, 0] = True
    starts = random.integers(n_sessions, size=shape)
    # Position within its block: sessions since the last start of one.
    position = np.arange(shape[1])
    begun = np.maximum.accumulate(np.where(new_block, position, 0), axis=1)
    return (np.take_along_axis(starts, begun, axis=1) + position - begun) % n_sessions


def _sharpe_of_each(drawn: NDArray[np.float64], per_year: float = 1.0) -> NDArray[np.float64]:
    """Return the Sharpe ratio of each row, a session or a year; NaN where nothing varies."""
    varied = np.ptp(drawn, axis=1) > 0.0  # rounding leaves constant returns a deviation
    sharpes = np.full(len(drawn), math.nan)
    some = drawn[varied]
    sharpes[varied] = some.mean(axis=1) / some.std(axis=1, ddof=1) * math.sqrt(per_year)
    return sharpes


def _percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    if not values.size:
        return math.nan, math.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _ranks(
    chosen: NDArray[np.int64], sums: NDArray[np.float64], squares: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return how the best trial of each choice of blocks ranks in the other blocks, in (0, 1)."""
    n_blocks, n_trials = sums.shape
    inside = np.zeros((len(chosen), n_blocks))
    np.put_along_axis(inside, chosen, 1.0, axis=1)
    trained = _sharpes(inside @ sums, inside @ squares, n)
    judged = _sharpes((1.0 - inside) @ sums, (1.0 - inside) @ squares, n)
    best = trained.argmax(axis=1)
    of_best = judged[np.arange(len(best)), best]
    below = (judged < of_best[:, None]).sum(axis=1)
    equal = (judged == of_best[:, None]).sum(axis=1) - 1
    ranks: NDArray[np.float64] = (below + equal / 2.0 + 1.0) / (n_trials + 1.0)
    return ranks


def _exceeds(
    *, sharpe: float, threshold: float, n_sessions: int, skewness: float, kurtosis: float
) -> float:
    # Bailey and Lopez de Prado (2012), eq. 8; kurtosis is 3 for the normal distribution.
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return _NORMAL.cdf((sharpe - threshold) * math.sqrt((n_sessions - 1.0) / spread))


def _sharpes(
    sums: NDArray[np.float64], squares: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    means = sums / n
    variances = squares / n - means**2
    # Rounding may leave a variance of constant returns a hair off zero.
    varied = variances > 1e-12 * squares / n
    result = np.full(sums.shape, -np.inf)
    np.divide(means, np.sqrt(np.where(varied, variances, 1.0)), out=result, where=varied)
    return result

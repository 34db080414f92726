"""Figures that judge returns and predictions.

Returns are simple returns a session, as fractions; `per_year` is how many sessions a year of
their calendar has (`tradewind.market.calendar.sessions_per_year`); the risk-free rate is taken
as zero. Where a figure is undefined (too few sessions, nothing varies,
nothing was lost) it is NaN, never zero or infinity.
"""

import math
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = [
    "annualised_return",
    "annualised_volatility",
    "calmar",
    "hit_rate",
    "information_coefficient",
    "longest_drawdown",
    "max_drawdown",
    "sharpe",
    "sortino",
    "summarise",
]

_LEAST_FOR_CROSS_SECTION: Final = 3

Returns = NDArray[np.float64]


def annualised_return(returns: Returns, *, per_year: float) -> float:
    """Return the constant yearly return that compounds to the same end; NaN if empty.

    Parameters
    ----------
    returns : ndarray of shape (n_sessions,), each above -1
    per_year : float
        Sessions a year.

    Returns
    -------
    float
        Fraction a year: the geometric mean, not `per_year` times the arithmetic one.

    References
    ----------
    Bacon (2008), Practical Portfolio Performance Measurement and Attribution, ch. 2.
    """
    if not returns.size:
        return math.nan
    return float(np.expm1(np.log1p(returns).mean() * per_year))


def annualised_volatility(returns: Returns, *, per_year: float) -> float:
    """Return the annualised standard deviation; NaN below two sessions.

    Returns
    -------
    float
        Fraction a year: the sample's deviation times the root of `per_year`; this assumes returns
        that are not autocorrelated.

    References
    ----------
    Bacon (2008), Practical Portfolio Performance Measurement and Attribution, ch. 4.
    """
    if returns.size < 2:  # noqa: PLR2004
        return math.nan
    return float(returns.std(ddof=1) * math.sqrt(per_year))


def sharpe(returns: Returns, *, per_year: float) -> float:
    """Return the annualised mean over standard deviation; NaN if returns do not vary.

    Returns
    -------
    float
        Without unit, for a year: the ratio a session times the root of `per_year`.

    References
    ----------
    Sharpe (1994), The Sharpe Ratio. The scaling by the root assumes returns that are
    not autocorrelated: Lo (2002), The Statistics of Sharpe Ratios.
    """
    if returns.size < 2 or np.ptp(returns) == 0.0:  # noqa: PLR2004
        return math.nan
    return float(returns.mean() / returns.std(ddof=1) * math.sqrt(per_year))


def sortino(returns: Returns, *, per_year: float) -> float:
    """Return the annualised mean over downside deviation from zero; NaN without a loss.

    Returns
    -------
    float
        Without unit, for a year: the ratio a session times the root of `per_year`.

    References
    ----------
    Sortino and Price (1994), Performance Measurement in a Downside Risk Framework: the
    downside deviation divides by all sessions, not only by those with a loss.
    """
    downside = np.minimum(returns, 0.0)
    if not downside.any():
        return math.nan
    return float(returns.mean() / np.sqrt((downside**2).mean()) * math.sqrt(per_year))


def max_drawdown(returns: Returns) -> float:
    """Return the deepest fall from a peak as a negative fraction, 0.0 if none; NaN if empty.

    The capital before the first session counts as a peak.

    References
    ----------
    Magdon-Ismail and Atiya (2004), Maximum Drawdown; here as a fraction of the peak.
    """
    return float(_drawdowns(returns).min()) if returns.size else math.nan


def longest_drawdown(returns: Returns) -> int:
    """Return the longest run of sessions that closed below an earlier peak."""
    longest = run = 0
    for below in _drawdowns(returns) < 0.0:
        run = run + 1 if below else 0
        longest = max(longest, run)
    return longest


def calmar(returns: Returns, *, per_year: float) -> float:
    """Return the annualised return over the depth of the deepest drawdown; NaN without one.

    Returns
    -------
    float
        Per year.

    References
    ----------
    Young (1991), Calmar Ratio: A Smoother Tool. Here over all sessions given, not 36 months.
    """
    depth = -max_drawdown(returns)
    return annualised_return(returns, per_year=per_year) / depth if depth > 0.0 else math.nan


def hit_rate(predictions: Returns, labels: Returns) -> float:
    """Return the share of predictions with the sign of their label; NaN if there are none.

    Parameters
    ----------
    predictions, labels : ndarray of shape (n_rows,)
        Rows whose label is zero are left out.
    """
    moved = labels != 0.0
    if not moved.any():
        return math.nan
    return float((np.sign(predictions[moved]) == np.sign(labels[moved])).mean())


def information_coefficient(rows: pl.DataFrame) -> float:
    """Return the rank correlation of predictions with labels.

    With three symbols or more in a session it is the mean over these sessions of Spearman's
    correlation across symbols: how well symbols are told apart. If no session has three, it
    is Spearman's correlation over all rows: how well times and symbols are told apart.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, 3) or wider
        session, prediction, label; rows without a label are left out.

    Returns
    -------
    float
        Between -1 and 1; NaN if nothing varies. Sessions in which nothing varies are left
        out of the mean.

    References
    ----------
    Grinold and Kahn (2000), Active Portfolio Management, ch. 6.
    """
    known = rows.select("session", "prediction", "label").drop_nulls()
    large = known.filter(pl.len().over("session") >= _LEAST_FOR_CROSS_SECTION)
    if large.is_empty():
        return _spearman(known)
    ranked = large.with_columns(pl.col("prediction", "label").rank().over("session"))
    by_session = ranked.group_by("session", maintain_order=True).agg(
        pl.corr("prediction", "label").fill_nan(None).alias("ic")
    )
    mean = by_session.get_column("ic").mean()
    return float(mean) if isinstance(mean, float) else math.nan


def summarise(backtest: pl.DataFrame, *, per_year: float) -> dict[str, float]:
    """Return the figures of a backtest, after costs.

    Parameters
    ----------
    backtest : DataFrame of shape (n_sessions, 11)
        As returned by `tradewind.research.backtest.run.run_backtest`.
    per_year : float
        Sessions a year of the calendar.

    Returns
    -------
    dict of str to float
        Fractions, unless named otherwise: annual_turnover counts buys plus sells in
        multiples of equity, annual_cost what trading and annual_borrow_cost what short
        positions took from equity a year, average_short is the mean share of equity that was
        short, trades the number of positions opened or turned.
    """
    net = backtest.get_column("net_return").to_numpy()
    return {
        "annual_return": annualised_return(net, per_year=per_year),
        "annual_volatility": annualised_volatility(net, per_year=per_year),
        "sharpe": sharpe(net, per_year=per_year),
        "sortino": sortino(net, per_year=per_year),
        "max_drawdown": max_drawdown(net),
        "longest_drawdown_sessions": float(longest_drawdown(net)),
        "calmar": calmar(net, per_year=per_year),
        "annual_turnover": _mean(backtest.get_column("turnover")) * per_year,
        "annual_cost": _mean(backtest.get_column("cost")) * per_year,
        "annual_borrow_cost": _mean(backtest.get_column("borrow_cost")) * per_year,
        "average_short": _mean(backtest.get_column("short")),
        "trades": float(backtest.get_column("opened").sum()),
    }


def _drawdowns(returns: Returns) -> Returns:
    equity = np.cumprod(1.0 + returns)
    drawdowns: Returns = equity / np.maximum(np.maximum.accumulate(equity), 1.0) - 1.0
    return drawdowns


def _mean(column: pl.Series) -> float:
    return float(column.to_numpy().mean()) if column.len() else math.nan


def _spearman(rows: pl.DataFrame) -> float:
    value = rows.select(pl.corr(pl.col("prediction").rank(), pl.col("label").rank())).item()
    return math.nan if value is None else float(value)

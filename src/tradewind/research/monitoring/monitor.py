"""Compares a champion with its training: its features, and its returns."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from tradewind.market.calendar import sessions_per_year
from tradewind.research.backtest.run import run_backtest
from tradewind.research.evaluation.predict import wanted_weights
from tradewind.research.features.compute import find_features
from tradewind.research.models.model import FittedModel
from tradewind.research.monitoring.drift import LEAST_LIVE_SESSIONS, feature_drift
from tradewind.research.statistics.inference import performance_probability
from tradewind.research.statistics.performance import Returns, sharpe
from tradewind.research.strategy.strategy import Strategy

__all__ = ["LEAST_LIVE_SESSIONS", "WatchReport", "inspect"]

_UNUSUAL: Final = 0.95  # share of the past's windows that a distance must exceed to count


@dataclass(frozen=True)
class WatchReport:
    """The result of monitoring a champion.

    Attributes
    ----------
    drift : DataFrame of shape (n_features, 5)
        As returned by `tradewind.research.monitoring.drift.feature_drift`.
    live_sessions : int
        Sessions traded since the training's last bar.
    live_sharpe : float
        Annualised, after costs; NaN below `LEAST_LIVE_SESSIONS`.
    performance : float
        Probability of a result as low, by the backtest; NaN below `LEAST_LIVE_SESSIONS`.
    reasons : tuple of str
        Why to train again; empty if all is within its bounds.
    """

    drift: pl.DataFrame
    live_sessions: int
    live_sharpe: float
    performance: float
    reasons: tuple[str, ...]


def inspect(
    model: FittedModel,
    bars: pl.DataFrame,
    strategy: Strategy,
    *,
    trained_until: date,
    expected: Returns,
) -> WatchReport:
    """Compare the latest sessions with the training, by the strategy's own bounds.

    Parameters
    ----------
    model : FittedModel
        The champion.
    bars : DataFrame of shape (n_bars, 9)
        Validated bars from before the training to now.
    strategy : Strategy
        As it was when the champion was trained.
    trained_until : date
        Last session of the bars it was trained on.
    expected : ndarray of shape (n_sessions,)
        Net returns of its backtest, out of sample.

    Raises
    ------
    StrategyError
        If a feature is undefined since then, and the strategy says ``missing: refuse``.
    ResearchError
        If the bars do not reach back to the training.
    """
    rules = strategy.monitor
    drift = feature_drift(
        find_features(bars, strategy).seen,
        list(strategy.feature_names),
        trained_until=trained_until,
        sessions=rules.sessions,
    )
    live = _live_returns(model, bars, strategy, trained_until)
    enough = live.size >= LEAST_LIVE_SESSIONS
    performance = performance_probability(expected, live) if enough else math.nan
    achieved = sharpe(live, per_year=sessions_per_year(strategy.universe.calendar))
    reasons = [
        f"{row['feature']}: {label} {row[kind]:.2f} since training is above {bound:g}, and above "
        f"{row[kind + '_rank']:.0%} of the windows before it"
        for kind, label, bound in (
            ("psi", "population stability index", rules.max_psi),
            ("ks", "Kolmogorov-Smirnov distance", rules.max_ks),
        )
        if bound is not None
        for row in drift.iter_rows(named=True)
        if row[kind] > bound and row[kind + "_rank"] >= _UNUSUAL
    ]
    if rules.min_performance is not None and performance < rules.min_performance:
        reasons.append(
            f"a Sharpe ratio of {achieved:.2f} over {live.size} sessions since training has a "
            f"probability of {performance:.1%} by the backtest, below {rules.min_performance:.1%}"
        )
    return WatchReport(
        drift=drift,
        live_sessions=live.size,
        live_sharpe=achieved if enough else math.nan,
        performance=performance,
        reasons=tuple(reasons),
    )


def _live_returns(
    model: FittedModel, bars: pl.DataFrame, strategy: Strategy, trained_until: date
) -> Returns:
    """Return the returns of the champion's weights after the training's last bar."""
    sessions = bars.get_column("session").unique().sort()
    later = int((sessions > trained_until).sum())
    if later == 0:
        return bars.select(pl.lit(0.0)).head(0).to_series().to_numpy()
    # Tranches of earlier sessions are still held in the first live one.
    wanted = min(later + strategy.horizon, sessions.len())
    weights = wanted_weights(model, bars, strategy, sessions=wanted, last_is_asked=False)
    traded = run_backtest(weights, bars, strategy.backtest)
    return traded.filter(pl.col("session") > trained_until).get_column("net_return").to_numpy()

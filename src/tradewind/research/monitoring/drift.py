"""Whether the market still looks as it did in training.

Features of a market are persistent: half a year of a one-year momentum is one observation, not 126,
so the usual p-values show a shift in every window. Here a distance is compared with those of
windows of the same length before the training ended. Only sessions after the training are ranked:
the model knows the earlier ones, however unusual they were.
"""

import math
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import ResearchError

__all__ = ["LEAST_LIVE_SESSIONS", "feature_drift", "ks_distance", "psi"]

LEAST_LIVE_SESSIONS: Final = 20
"""Sessions since the training below which nothing is ranked."""

_BINS: Final = 10
_FLOOR: Final = 1e-4  # share of an empty bin, so that its logarithm is defined
_STEP: Final = 21  # sessions between two windows of the past

Values = NDArray[np.float64]


def psi(reference: Values, recent: Values, *, bins: int = _BINS) -> float:
    """Return the population stability index of two samples.

    Parameters
    ----------
    reference, recent : ndarray of shape (n,) and (m,)
        Values that are not finite count as undefined, which is a bin of its own.
    bins : int
        Bins of equal share in `reference`, each closed above; repeated edges are merged. A value
        that alone has the share of a bin is a bin of its own, so that a shift to either side of it
        shows.

    Returns
    -------
    float
        Zero or more; NaN if a sample is empty, or nothing is defined in `reference`.

    References
    ----------
    Siddiqi (2006), Credit Risk Scorecards, ch. 8: above 0.25 the population has shifted.
    """
    known = reference[np.isfinite(reference)]
    if not known.size or not recent.size:
        return math.nan
    edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    counts = (known[:, None] == edges).sum(axis=0)
    heavy = edges[(counts > 1) & (counts * bins >= known.size)]
    before, after = (
        np.maximum(_shares(sample, edges, heavy), _FLOOR) for sample in (reference, recent)
    )
    return float(((after - before) * np.log(after / before)).sum())


def _shares(sample: Values, edges: Values, heavy: Values) -> Values:
    """Return the share of a sample in each bin; the last bin has the undefined values.

    Bins are counted by the edges below a value and the heavy values up to it, which is one more at
    a heavy value than just below it, and one more again just above.
    """
    known = sample[np.isfinite(sample)]
    at = np.searchsorted(edges, known) + np.searchsorted(heavy, known, side="right")
    counts = np.bincount(at, minlength=edges.size + heavy.size + 1)
    return np.append(counts, sample.size - known.size) / sample.size


def ks_distance(reference: Values, recent: Values) -> float:
    """Return the largest distance between two samples' distribution functions.

    Values that are not finite do not count; NaN if a sample has no others.

    References
    ----------
    Smirnov (1939), On the Estimation of the Discrepancy Between Empirical Curves of Distribution
    for Two Independent Samples.
    """
    reference, recent = (sample[np.isfinite(sample)] for sample in (reference, recent))
    if not reference.size or not recent.size:
        return math.nan
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference, recent, method="asymp").statistic)


def feature_drift(
    features: pl.DataFrame, names: list[str], *, trained_until: date, sessions: int
) -> pl.DataFrame:
    """Compare the latest sessions' features with those up to the training's end.

    Parameters
    ----------
    features : DataFrame of shape (n_rows, 2 + n_features)
        symbol, session and the features, of all sessions; null where one is undefined.
    names : list of str
        Columns to compare.
    trained_until : date
        Last session of the training's bars.
    sessions : int
        Length of the window compared; shorter until so many have passed since the training.

    Returns
    -------
    DataFrame of shape (n_features, 5)
        feature; psi, ks (distances between the latest window and everything up to the training);
        psi_rank, ks_rank (share of the past's windows of the same length, one every 21 sessions,
        with a smaller distance to the rest of the past). The window begins after the training.
        Below `LEAST_LIVE_SESSIONS` since, it is the latest `sessions` there are, and its ranks
        are NaN; so are those of a past with less than two windows.

    Raises
    ------
    ResearchError
        If there are no sessions up to the training's end.
    """
    known = features.filter(pl.col("session") <= trained_until)
    if known.is_empty():
        raise ResearchError(f"no features up to {trained_until}, where the training ended")
    days = features.get_column("session").unique().sort()
    later = days.filter(days > trained_until).tail(sessions)
    enough = later.len() >= LEAST_LIVE_SESSIONS
    latest_days = later if enough else days.tail(sessions)
    recent = features.filter(pl.col("session") >= latest_days[0])
    sessions = latest_days.len()
    past = known.get_column("session").unique().sort()
    starts = [past[start] for start in range(0, len(past) - sessions + 1, _STEP)]
    ends = [past[start + sessions - 1] for start in range(0, len(past) - sessions + 1, _STEP)]
    rows = []
    for name in names:
        reference = known.get_column(name).to_numpy()
        latest = recent.get_column(name).to_numpy()
        windows: dict[str, list[float]] = {"psi": [], "ks": []}
        for start, end in zip(starts, ends, strict=True):
            inside = known.select(pl.col("session").is_between(start, end)).to_series().to_numpy()
            windows["psi"].append(psi(reference[~inside], reference[inside]))
            windows["ks"].append(ks_distance(reference[~inside], reference[inside]))
        distances = {"psi": psi(reference, latest), "ks": ks_distance(reference, latest)}
        ranks = {
            f"{kind}_rank": _rank(distances[kind], windows[kind]) if enough else math.nan
            for kind in distances
        }
        rows.append({"feature": name, **distances, **ranks})
    return pl.DataFrame(rows)


def _rank(distance: float, of: list[float]) -> float:
    return float(np.mean(np.array(of) < distance)) if len(of) > 1 else math.nan

"""Whether a strategy is better than its benchmark, in a few words: the same wherever it stands.

Made of the metrics of a training alone, so that what a registry keeps is enough.
"""

import math
from collections.abc import Mapping
from typing import Final

from tradewind.research.words import percent, probability, ratio

__all__ = [
    "SURE",
    "holding_in_words",
    "is_better",
    "least_probability",
    "verdict",
    "verdict_title",
]

SURE: Final = 0.95
"""Probability from which on something is said to be so."""

_WORDS: Final = {"equal_weight": "holding", "cash": "cash"}


def holding_in_words(benchmark: str) -> str:
    """Return what the benchmark is, as it stands after "better than"."""
    return _WORDS.get(benchmark, f"holding {benchmark}")


def is_better(metrics: Mapping[str, float]) -> bool | None:
    """Return whether there is an alpha beyond luck; None where nobody knows.

    Trainings of before there was an alpha are compared by return and Sharpe ratio with buying and
    holding: both must be higher.
    """
    likely = least_probability(metrics)
    if not math.isnan(likely):
        return likely >= SURE
    pairs = [
        (metrics.get(name, math.nan), metrics.get(f"benchmark_{name}", math.nan))
        for name in ("annual_return", "sharpe")
    ]
    if "alpha" in metrics or any(math.isnan(value) for pair in pairs for value in pair):
        return None
    return all(ours > held for ours, held in pairs)


def least_probability(metrics: Mapping[str, float]) -> float:
    """Return the lower of the probabilities of an alpha: beside benchmark, and beside its own mix.

    NaN if either is not known.
    """
    figures = ("deflated_alpha_probability", "deflated_mix_alpha_probability")
    known = [metrics.get(figure, math.nan) for figure in figures]
    return math.nan if any(map(math.isnan, known)) else min(known)


def verdict_title(metrics: Mapping[str, float], benchmark: str) -> str:
    """Return the verdict in four words; empty where nobody knows."""
    better = is_better(metrics)
    if better is None:
        return ""
    if not better and metrics.get("deflated_alpha_probability", 0.0) >= SURE:
        return "No better than what it held on average"
    return f"{'Better' if better else 'No better'} than {holding_in_words(benchmark)}"


def verdict(metrics: Mapping[str, float], benchmark: str) -> str:
    """Return the verdict in a sentence with its figures; empty where nobody knows.

    Parameters
    ----------
    metrics : mapping of str to float
        Of a training; see `tradewind.research.training.TrainingResult`.
    benchmark : str
        ``equal_weight``, ``cash`` or a symbol.
    """
    title = verdict_title(metrics, benchmark)
    alpha, slope = metrics.get("alpha", math.nan), metrics.get("beta", math.nan)
    if not title or math.isnan(alpha) or math.isnan(slope):
        return title
    beside, mix = (
        probability(metrics.get(f"deflated_{figure}", math.nan))
        for figure in ("alpha_probability", "mix_alpha_probability")
    )
    said = (
        f"{title}: alpha {percent(alpha)} a year, beta {ratio(slope)}, more than luck with "
        f"probability {beside}; beside its own average position {mix}"
    )
    return said.replace("\u00a0", " ")

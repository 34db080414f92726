"""Whether a strategy is better than its benchmark, in a few words: the same wherever it stands.

Made of the metrics of a training alone, so that what a registry keeps is enough.
"""

import math
from collections.abc import Mapping
from typing import Final

from tradewind.research._words import percent, probability, ratio

__all__ = ["SURE", "holding_in_words", "is_better", "verdict", "verdict_title"]

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
    likely = metrics.get("deflated_alpha_probability", math.nan)
    if not math.isnan(likely):
        return likely >= SURE
    pairs = [
        (metrics.get(name, math.nan), metrics.get(f"benchmark_{name}", math.nan))
        for name in ("annual_return", "sharpe")
    ]
    if "alpha" in metrics or any(math.isnan(value) for pair in pairs for value in pair):
        return None
    return all(ours > held for ours, held in pairs)


def verdict_title(metrics: Mapping[str, float], benchmark: str) -> str:
    """Return the verdict in four words; empty where nobody knows."""
    better = is_better(metrics)
    if better is None:
        return ""
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
    likely = probability(metrics.get("deflated_alpha_probability", math.nan))
    said = (
        f"{title}: alpha {percent(alpha)} a year, beta {ratio(slope)}, probability that it is more "
        f"than luck {likely}"
    )
    return said.replace("\u00a0", " ")

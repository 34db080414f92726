"""Trials that go on where an earlier one ended.

A configuration identifies a trial of what is fitted here. Predictions that are handed in have none:
only their content is known, and that changes with each session they go on for. What tells whether
they are the same hypothesis on more data is what they earned on the sessions that both have.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tradewind.research.trials.trial import Returns, Trial

if TYPE_CHECKING:
    from tradewind.research.trials.ledger import Ledger

__all__ = ["as_continued"]


def as_continued(ledger: "Ledger", trial: Trial) -> Trial:
    """Return a trial, by the configuration of the earlier one that it continues if there is one.

    Parameters
    ----------
    ledger : Ledger
    trial : Trial
        With its returns.

    Returns
    -------
    Trial
        One that continues another has earned the same to the bit in each session of the shorter.
    """
    assert trial.returns is not None  # noqa: S101 - one that failed has nothing to compare
    for configuration, earlier in _earlier(ledger, trial):
        if _same(trial.returns, earlier):
            return replace(trial, configuration=configuration)
    return trial


def _earlier(ledger: "Ledger", trial: Trial) -> Iterator[tuple[str, Returns]]:
    """Yield configuration and returns of earlier trials on the same symbols, each on its last."""
    latest = {
        each.configuration: each
        for each in sorted(
            ledger.trials(trial.strategy), key=lambda each: (each.data_end, each.snapshot_id)
        )
        if each.failure is None and each.symbols == trial.symbols
    }
    for configuration, each in sorted(latest.items()):
        [returns] = ledger.returns(trial.strategy, each.snapshot_id, [configuration])
        yield configuration, returns


def _same(one: Returns, other: Returns) -> bool:
    _, ours, theirs = np.intersect1d(
        one.sessions, other.sessions, assume_unique=True, return_indices=True
    )
    shorter = min(one.sessions.size, other.sessions.size)
    return 0 < ours.size == shorter and np.array_equal(one.net[ours], other.net[theirs])

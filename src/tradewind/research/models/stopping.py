"""How many rounds of boosting to take: as long as the newest sessions are predicted better.

The rounds are found on the earlier part of a training window, and the model is then fitted on all
of it with so many: the newest sessions are too dear to be left out.
"""

import logging
import math

import polars as pl

from tradewind.errors import FitError
from tradewind.research.strategy.fitting import EarlyStopping
from tradewind.research.strategy.strategy import Strategy

__all__ = ["head_and_tail", "told"]

log = logging.getLogger(__name__)


def head_and_tail(
    rows: pl.DataFrame, asked: EarlyStopping, strategy: Strategy
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the newest sessions of a window, and the rows before them whose labels have ended.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        symbol, session, features, label, and label_end (the last session whose price is part of
        the label).
    asked : EarlyStopping
    strategy : Strategy
        For the error.

    Returns
    -------
    tuple of DataFrame
        Rows to fit, and rows to judge by, in the order given. No label of the first is made of a
        price of the second's sessions.

    Raises
    ------
    FitError
        If there are too few sessions for both.
    """
    sessions = rows.get_column("session").unique().sort()
    first = sessions[-math.ceil(sessions.len() * asked.share)]
    head = rows.filter(pl.col("label_end") < first)
    if head.is_empty():
        raise FitError(
            f"strategy {strategy.name}: {sessions.len()} sessions of training cannot be cut for "
            f"early stopping: none is left {strategy.horizon} sessions before the newest "
            f"{asked.share:.0%}; lengthen walk_forward.train, or lower model.early_stopping.share"
        )
    return head, rows.filter(pl.col("session") >= first)


def told(rounds: int, most: int, tail: pl.DataFrame) -> int:
    """Say in the log how many rounds are taken, and return them."""
    sessions = tail.get_column("session")
    log.info(
        "early stopping: %d of %d rounds, judged by %s to %s",
        rounds, most, sessions.min(), sessions.max(),
    )  # fmt: skip
    return rounds

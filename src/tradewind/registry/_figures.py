"""The figures of a training as MLflow keeps them: totals, one a fold, and curves over time."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Final

from tradewind.registry import _names as names

if TYPE_CHECKING:
    import polars as pl
    from mlflow.entities import Metric

    from tradewind.research.training import TrainingResult

__all__ = ["MAX_POINTS", "curves", "metrics_of"]

MAX_POINTS: Final = 250
"""Of one curve: enough for MLflow's page, which draws no more, and few enough to be stored fast."""


def metrics_of(result: "TrainingResult", timestamp: int) -> list["Metric"]:
    """Return everything that is logged as a metric.

    Parameters
    ----------
    result : TrainingResult
    timestamp : int
        Milliseconds since 1970, of the totals and the figures of the folds. Points of curves
        carry the day of their session instead, so that MLflow can draw them over the years.
    """
    return [
        *_metrics(result.metrics, timestamp, step=0),
        *(
            metric
            for fold in result.folds
            for metric in _metrics(
                fold.metrics, timestamp, step=fold.index, prefix=names.FOLD_PREFIX
            )
        ),
        *_series(result),
    ]


def curves(equity: "pl.DataFrame", points: int = MAX_POINTS) -> "pl.DataFrame":
    """Return a backtest thinned to at most `points` rows, without losing what matters.

    Sessions are taken together in blocks of equal length; the last may be shorter.

    Parameters
    ----------
    equity : DataFrame of shape (n_sessions, 8) or wider
        As returned by `tradewind.research.backtest.run.run_backtest`.
    points : int

    Returns
    -------
    DataFrame of shape (n_blocks, 6)
        step (position of the block's last session, from 0) and session; equity and benchmark at
        its close; drawdown, the deepest of the block; net_return, compounded over the block.
    """
    import polars as pl

    length = max(1, math.ceil(equity.height / points))
    return (
        equity.with_row_index("step")
        .group_by(pl.col("step") // length, maintain_order=True)
        .agg(
            pl.col("step").last().alias("last"),
            pl.col("session", "equity", "benchmark").last(),
            pl.col("drawdown").min(),
            (pl.col("net_return") + 1.0).product() - 1.0,
        )
        .select(pl.col("last").cast(pl.Int64).alias("step"), pl.exclude("step", "last"))
    )


def _series(result: "TrainingResult") -> Iterator["Metric"]:
    for row in curves(result.equity).iter_rows(named=True):
        day = datetime.combine(row.pop("session"), time(), UTC)
        values = {key: value for key, value in row.items() if key != "step" and value is not None}
        yield from _metrics(
            values,
            max(0, int(day.timestamp() * 1000)),  # MLflow knows no time before 1970
            step=row["step"],
            prefix=names.SERIES_PREFIX,
        )


def _metrics(
    values: Mapping[str, float], timestamp: int, *, step: int, prefix: str = ""
) -> Iterator["Metric"]:
    from mlflow.entities import Metric

    # A figure that is not defined (a ratio over nothing) is left out: MLflow's page would draw
    # it as zero or as the largest number there is.
    for key, value in values.items():
        if math.isfinite(value):
            yield Metric(prefix + key, float(value), timestamp, step)

"""A workflow of a desk's own: it trains as it likes, and hands in what its model predicts.

To use it, copy this file to dags/ and handed_in.yaml to strategies/, and unpause the DAG on
Airflow's page; see docs/own-training.md.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    import polars as pl

STRATEGY = "handed_in"
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
TRAIN, TEST, HORIZON = 750, 126, 5  # sessions; a fit in front of each window of TEST


def walk_forward(bars: "pl.DataFrame") -> "pl.DataFrame":
    """Predict each session by a model that knows only labels which had ended before its window."""
    import numpy as np
    import polars as pl

    price = pl.col("close") * pl.col("adjustment_factor")
    change = price / price.shift(1) - 1.0
    rows = (
        bars.sort("symbol", "session")
        .with_columns(
            (price / price.shift(HORIZON) - 1.0).over("symbol").alias("fallen"),
            change.rolling_std(21).over("symbol").alias("risk"),
            (price.shift(-HORIZON) / price - 1.0).over("symbol").alias("label"),
        )
        .drop_nulls(["fallen", "risk"])
        .with_columns(pl.lit(1.0).alias("one"))
    )
    inputs = ["one", "fallen", "risk"]
    sessions = rows.get_column("session").unique().sort()
    found = []
    for start in range(TRAIN, sessions.len(), TEST):
        known = rows.filter(
            pl.col("session").is_in(sessions[max(start - TRAIN, 0) : start - HORIZON].implode()),
            pl.col("label").is_not_null(),
        )
        weights, *_ = np.linalg.lstsq(
            known.select(inputs).to_numpy(), known.get_column("label").to_numpy(), rcond=None
        )
        window = rows.filter(pl.col("session").is_in(sessions[start : start + TEST].implode()))
        predicted = pl.Series("prediction", window.select(inputs).to_numpy() @ weights)
        found.append(window.select("symbol", "session").with_columns(predicted))
    return pl.concat(found)


with DAG(
    "own_training",
    description="Trains outside of tradewind, and hands in what the model predicts",
    schedule=Asset.ref(name="bars_sample"),  # whenever the source has stored new bars
    max_active_runs=1,
    default_args={"retries": 1, "execution_timeout": timedelta(hours=1)},
    tags=["own"],
):

    @task
    def train() -> int:
        """Judge the predictions, which counts as a trial, and register them as a version."""
        import tradewind as tw

        desk = tw.Desk()
        judged = desk.judge(STRATEGY, walk_forward(desk.bars("sample", SYMBOLS)))
        return desk.register(judged).version

    # The outlet has the signals of the new champion made.
    @task(outlets=[Asset.ref(name=f"champion_{STRATEGY}")])
    def promote(number: int) -> None:
        """Make the version the champion if the gate let it pass."""
        import tradewind as tw

        desk = tw.Desk()
        [version] = [each for each in desk.models(STRATEGY) if each.version == number]
        if not version.passed:
            raise AirflowSkipException(f"the gate refused it: {version.refused}")
        desk.promote(version, reason="passed the gate")

    promote(train())

"""Row 7: a model logged, registered and loaded back, by ours on ours and as any user does on stock.

Each in a run of its own, through the same client. Run as a program it is that client. Stock finds
out what the model needs, unless it is told; so there is one that is told, as ours is.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from benchmarks.mlflow_servers import both
from benchmarks.table import AtMost, Row, row
from benchmarks.workers import worker
from tradewind.market.sources import sample
from tradewind.registry import tracking
from tradewind.registry.flavours import load_model
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.models.model import FittedModel, fit, predict_rows
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy

__all__ = ["measure"]

CHECKOUT = Path(__file__).parents[1]
TOLD = "stock, told its requirements"


def measure(quick: bool) -> list[Row]:
    """Measure both in turn."""
    with tempfile.TemporaryDirectory() as folder, both() as servers:
        served = servers if quick else {**servers, TOLD: servers["stock"]}
        taken: dict[str, list[float]] = {who: [] for who in served}
        with ExitStack() as stack:
            trips = {}
            for who, server in served.items():
                # What MLflow fetches and leaves behind goes with the folder. Nor does it run in the
                # checkout, whose lock file MLflow would try to export with uv, in vain.
                home = {
                    "TMPDIR": folder,
                    "PYTHONPATH": str(CHECKOUT),
                    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
                }
                environment = {**os.environ, **server.variables(), **home}
                command = [sys.executable, "-W", "ignore", "-m", "benchmarks.model_trips", who]
                trips[who] = stack.enter_context(worker(command, environment, folder))
            for _ in range(1 if quick else 7):
                for who, trip in trips.items():
                    taken[who].append(trip())
    return [row(7, "model logged, registered and loaded", "s", taken, [AtMost(0.5)])]


def main(who: str) -> None:
    """Make the trip once for each line of the input, and compare what came back."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # MLflow prints the addresses of runs
    strategy = load_strategy(CHECKOUT / "strategies" / "ranker.yaml")
    dataset = prepare(sample.load(strategy.universe.symbols), strategy)
    model = fit(dataset.latest_rows(), strategy)
    expected = predict_rows(model, dataset.rows, strategy)
    if who == "ours":
        trip = _ours(model, dataset.rows.select(strategy.feature_names).tail(5), strategy)
    else:
        requirements = tracking._requirements(strategy.model) if who == TOLD else None
        trip = _plain(model, strategy, requirements)
    for _ in sys.stdin:
        began = time.perf_counter()
        found = trip()
        taken = time.perf_counter() - began
        if not np.array_equal(predict_rows(found, dataset.rows, strategy), expected):
            raise RuntimeError("the model that came back is not the one that was logged")
        print(taken, file=told, flush=True)


def _ours(
    model: FittedModel, example: pl.DataFrame, strategy: Strategy
) -> Callable[[], FittedModel]:
    import mlflow

    client = mlflow.MlflowClient()
    trained: Any = SimpleNamespace(model=model, input_example=example)

    def trip() -> FittedModel:
        with mlflow.start_run() as run:
            made = tracking._register(client, trained, strategy, run.info, {})
        return load_model(f"models:/{made.name}/{made.version}", strategy.model)

    return trip


def _plain(
    model: FittedModel, strategy: Strategy, requirements: list[str] | None
) -> Callable[[], FittedModel]:
    import mlflow.lightgbm

    def trip() -> FittedModel:
        with mlflow.start_run():
            made = mlflow.lightgbm.log_model(
                model.native, registered_model_name=strategy.name, pip_requirements=requirements
            )
        address = f"models:/{strategy.name}/{made.registered_model_version}"
        found: FittedModel = mlflow.lightgbm.load_model(address)
        return found

    return trip


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Imports what tasks of research need once, in a worker's parent, before it forks its pool.

Airflow runs each task in a process of its own, forked by a child of the worker. All of them share
what the parent has imported; else every task would spend seconds on imports.

A module belongs here if its import starts no thread that a forked process would miss. Arrow, polars
and Delta each bring a jemalloc, which handles its own threads. The pools of polars, Arrow and
OpenMP begin with the first call, which nothing here makes. BLAS has no pool where
`OPENBLAS_NUM_THREADS` is 1, as in ``config/``. Nor may a module keep a state that two tasks must
not share: NumPy's global generator is seeded anew in each task.
"""

import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["MODULES", "connect_warm_up", "import_or_warn", "warm_up"]

MODULES = (
    "airflow.dag_processing.bundles.local",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.decorators",
    "tradewind.orchestration.dags.bundle",
    "tradewind.orchestration.runtime.coordinator",
    "git",
    "mlflow",
    "mlflow.lightgbm",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "pandas",
    "polars",
    "scipy.stats",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "lightgbm",
    "pandera.polars",
    "exchange_calendars",
    "deltalake",
    "optuna",
    "skfolio.model_selection",
    "matplotlib.figure",
    "tradewind.market.ingest",
    "tradewind.market.validation.validate",
    "tradewind.registry.monitoring",
    "tradewind.registry.promotion",
    "tradewind.registry.retrieval",
    "tradewind.registry.tracking",
    "tradewind.research.statistics.inference",
    "tradewind.research.monitoring.monitor",
    "tradewind.research.trials.sweep",
    "tradewind.research.tearsheet.page",
    "tradewind.research.training",
    "tradewind.trading.signals",
)

log = logging.getLogger(__name__)


def _fit_once() -> None:
    """Fit a line to a pandas frame and describe it to MLflow, which does their first-time work.

    scikit-learn, MLflow and SciPy import some of their modules only at such a first call.
    """
    from mlflow.models import infer_signature
    from pandas import DataFrame
    from sklearn.linear_model import LinearRegression

    frame = DataFrame({"x": [0.0, 1.0]})
    LinearRegression().fit(frame, frame["x"])
    infer_signature(frame, frame["x"])


@contextmanager
def _or_warn(doing: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - anything may happen in a module of a user
        log.warning(
            "%s failed before tasks are forked (%s: %s): each task does it anew",
            doing, type(error).__name__, error,
        )  # fmt: skip


def import_or_warn(module: str) -> None:
    """Import a module; if that fails, log why, and leave the error to the module's users."""
    with _or_warn(f"importing {module}"):
        importlib.import_module(module)


def warm_up() -> None:
    """Import `MODULES`, and those that the user names, and use some of them once."""
    from tradewind.settings import load_settings

    for module in (*MODULES, *load_settings().worker_modules.replace(",", " ").split()):
        import_or_warn(module)
    with _or_warn("fitting a line"):
        _fit_once()


def connect_warm_up() -> None:
    """Warm up once, before the worker of this process, if it is one, forks its pool."""
    from celery.signals import worker_init

    worker_init.connect(_begin, weak=False, dispatch_uid="tradewind.warm_up")


def _begin(**_: object) -> None:
    from celery.signals import worker_ready

    warm_up()
    os.register_at_fork(after_in_child=_seed_anew)
    # Once the pool is forked, Airflow unfreezes the garbage collector, which would write to each
    # imported page and so end its sharing. This handler is connected after Airflow's.
    worker_ready.connect(_keep_shared, weak=False, dispatch_uid="tradewind.keep_shared")


def _seed_anew() -> None:
    if "numpy.random" in sys.modules:  # no fork has it: a later import gets fresh numbers
        sys.modules["numpy.random"].seed()


def _keep_shared(**_: object) -> None:
    gc.freeze()

"""What a user asks of a running stack: train a strategy, look at its models, predict.

The one place that takes logins from the stack and gives them to the clients of Airflow and MLflow.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from tradewind.errors import OrchestrationError, StackError, StrategyError
from tradewind.settings import Settings
from tradewind.stack.doctor import Check
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets
from tradewind.stack.state import read_state

if TYPE_CHECKING:
    from tradewind.orchestration.client import AirflowClient, DagRun
    from tradewind.registry.comparison import Comparison
    from tradewind.registry.promotion import Promotion
    from tradewind.registry.reproduction import Reproduction
    from tradewind.registry.versions import ModelSummary, VersionInfo

__all__ = [
    "Forecast",
    "check_strategies",
    "compare",
    "models",
    "predict",
    "promote",
    "reproduce",
    "rollback",
    "train",
    "trigger",
    "versions",
]

NEW_DAG_TIMEOUT = 60.0  # seconds; Airflow looks for new files every 10


@dataclass(frozen=True)
class Forecast:
    """Predictions of a registered model for the last session of its source.

    `predictions` are forward returns over `horizon` sessions, by symbol.
    """

    strategy: str
    version: int
    alias: str
    session: date
    horizon: int
    predictions: Mapping[str, float]


def trigger(settings: Settings, strategy: str) -> str:
    """Start a training of a strategy and return the id of its run.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    OrchestrationError
        If Airflow is out of reach or does not know the strategy.
    """
    _require_strategy(settings, strategy)
    with _airflow(settings) as client:
        return _trigger_when_known(client, f"train_{strategy}")


def train(
    settings: Settings,
    strategy: str,
    on_change: Callable[[Mapping[str, str]], None] | None = None,
    *,
    timeout: float = 1800.0,
) -> "DagRun":
    """Train a strategy through Airflow and wait for the end.

    Parameters
    ----------
    settings : Settings
    strategy : str
    on_change : callable, optional
        Called with the state of each task, by name, as they change.
    timeout : float
        Seconds.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    OrchestrationError
        If the run fails, or Airflow is out of reach or does not know the strategy.
    """
    _require_strategy(settings, strategy)
    with _airflow(settings) as client:
        run_id = _trigger_when_known(client, f"train_{strategy}")
        return client.wait(f"train_{strategy}", run_id, on_change=on_change, timeout=timeout)


def models(settings: Settings) -> "list[ModelSummary]":
    """Return the registered models."""
    from tradewind.registry.versions import list_models

    _use_mlflow(settings)
    return list_models()


def versions(settings: Settings, name: str) -> "list[VersionInfo]":
    """Return the versions of a model, newest first."""
    from tradewind.registry.versions import show_model

    _use_mlflow(settings)
    return show_model(name)


def compare(settings: Settings, name: str, version_a: int, version_b: int) -> "Comparison":
    """Compare two versions of a model."""
    from tradewind.registry.comparison import compare as compare_versions

    _use_mlflow(settings)
    return compare_versions(name, version_a, version_b)


def promote(
    settings: Settings, name: str, version: int, *, reason: str, by: str, override: str | None
) -> "Promotion":
    """Make a version the champion.

    Raises
    ------
    PromotionError
        If the gate refused it and nothing overrides that, or nothing may.
    RegistryError
        If there is no such version, or MLflow is out of reach.
    """
    from tradewind.registry.promotion import promote as promote_version

    _use_mlflow(settings)
    return promote_version(name, version, reason=reason, by=by, override=override)


def rollback(settings: Settings, name: str, *, reason: str, by: str) -> "Promotion":
    """Make the former champion the champion again.

    Raises
    ------
    RegistryError
        If there is none, or MLflow is out of reach.
    """
    from tradewind.registry.promotion import rollback as roll_back

    _use_mlflow(settings)
    return roll_back(name, reason=reason, by=by)


def reproduce(
    settings: Settings, name: str, version: int, on_fold: Callable[[int, int], None] | None = None
) -> "Reproduction":
    """Train a version once more from what was recorded, and compare.

    Raises
    ------
    TradewindError
        If a part of the record is gone, or the running code cannot train the strategy.
    """
    from tradewind.market.store import BarStore
    from tradewind.registry.reproduction import reproduce as train_again

    _use_mlflow(settings)
    store = BarStore(settings.market_store)
    return train_again(name, version, store.read, home=settings.home, on_fold=on_fold)


def predict(settings: Settings, strategy: str, alias: str = "champion") -> Forecast:
    """Predict the last session with the model that carries the alias.

    Raises
    ------
    RegistryError
        If there is no such model, or MLflow is out of reach.
    MarketDataError
        If its source cannot give bars, or they break a rule.
    """
    from tradewind.market.source import find_source, open_source
    from tradewind.market.validate import check
    from tradewind.registry.retrieval import load_registered
    from tradewind.research.predict import predict as predict_bars

    _use_mlflow(settings)
    model = load_registered(strategy, alias)
    universe = model.strategy.universe
    source = open_source(find_source(universe.source, settings.sources_dir))
    bars = source.load(universe.symbols)
    check(bars, universe.calendar)
    rows = predict_bars(model.model, bars, model.strategy, sessions=1)
    return Forecast(
        strategy=strategy,
        version=model.info.version,
        alias=alias,
        session=rows["session"][0],
        horizon=model.strategy.horizon,
        predictions=dict(zip(rows["symbol"], rows["prediction"], strict=True)),
    )


def check_strategies(settings: Settings) -> list[Check]:
    """Check every strategy file."""
    from tradewind.research.strategy_files import load_strategies

    good, bad = load_strategies(settings.strategies_dir)
    return [
        *(Check(f"strategy {name}") for name in good),
        *(Check(f"strategy {p.stem}", str(error), f"mend {p}") for p, error in bad.items()),
    ]


def _require_strategy(settings: Settings, strategy: str) -> None:
    from tradewind.research.strategy_files import load_strategies

    good, bad = load_strategies(settings.strategies_dir)
    for path, error in bad.items():
        if path.stem == strategy:
            raise error
    if strategy not in good:
        raise StrategyError(
            f"no strategy {strategy!r} in {settings.strategies_dir}. There are: "
            f"{', '.join(sorted(good)) or 'none'}"
        )


def _trigger_when_known(client: "AirflowClient", dag_id: str) -> str:
    deadline = time.monotonic() + NEW_DAG_TIMEOUT
    while not client.dag_exists(dag_id):
        if time.monotonic() > deadline:
            errors = "; ".join(f"{e.filename}: {e.stack_trace}" for e in client.import_errors())
            raise OrchestrationError(
                f"Airflow has not found {dag_id} after {NEW_DAG_TIMEOUT:g} s. "
                f"{errors or 'See `tradewind logs airflow-dag-processor`'}"
            )
        time.sleep(0.5)
    return client.trigger(dag_id)


def _require_running(settings: Settings) -> None:
    state = read_state(Layout(settings.state))
    if state is None or not state.supervised():
        raise StackError("the stack is not running: tradewind up --detach")


def _airflow(settings: Settings) -> "AirflowClient":
    from tradewind.orchestration.client import AirflowClient

    _require_running(settings)
    password = load_secrets(Layout(settings.state)).airflow_admin
    return AirflowClient(settings.airflow_url, "admin", password)


def _use_mlflow(settings: Settings) -> None:
    _require_running(settings)
    os.environ.update(
        MLFLOW_TRACKING_URI=settings.mlflow_url,
        MLFLOW_TRACKING_USERNAME="admin",
        MLFLOW_TRACKING_PASSWORD=load_secrets(Layout(settings.state)).mlflow_admin,
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    )

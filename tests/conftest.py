"""A real training, to be handed to a real MLflow server."""

import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tests.postgres import running_postgres
from tradewind.market.sources import sample
from tradewind.market.store.bar_store import BarStore
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train


@dataclass(frozen=True)
class Training:
    """A training of a small strategy on real prices."""

    strategy: Strategy
    snapshot_id: str
    store: BarStore
    result: TrainingResult


def pytest_configure() -> None:
    # Who runs out of patience sends SIGTERM: what runs is stopped, and what failed is told.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def _mlflow_imported() -> None:
    """Import MLflow once, past the warnings of its own modules about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.lightgbm
        import mlflow.models
        import mlflow.pyfunc.model  # noqa: F401


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    strategy = Strategy.model_validate(
        {
            "name": "small",
            "description": "Small enough for a test.",
            "universe": {"source": "sample", "symbols": ["AAPL", "IBM", "MSFT"]},
            "horizon": 5,
            "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
            "model": {"kind": "lightgbm", "rounds": 10},
            "walk_forward": {"train": 756, "test": 504},
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            "seed": 7,
        }
    )
    bars = sample.load(strategy.universe.symbols)
    store = BarStore(tmp_path_factory.mktemp("market"))
    read_at = datetime(2013, 3, 2, tzinfo=UTC)
    store.append("sample", bars, known_at=read_at, calendar=strategy.universe.calendar)
    snapshot_id = store.snapshot(
        "sample", strategy.universe.symbols, calendar=strategy.universe.calendar
    )
    return Training(strategy, snapshot_id, store, train(store.read(snapshot_id), strategy))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a database that this session's tests share, as its owner."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server.url

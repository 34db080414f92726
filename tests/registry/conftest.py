"""A real MLflow server, and a real training to hand it."""

import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tradewind.market.sources import load_bars
from tradewind.market.store import write_snapshot
from tradewind.research.strategy import Strategy
from tradewind.research.training import TrainingResult, train

if TYPE_CHECKING:
    from mlflow import MlflowClient

START_SECONDS = 120


@dataclass(frozen=True)
class Training:
    """A training of a small strategy on real prices."""

    strategy: Strategy
    snapshot_id: str
    snapshots_dir: Path
    result: TrainingResult


@pytest.fixture(scope="session")
def _mlflow_imported() -> None:
    """Import MLflow once, past the warnings of its own modules about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.lightgbm
        import mlflow.models
        import mlflow.pyfunc.model  # noqa: F401


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")},
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    log = home / "server.log"
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=environment, cwd=home, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture
def mlflow_url(_mlflow_imported: None, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return mlflow_server


@pytest.fixture
def client(mlflow_url: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(mlflow_url)


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
    bars = load_bars("sample", strategy.universe.symbols)
    snapshots_dir = tmp_path_factory.mktemp("snapshots")
    snapshot_id = write_snapshot(bars, snapshots_dir)
    return Training(strategy, snapshot_id, snapshots_dir, train(bars, strategy))

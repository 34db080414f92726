"""One whole training, from its trigger to its verdict: what is not the work itself.

The work is the same steps, one after the other in one plain Python process. It has imported what
they need before the clock starts, as a worker has, and knows no orchestrator.
"""

import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from benchmarks.ours import running
from benchmarks.table import AtMost, Row, row
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack, make_stack
from tests.support import wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets
from tradewind.stack.services import services

STRATEGY = "momentum"
DAG_ID = f"train_{STRATEGY}"


def measure(quick: bool) -> list[Row]:
    """Return the rows of the table."""
    walls, works = [], []
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "checkout")
        with running(stack) as airflow:
            environment = _worker_environment(stack)
            wait_until(lambda: airflow.http.get(f"/api/v2/dags/{DAG_ID}").is_success, 120)
            _through_airflow(airflow)  # stores the bars, which later ones find
            for _ in range(1 if quick else 5):
                wall, trained = _through_airflow(airflow)
                work, alone = _alone(environment)
                _agree(environment, trained, alone)
                walls.append(wall)
                works.append(work)
    overhead = [wall - work for wall, work in zip(walls, works, strict=True)]
    return [
        row(5, "training, trigger to end", "s", {"ours": walls, "its steps alone": works}),
        row(5, "training, what is not its steps", "s", {"ours": overhead}, [AtMost(3.0)]),
    ]


def _through_airflow(airflow: Airflow) -> tuple[float, str]:
    """Return seconds, and the MLflow run."""
    asked = time.time()
    run_id = airflow.trigger(DAG_ID)
    state, states = airflow.finished(DAG_ID, run_id)
    if state != "success":
        raise RuntimeError(f"{DAG_ID} ended as {state}: {states}")
    ended = airflow.get(f"/dags/{DAG_ID}/dagRuns/{run_id}")["end_date"]
    trained = airflow.returned(DAG_ID, run_id, "train")
    return datetime.fromisoformat(ended).timestamp() - asked, trained["run_id"]


def _alone(environment: dict[str, str]) -> tuple[float, str]:
    """Return seconds, and the MLflow run."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["run_id"]


def _worker_environment(stack: Stack) -> dict[str, str]:
    layout = Layout(stack.settings.state)
    listed = services(stack.settings, layout, load_secrets(layout))
    worker = next(each for each in listed if each.name == "airflow-worker-1")
    return dict(worker.environment)


def _agree(environment: dict[str, str], *run_ids: str) -> None:
    from mlflow import MlflowClient

    login = {name: value for name, value in environment.items() if name.startswith("MLFLOW")}
    with patch.dict("os.environ", login):
        client = MlflowClient()
        first, *others = (client.get_run(run_id).data.metrics for run_id in run_ids)
    if any(other != first for other in others):
        raise ValueError(f"the trainings do not agree: {first}, {others}")


def main() -> None:
    """Do the work in this process, and print how long it took."""
    from tradewind.orchestration.steps import training
    from tradewind.research.strategy.files import load_strategies
    from tradewind.settings import load_settings
    from tradewind.workers.warm import warm_up

    warm_up()
    strategy = load_strategies(load_settings().strategies_dir)[0][STRATEGY]
    context: dict[str, Any] = {
        "dag_run": SimpleNamespace(
            dag_id=DAG_ID, run_id=f"alone {time.time()}", run_type="manual", logical_date=None
        ),
        "ti": SimpleNamespace(task_id="train", xcom_pull=lambda **_: None),
    }
    with patch("airflow.sdk.get_current_context", lambda: context):
        began = time.perf_counter()
        trained = training.train(strategy, training.ingest(strategy))
        name, version = trained["name"], trained["version"]
        if training.judge(name, version):
            training.promote(name, version)
        training.verify(name, version)
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "run_id": trained["run_id"]}))


if __name__ == "__main__":
    main()

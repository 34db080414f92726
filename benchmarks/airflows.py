"""Ours and stock Airflow side by side, with the same DAG file."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from benchmarks.ours import running
from benchmarks.stock import stock_airflow, stores
from benchmarks.timing import Timed
from tests.stack.airflow import Airflow, login
from tests.stack.conftest import make_stack
from tests.support import wait_until

__all__ = ["FLOWS", "Timer", "airflows"]

FLOWS = Path(__file__).with_name("flows")
FILES = ("airflow_flows.py", "work.py")


@dataclass(frozen=True)
class Timer:
    """Runs DAGs of one Airflow."""

    airflow: Airflow

    def run(self, dag_id: str, last: str) -> Timed:
        """Run a DAG; its result is what its last task returns."""
        asked = time.time()
        run_id = self.airflow.trigger(dag_id)
        state, states = self.airflow.finished(dag_id, run_id)
        if state != "success":
            raise RuntimeError(f"{dag_id} ended as {state}: {states}")
        kept = self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}")
        began, ended = (
            datetime.fromisoformat(kept[name]).timestamp() for name in ("start_date", "end_date")
        )
        return Timed(asked, began, ended, self.airflow.returned(dag_id, run_id, last))


@contextmanager
def airflows() -> Iterator[dict[str, Timer]]:
    """Start both; yield them by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's user passes through
        with _ours(folder / "ours") as ours, _stock(folder / "stock") as stock:
            found = {"ours": ours, "stock Airflow": stock}
            for timer in found.values():
                _wait_for_dags(timer.airflow)
            yield found


@contextmanager
def _ours(folder: Path) -> Iterator[Timer]:
    stack = make_stack(folder)
    _copy_flows(folder / "dags")
    with running(stack) as airflow:
        yield Timer(airflow)


@contextmanager
def _stock(folder: Path) -> Iterator[Timer]:
    _copy_flows(folder / "dags")
    with (
        stores(folder) as kept,
        stock_airflow(folder / "airflow", kept, folder / "dags") as stock,
        login(stock.address, stock.user, stock.password) as airflow,
    ):
        yield Timer(airflow)


def _copy_flows(dags: Path) -> None:
    dags.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(FLOWS / name, dags)


def _wait_for_dags(airflow: Airflow) -> None:
    for dag_id in ("chain", "fan", "latency"):
        wait_until(partial(airflow.knows, dag_id), 300)

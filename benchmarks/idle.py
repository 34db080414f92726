"""What an idle stack takes of memory and of a core; beside stock Airflow and MLflow.

Memory is the proportional set size: a page that processes share is counted once. The stock systems
have the same PostgreSQL and Redis beside them, but no trading worker and no strategies.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.airflows import FLOWS
from benchmarks.ours import running
from benchmarks.servers import families
from benchmarks.stock import stock_airflow, stock_mlflow, stores
from benchmarks.table import AtMost, Row, Times, row
from tests.stack.conftest import make_stack
from tradewind.stack.processes import proportional_memory

STOCK = "stock Airflow + MLflow"
SETTLING = 30.0  # seconds; what a start leaves to be done is done by then
WINDOW = 60.0  # seconds

Pids = Callable[[], list[int]]


def measure(quick: bool) -> list[Row]:
    """Return the rows of the table."""
    memory: dict[str, list[float]] = {"ours": [], STOCK: []}
    busy: dict[str, list[float]] = {"ours": [], STOCK: []}
    for _ in range(1 if quick else 3):
        for who, start in (("ours", _ours), (STOCK, _stock)):
            with tempfile.TemporaryDirectory() as name, start(_passable(name)) as pids:
                time.sleep(SETTLING)
                busy[who].append(100 * _share_of_a_core(pids, WINDOW))
                memory[who].append((proportional_memory(pids()) or 0) / 1e9)
    return [
        row(8, "idle memory of all services", "GB", memory, [AtMost(1.4), Times(STOCK, 2.5)]),
        row(9, "idle CPU of all services, of one core", "%", busy, [AtMost(10.0)]),
    ]


@contextmanager
def _ours(folder: Path) -> Iterator[Pids]:
    stack = make_stack(folder / "checkout")
    with running(stack):
        supervisor = stack.service("supervisor")["pid"]
        yield lambda: families([supervisor])


@contextmanager
def _stock(folder: Path) -> Iterator[Pids]:
    with (
        stores(folder) as kept,
        stock_airflow(folder / "airflow", kept, FLOWS) as airflow,
        stock_mlflow(folder / "mlflow", kept) as mlflow,
    ):
        yield lambda: [*kept.pids(), *airflow.pids(), *mlflow.pids()]


def _passable(name: str) -> Path:
    folder = Path(name)
    folder.chmod(0o755)  # PostgreSQL's user passes through
    return folder


def _share_of_a_core(pids: Pids, seconds: float) -> float:
    before, began = _cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return (_cpu_seconds(pids) - before) / (time.monotonic() - began)


def _cpu_seconds(pids: Pids) -> float:
    """Return what all have used; the dead are counted by their parents, who waited for them."""
    total = 0.0
    for pid in pids():
        try:
            total += sum(psutil.Process(pid).cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total

"""A chain of 8 tasks that use MLflow, scikit-learn and pandas; beside stock Airflow and Prefect.

Prefect runs it as its users first do: a local server, and the flow served by a process that starts
one more a run (``flow.serve``), all with their defaults. That process asks for work every ten
seconds, which is in its seconds from the trigger, and not in those of its own records.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.airflows import FLOWS, airflows
from benchmarks.servers import servers
from benchmarks.table import Row, Times
from benchmarks.timing import Timed, in_turn
from tests.support import free_ports, wait_until

GOALS = (Times("stock Airflow", 20.0), Times("Prefect", 1.0))


def measure(quick: bool) -> list[Row]:
    """Return the rows of the table; the quick ones are without Prefect."""
    with ExitStack() as until_the_end:
        both = until_the_end.enter_context(airflows())
        systems: dict[str, Callable[[], Timed]] = {
            who: partial(timer.run, "chain", "step__7") for who, timer in both.items()
        }
        if not quick:
            systems["Prefect"] = until_the_end.enter_context(prefect()).run
        return in_turn(1, "chain of 8 tasks", systems, GOALS, quick=quick)


@dataclass(frozen=True)
class Served:
    """The flow, served by a process that waits for runs."""

    http: httpx.Client
    deployment: str
    result: Path

    def run(self) -> Timed:
        """Run it."""
        asked = time.time()
        made = self.http.post(f"/deployments/{self.deployment}/create_flow_run", json={})
        path = f"/flow_runs/{made.raise_for_status().json()['id']}"
        wait_until(lambda: self._get(path)["end_time"], 300, of=lambda: self._get(path))
        kept = self._get(path)
        if kept["state_type"] != "COMPLETED":
            raise RuntimeError(f"Prefect's run: {kept['state']}")
        began, ended = (
            datetime.fromisoformat(kept[name]).timestamp() for name in ("start_time", "end_time")
        )
        return Timed(asked, began, ended, float(self.result.read_text()))

    def _get(self, path: str) -> dict[str, Any]:
        return self.http.get(path).raise_for_status().json()


@contextmanager
def prefect() -> Iterator[Served]:
    """Start Prefect's server and the process that serves the flow, and end them."""
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = f"http://127.0.0.1:{port}/api"
        given = {
            "PREFECT_HOME": name,
            "PREFECT_API_URL": address,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "BENCHMARK_RESULT": str(folder / "result"),
        }
        with (
            servers("prefect", folder, given) as found,
            httpx.Client(base_url=address, timeout=60) as http,
        ):
            found.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
            wait_until(lambda: _is_there(http, "/health"), 120, of=lambda: folder)
            found.start("python", str(FLOWS / "prefect_chain.py"))
            deployment = "/deployments/name/chain/benchmark"
            wait_until(lambda: _is_there(http, deployment), 120, of=lambda: folder)
            yield Served(http, http.get(deployment).json()["id"], folder / "result")


def _is_there(http: httpx.Client, path: str) -> bool:
    try:
        return http.get(path).is_success
    except httpx.HTTPError:
        return False

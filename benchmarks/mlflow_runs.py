"""Row 6: runs a second that MLflow takes in, with login on, and what it weighs meanwhile.

A run is three requests, those of MLflow's client (create, one batch of 200 metrics and 10
parameters, end), sent by threads of one process over connections that stay.
"""

import base64
import http.client
import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from benchmarks.mlflow_servers import MlflowServer, both, peak_memory
from benchmarks.table import AtMost, Row, Times, row

__all__ = ["measure"]

NAMES = [f"m{number:03d}" for number in range(200)]
METRICS = [{"key": key, "value": at / 7, "timestamp": 1, "step": 0} for at, key in enumerate(NAMES)]
PARAMS = [{"key": f"p{number}", "value": str(number)} for number in range(10)]


class Client:
    """One of those who log runs: a login and a connection."""

    def __init__(self, server: MlflowServer) -> None:
        at = urlsplit(server.address).netloc
        self._connection = http.client.HTTPConnection(at, timeout=120)
        login = base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}

    def ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Send a request to ``/api/2.0/mlflow`` and return its answer."""
        data = None if body is None else json.dumps(body)
        self._connection.request(verb, f"/api/2.0/mlflow/{path}", data, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {answer[:500]!r}")
        return json.loads(answer)

    def log_run(self) -> str:
        """Log a whole run and return its id."""
        made = self.ask("POST", "runs/create", {"experiment_id": "0", "start_time": 1})
        run_id: str = made["run"]["info"]["run_id"]
        batch = {"run_id": run_id, "metrics": METRICS, "params": PARAMS}
        self.ask("POST", "runs/log-batch", batch)
        end = {"run_id": run_id, "status": "FINISHED", "end_time": 2}
        self.ask("POST", "runs/update", end)
        return run_id

    def warm_up(self) -> None:
        """Log a run, and hang up: a server ends connections that wait for slower clients."""
        self.log_run()
        self._connection.close()

    def log_runs(self, until: float) -> int:
        """Log runs until a time of the clock, at least one, and return how many."""
        count = 0
        while count == 0 or time.perf_counter() < until:
            self.log_run()
            count += 1
        return count


def runs_a_second(server: MlflowServer, clients: int, seconds: float) -> float:
    """Let clients log runs side by side, whose login the server has seen before."""
    logging = [Client(server) for _ in range(clients)]
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(Client.warm_up, logging))
        began = time.perf_counter()
        counts = list(threads.map(lambda c: c.log_runs(began + seconds), logging))
        return sum(counts) / (time.perf_counter() - began)


def check(found: Iterable[MlflowServer]) -> None:
    """Refuse to time servers that give back different runs."""
    told = []
    for server in found:
        client = Client(server)
        run_id = client.log_run()
        run = client.ask("GET", f"runs/get?run_id={run_id}")["run"]
        history = client.ask("GET", f"metrics/get-history?run_id={run_id}&metric_key={NAMES[9]}")
        data = run["data"]
        for each in ("metrics", "params"):
            data[each].sort(key=lambda entry: entry["key"])
        data["tags"] = [tag for tag in data["tags"] if tag["key"] != "mlflow.runName"]  # drawn
        kept = {"status", "start_time", "end_time", "lifecycle_stage", "experiment_id", "user_id"}
        info = {name: value for name, value in run["info"].items() if name in kept}
        told.append((info, data, history))
    if any(each != told[0] for each in told):
        raise RuntimeError(f"what was logged is not what is read back: {told}")


def measure(quick: bool) -> list[Row]:
    """Measure both servers in turn."""
    counts, rounds, seconds = ((16,), 1, 6.0) if quick else ((1, 8, 16, 32), 5, 10.0)
    rows = []
    with both() as servers:
        check(servers.values())
        memory: dict[str, list[float]] = {who: [] for who in servers}
        for clients in counts:
            rates: dict[str, list[float]] = {who: [] for who in servers}
            for _ in range(rounds):
                for who, server in servers.items():
                    with peak_memory(server, memory[who]):
                        rates[who].append(runs_a_second(server, clients, seconds))
            name = f"MLflow runs, {clients} client{'s' * (clients > 1)}"
            rows.append(row(6, name, "1/s", rates, [Times("stock", 4.0)], more_is_better=True))
    peaks = {who: [max(seen)] for who, seen in memory.items()}
    return [*rows, row(6, "MLflow's memory meanwhile, peak", "MiB", peaks, [AtMost(700.0)])]

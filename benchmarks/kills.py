"""Services killed at random moments while everything is busy, and what is left of it.

Run from the checkout: ``python -m benchmarks.kills``, or ``make campaign``.

Trainings, sweeps, bars that become orders and fills, runs of MLflow and tasks of trading workers go
on at once, each begun again when it has ended, through clients that wait as `train --wait` does.
Meanwhile one service after the other is killed: all its processes, its first one, or any one of
them. In the end whatever was acknowledged must be there, once; nothing may be stuck; and nobody has
mended anything. `--seed` draws the same services and moments again. With `--idle` each service is
killed in turn while nothing else goes on, which says how long it takes by itself.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests import sessions
from tests.stack.airflow import Airflow
from tests.stack.conftest import DAGS, STRUCK, Stack, commit, lay_struck, make_stack
from tests.support import wait_until
from tradewind.desk.airflow_client import AirflowClient
from tradewind.errors import OrchestrationError
from tradewind.stack.layout import Layout
from tradewind.stack.processes import session_members
from tradewind.stack.secrets import load_secrets
from tradewind.stack.state import ServiceState, read_state

__all__ = ["Campaign", "Found", "Kill", "main", "prepare", "run"]

PATIENCE = 600.0
TRAINED = (STRUCK["momentum"], STRUCK["noise"])
SWEPT = STRUCK["swept"]
TRIALS = 16
METRICS = 50


@dataclass(frozen=True)
class Kill:
    """A kill, and how long the service took to be healthy again."""

    service: str
    what: str
    at: float
    seconds: float


@dataclass
class Found:
    """What was done meanwhile, and what is wrong with it in the end."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class _Patient(httpx.HTTPTransport):
    """Asks again while Airflow or its database is away."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(httpx.TransportError):
                response = super().handle_request(request)
                if response.status_code < 500 and response.status_code not in {401, 429}:
                    return response
                response.close()
            if time.monotonic() > deadline:
                raise httpx.ConnectError(f"{request.url} was asked for {PATIENCE:g} s")
            time.sleep(1)


class Campaign:
    """Everything that goes on at once on a stack, and who kills its services.

    Parameters
    ----------
    stack : Stack
        Running, and made by `prepare`.
    seed : int
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.found = Found()
        self._layout = Layout(stack.settings.state)
        self._secrets = load_secrets(self._layout)
        self._draw = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._over = threading.Event()
        self._began = datetime.now(UTC)
        self._traded = 0
        self._runs: list[tuple[str, str]] = []
        self._logged: dict[str, int] = {}
        self._lock = threading.Lock()

    def client(self) -> AirflowClient:
        """Return a client that waits through restarts."""
        return AirflowClient(
            self.stack.settings.airflow_url, "admin", self._secrets.airflow_admin,
            patience=PATIENCE,
        )  # fmt: skip

    def airflow(self) -> Airflow:
        """Return the tests' session, as patient."""
        with self.client() as client:
            client.import_errors()
            token = client._session._token
        return Airflow(
            httpx.Client(
                base_url=self.stack.settings.airflow_url, timeout=60, transport=_Patient(),
                headers={"Accept": "application/json", "Authorization": f"Bearer {token}"},
            )
        )  # fmt: skip

    def work(self, kills: Callable[[], list[Kill]], traded: int) -> list[Kill]:
        """Keep everything busy until the kills are done and what was begun has ended."""
        tasks: list[Callable[[], object]] = [
            *(lambda name=name: self._again_and_again(f"train_{name}") for name in TRAINED),
            lambda: self._again_and_again(f"train_{SWEPT}"),
            lambda: self._again_and_again("remote"),
            self._log,
        ]
        if traded:
            tasks.append(partial(sessions.play, self.airflow(), self.stack.home, traded))
        with ThreadPoolExecutor(len(tasks)) as pool:
            working = [pool.submit(self._guarded, task) for task in tasks]
            try:
                done = kills()
            finally:
                self._over.set()
            for each in working:
                each.result()
        self._traded = self.found.done["sessions traded"] = traded
        return done

    def goes_on(self) -> bool:
        """Tell whether nobody who works has failed."""
        return not self._over.is_set()

    def _guarded(self, task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException:
            self._over.set()  # a campaign in which something is idle shows less than it says
            raise

    def kill(self, pause: tuple[float, float]) -> Kill:
        """Kill a service, or one of its processes, and wait until it is healthy, and a while."""
        name = self._draw.choice(self.killable())
        done = self.strike(name, self._draw.choice(("all", "the first", "any")))
        time.sleep(self._draw.uniform(*pause))
        return done

    def killable(self) -> list[str]:
        """Return the names of the services that run."""
        services = self._services().items()
        return sorted(name for name, each in services if each.pid is not None and not each.step)

    def strike(self, name: str, what: str) -> Kill:
        """Kill all processes of a service, its first one, or any, and wait until it is healthy."""
        pid = self._services()[name].pid
        if pid is None:
            raise AssertionError(f"{name} does not run")
        members = session_members([pid])[pid] or [pid]
        at = time.time()
        with suppress(ProcessLookupError):
            if what == "all":
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid if what == "the first" else self._draw.choice(members), signal.SIGKILL)
        return Kill(name, what, at, self._until_healthy(name, pid, what, at))

    def _until_healthy(self, name: str, pid: int, what: str, at: float) -> float:
        """Return after how many seconds a service is well; any one of its processes may do."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            record = self._services()[name]
            gone = record.pid != pid or (what == "any" and psutil.pid_exists(pid))
            if record.state == "healthy" and gone:
                return time.time() - at
            time.sleep(0.1)
        raise AssertionError(f"{name} is not healthy: {record}")

    def _services(self) -> dict[str, ServiceState]:
        state = read_state(self._layout)
        if state is None:
            raise AssertionError(f"no state of a stack in {self._layout.root}")
        return state.services

    def _again_and_again(self, dag_id: str) -> None:
        with self.client() as client:
            wait_until(lambda: client.dag_exists(dag_id), 600)
            while not self._over.is_set():
                run_id = client.trigger(dag_id)
                with self._lock:
                    self._runs.append((dag_id, run_id))
                try:
                    client.wait(dag_id, run_id, timeout=3600)
                except OrchestrationError as error:
                    with self._lock:
                        self.found.wrong.append(str(error))

    def _log(self) -> None:
        """Log runs to MLflow; what it acknowledges counts, and what it does not may be there."""
        deadline = time.monotonic() + PATIENCE
        with self._mlflow() as mlflow:
            # Four kills may all be over before MLflow has answered once.
            while not self._over.is_set() or (
                METRICS not in self._logged.values() and time.monotonic() < deadline
            ):
                with suppress(httpx.HTTPError):
                    run = _posted(mlflow, "runs/create", {"experiment_id": "0"})["run"]
                    run_id = str(run["info"]["run_id"])
                    self._logged[run_id] = 0
                    values = [
                        {"key": f"m{n}", "value": n, "timestamp": 0, "step": 0}
                        for n in range(METRICS)
                    ]
                    _posted(mlflow, "runs/log-batch", {"run_id": run_id, "metrics": values})
                    self._logged[run_id] = METRICS
                time.sleep(0.2)

    def _mlflow(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.stack.settings.mlflow_url}/api/2.0/mlflow",
            auth=("admin", self._secrets.mlflow_admin), timeout=60, trust_env=False,
        )  # fmt: skip

    def check(self) -> Found:
        """Look at everything that was acknowledged, and for what is stuck."""
        wait_until(lambda: self.stack.status()["healthy"], 300, of=self.stack.status)
        wait_until(lambda: not self._unfinished(), 300, of=self._unfinished)
        self._check_runs()
        self._check_versions()
        self._check_trials()
        self._check_logged()
        if self._traded:
            self._check_orders()
        return self.found

    def _check_orders(self) -> None:
        """Hold the book against the backtest, to the cent, and its orders against the broker's."""
        self.found.done["bookings"] = sessions.check_book(self.stack.rows)
        orders = "SELECT client_order_id FROM {}.orders ORDER BY 1"
        ours, theirs = (self.stack.rows(orders.format(name)) for name in ("trading", "paper"))
        self._expect("orders at the broker", theirs, ours)

    def _expect(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.found.wrong.append(f"{what}: {found!r}, not {wanted!r}")

    def _unfinished(self) -> list[Any]:
        return self.stack.rows(
            "SELECT dag_id, run_id, task_id, state, try_number FROM task_instance "
            "WHERE state IN ('queued', 'running', 'scheduled', 'deferred', 'up_for_retry') "
            "AND run_id = ANY(%s)",
            [run_id for _, run_id in self._runs], database="airflow",
        )  # fmt: skip

    def _check_runs(self) -> None:
        """Each run that was asked for is there, once, and so is none that was not."""
        asked = Counter(dag_id for dag_id, _ in self._runs)
        for dag_id, count in asked.items():
            rows = self.stack.rows(
                "SELECT run_id, state FROM dag_run WHERE dag_id = %s AND run_type = 'manual' "
                "AND queued_at >= %s",
                dag_id, self._began, database="airflow",
            )  # fmt: skip
            mine = {run_id for dag, run_id in self._runs if dag == dag_id}
            self._expect(f"runs of {dag_id}", {run_id for run_id, _ in rows}, mine)
            self.found.done[f"{dag_id} succeeded"] = sum(state == "success" for _, state in rows)
            self.found.done[f"{dag_id} asked for"] = count
        tries = self.stack.rows(
            "SELECT try_number, count(*) FROM task_instance WHERE run_id = ANY(%s) GROUP BY 1",
            [run_id for _, run_id in self._runs], database="airflow",
        )  # fmt: skip
        self.found.done.update({f"tasks done at try {n}": count for n, count in tries})

    def _check_versions(self) -> None:
        """Each training that succeeded has registered a version, and none has registered two."""
        for name in (*TRAINED, SWEPT):
            rows = self.stack.rows(
                "SELECT value, count(*) FROM model_version_tags "
                "WHERE name = %s AND key = 'tradewind.airflow.run_id' GROUP BY 1",
                name, database="mlflow",
            )  # fmt: skip
            self._expect(f"versions of {name} made twice", [r for r in rows if r[1] > 1], [])
            missing = self.found.done[f"train_{name} succeeded"] - len(rows)
            self._expect(f"versions of {name} missing", max(missing, 0), 0)
            self.found.done[f"versions of {name}"] = len(rows)

    def _check_trials(self) -> None:
        """Every study has its trials, all of them judged."""
        studies = self.stack.rows(
            "SELECT study_name, count(*), count(*) FILTER (WHERE state = 'COMPLETE') FROM trials "
            "JOIN studies USING (study_id) WHERE study_name LIKE %s GROUP BY 1",
            f"{SWEPT}-%",
            role="research",
        )
        self.found.done["studies"] = len(studies)
        for name, trials, complete in studies:
            self._expect(f"trials of {name}", (trials, complete), (TRIALS, TRIALS))

    def _check_logged(self) -> None:
        with self._mlflow() as mlflow:
            for run_id, metrics in self._logged.items():
                run = mlflow.get("runs/get", params={"run_id": run_id})
                kept = len(run.json()["run"]["data"].get("metrics", [])) if run.is_success else -1
                if kept < metrics:
                    self.found.wrong.append(f"run {run_id} has {kept} of {metrics} metrics")
        self.found.done["runs logged"] = len(self._logged)


def _posted(client: httpx.Client, path: str, content: dict[str, Any]) -> Any:  # noqa: ANN401
    response = client.post(path, json=content)
    response.raise_for_status()
    return response.json()


def prepare(stack: Stack) -> None:
    """Lay what is worked on into a stack's checkout."""
    lay_struck(stack.home)
    shutil.copy(DAGS / "remote.py", stack.home / "dags")


def run(
    stack: Stack,
    *,
    kills: int,
    seed: int,
    pause: tuple[float, float],
    traded: int,
    minutes: float = float("inf"),
) -> tuple[list[Kill], Found]:
    """Run a campaign on a stack that is up; return the kills, and what was found in the end."""
    campaign = Campaign(stack, seed)
    done: list[Kill] = []

    def struck() -> list[Kill]:
        ends = time.monotonic() + 60 * minutes
        while len(done) < kills and time.monotonic() < ends and campaign.goes_on():
            done.append(campaign.kill(pause))
            last = done[-1]
            print(f"{len(done)}. {last.service} ({last.what}): {last.seconds:.1f} s", flush=True)
        return done

    campaign.work(struck, traded)
    return done, campaign.check()


def strike_each(stack: Stack, rounds: int, seed: int) -> tuple[list[Kill], Found]:
    """Kill each service in turn on a stack that does nothing else."""
    campaign = Campaign(stack, seed)
    done: list[Kill] = []
    for _ in range(rounds):
        for name in campaign.killable():
            done.append(campaign.strike(name, "all"))
            print(f"{name}: {done[-1].seconds:.1f} s", flush=True)
            wait_until(lambda: stack.status()["healthy"], 300, of=stack.status)
    return done, Found()


def _table(kills: list[Kill], found: Found) -> str:
    by_service: dict[str, list[float]] = defaultdict(list)
    for kill in kills:
        by_service[kill.service].append(kill.seconds)
    lines = ["| service | kills | median s | slowest s |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {len(took)} | {statistics.median(took):.1f} | {max(took):.1f} |"
        for name, took in sorted(by_service.items())
    ]
    lines += ["", "| done meanwhile | |", "| --- | --- |"]
    lines += [f"| {what} | {count} |" for what, count in sorted(found.done.items())]
    lines += ["", *(f"WRONG: {each}" for each in found.wrong)]
    return "\n".join(lines) + "\n"


def _record(seed: int, seconds: int, kills: list[Kill], found: Found) -> str:
    whole = {
        "seed": seed,
        "seconds": seconds,
        "kills": [asdict(kill) for kill in kills],
        "done": dict(found.done),
        "wrong": found.wrong,
    }
    return json.dumps(whole, indent=2) + "\n"


def main() -> None:
    """Run it on a stack of its own, print it, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--idle", type=int, metavar="ROUNDS", help="each service, nothing else")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--pause", type=float, nargs=2, default=(2.0, 12.0), help="seconds between")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no kill after these")
    parser.add_argument("--sessions", type=int, default=10, help="traded meanwhile")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"))
    asked = parser.parse_args()
    print(f"--seed {asked.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "stack")
        prepare(stack)
        commit(stack.home)
        try:
            stack.ok("up", "--detach", timeout=1800)
            if asked.idle:
                kills, found = strike_each(stack, asked.idle, asked.seed)
            else:
                kills, found = run(
                    stack, kills=asked.kills, seed=asked.seed, pause=tuple(asked.pause),
                    traded=asked.sessions, minutes=asked.minutes,
                )  # fmt: skip
        finally:
            stack.run("down")
    text = f"# Kills\n\n{len(kills)} kills, seed {asked.seed}.\n\n{_table(kills, found)}"
    print(text)
    asked.results.mkdir(exist_ok=True)
    kind = "kills-idle" if asked.idle else "kills"
    at = asked.results / f"{kind}-{time.strftime('%Y-%m-%d')}"
    at.with_suffix(".md").write_text(text)
    seconds = round(time.monotonic() - began)
    at.with_suffix(".json").write_text(_record(asked.seed, seconds, kills, found))
    if found.wrong:
        sys.exit(f"{len(found.wrong)} are wrong: {found.wrong}")


if __name__ == "__main__":
    main()

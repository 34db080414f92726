"""A sweep of 1,000 trials through Airflow and Celery, beside a plain loop over the same trials.

The trials are those of ``strategies/ranker.yaml``, with test windows twice as long so that a run
takes minutes; each run draws others. The loop is a pool of two processes that read the same bars
from a store of their own, judge and return: no orchestrator, no database, no ledger. It has
imported what it needs before its clock starts, as a worker has. Neither runs beside the other.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.table import AtMost, Row, Times, row
from tests.stack.airflow import login
from tests.stack.conftest import Stack, commit, make_stack
from tradewind.market.ingest import ingest
from tradewind.market.sources.source import find_source, open_source
from tradewind.market.store.bar_store import BarStore
from tradewind.research.evaluation.dataset import Dataset, prepare
from tradewind.research.evaluation.walk_forward import score
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.parameter_sets import draw
from tradewind.workers.warm import warm_up

CORES = 2
LOOP = "plain loop"
SCORES = """
    SELECT value FROM trials JOIN trial_values USING (trial_id)
    WHERE study_id = (SELECT max(study_id) FROM studies) ORDER BY number
"""


class Ran(NamedTuple):
    """One way of running the trials: its wall clock in seconds, and what each trial scored."""

    wall: float
    scores: list[float]


def measure(quick: bool) -> list[Row]:
    """Return the wall clock of both, and how near it comes to the trials' own seconds of CPU."""
    trials = 60 if quick else 1_000
    walls: dict[str, list[float]] = {"ours": [], LOOP: []}
    shares: dict[str, list[float]] = {"ours": [], LOOP: []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's user passes through
        stack = make_stack(Path(folder) / "checkout")
        bars = _store_bars(stack.home, Path(folder) / "bars")
        for seed in range(1 if quick else 3):
            file = _write_strategy(stack.home / "strategies" / "ranker.yaml", trials, seed)
            commit(stack.home)
            loop, cpu = _loop(file, bars)
            ours = _sweep(stack)
            if len(ours.scores) != trials or ours.scores != loop.scores:
                raise ValueError(f"trials scored otherwise:\n{ours.scores}\n{loop.scores}")
            for who, wall in (("ours", ours.wall), (LOOP, loop.wall)):
                walls[who].append(wall)
                shares[who].append(wall * CORES / cpu)
    name = f"sweep of {trials:,} trials"
    return [
        row(4, name, "s", walls, [Times(LOOP, 1 / 1.25)]),
        row(4, f"{name}, wall / (the loop's CPU / cores)", "x", shares, [AtMost(1.15)]),
    ]


def _write_strategy(file: Path, trials: int, seed: int) -> Path:
    said: dict[str, Any] = yaml.safe_load(file.read_text())
    said["sweep"]["trials"] = trials
    said["walk_forward"]["test"] = 252
    said["seed"] = seed
    file.write_text(yaml.safe_dump(said))
    return file


def _store_bars(home: Path, root: Path) -> str:
    """Store the strategy's bars as its first task does, and return where: root and snapshot."""
    strategy = load_strategy(home / "strategies" / "ranker.yaml")
    universe, store = strategy.universe, BarStore(root)
    spec = find_source(universe.source, home / "sources")
    now = datetime.now(UTC)
    symbols = universe.symbols
    ingest(open_source(spec), spec, store, symbols=symbols, known_at=now, backdate=spec.backdate)
    return f"{root} {store.snapshot(spec.name, symbols, calendar=universe.calendar)}"


def _sweep(stack: Stack) -> Ran:
    """Train through Airflow; the sweep lasts from the end of `ingest` to that of the last batch."""
    stack.ok("up", "--detach", timeout=1800)
    try:
        stack.ok("train", "ranker", "--wait", timeout=1800)
        page = stack.json("credentials")["airflow"]
        with login(page["address"], page["user"], page["password"]) as airflow:
            run_id = airflow.runs("train_ranker")[-1]["dag_run_id"]
            tasks = airflow.tasks("train_ranker", run_id)
        ends = {name: [_end(task) for task in tasks if task["task_id"] == name]
                for name in ("ingest", "run_trials")}  # fmt: skip
        wall = (max(ends["run_trials"]) - max(ends["ingest"])).total_seconds()
        return Ran(wall, [value for (value,) in stack.rows(SCORES, role="research")])
    finally:
        stack.run("down")


def _end(task: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(task["end_date"])


def _loop(file: Path, bars: str) -> tuple[Ran, float]:
    """Run the loop; return its seconds of CPU, too."""
    command = [sys.executable, "-m", "benchmarks.sweep", str(file), *bars.split()]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, cpu, scores = json.loads(ran.stdout)
    return Ran(wall, scores), cpu


def _cpu() -> float:
    """Return the seconds of CPU of this process, and of those it started that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@cache
def _prepared() -> tuple[Strategy, Dataset]:
    file, root, snapshot = sys.argv[1:]
    strategy = load_strategy(Path(file))
    return strategy, prepare(BarStore(root).read(snapshot), strategy)


def _score(parameters: dict[str, Any]) -> float:
    strategy, dataset = _prepared()
    return score(dataset, strategy.with_parameters(parameters)).metrics["sharpe"]


def main() -> None:
    """Judge a strategy's trials in a plain loop, and print seconds, and what they score."""
    warm_up()
    began, before = time.perf_counter(), _cpu()
    trials = draw(load_strategy(Path(sys.argv[1])))
    with multiprocessing.Pool(CORES) as pool:
        scores = pool.map(_score, trials, chunksize=1)
        pool.close()
        pool.join()
    print(json.dumps([time.perf_counter() - began, _cpu() - before, scores]))


if __name__ == "__main__":
    main()

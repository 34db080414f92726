"""Memory of every service over hundreds of trainings: what grows is a leak, or has a limit.

Run from the checkout: ``python -m benchmarks.memory``. As many strategies are trained at a time as
the workers have slots; after each few trainings all is idle for a moment, and what each service
takes is read from `tradewind status`: proportional memory, so that what is shared counts once. The
strategies are small, since what stays in a service depends on how many trainings there were and not
on how long one took. A slope is that of a straight line through the second half, when caches are
full.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.stack.airflow import Airflow, login
from tests.stack.conftest import Stack, commit, make_stack

__all__ = ["main", "measure"]

# A run of a strategy waits for the one before it, so each slot has a strategy of its own.
NAMES = ("small_1", "small_2", "small_3", "small_4")
SMALL = """\
name: {name}
description: two stocks, one feature, few folds
universe: {{source: sample, symbols: [AAPL, MSFT], calendar: XNYS}}
horizon: 5
label: forward_return
features:
  - return: {{window: 5}}
model: {{kind: lightgbm, rounds: 5, learning_rate: 0.1, num_leaves: 3}}
walk_forward: {{train: 1260, test: 630}}
backtest: {{positions: long_flat, commission_bps: 1.0, slippage_bps: 4.0}}
execution: "off"
seed: 7
"""
MB = 2**20


def measure(stack: Stack, trainings: int, every: int) -> dict[str, list[float]]:
    """Return the memory of each service in MB, at first and after each `every` trainings."""
    page = stack.json("credentials")["airflow"]
    found: dict[str, list[float]] = defaultdict(list)
    with login(page["address"], page["user"], page["password"]) as airflow:
        _train(airflow, len(NAMES))  # what is loaded once
        for done in range(0, trainings + 1, every):
            if done:
                _train(airflow, every)
            time.sleep(10)  # idle, as it is between trainings
            for row in stack.status()["services"]:
                found[row["service"]].append((row["memory"] or 0) / MB)
            total = sum(values[-1] for values in found.values())
            print(f"{done} trainings: {total:,.0f} MB", flush=True)
    return found


def _train(airflow: Airflow, count: int) -> None:
    def some(number: int) -> None:
        dag_id = f"train_{NAMES[number]}"
        for _ in range(number, count, len(NAMES)):
            state, states = airflow.finished(dag_id, airflow.trigger(dag_id))
            if state != "success":
                raise SystemExit(f"a training failed: {states}")

    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(some, range(len(NAMES))))


def _table(found: dict[str, list[float]], every: int) -> str:
    count = every * (len(next(iter(found.values()))) - 1)
    lines = [
        f"| service, MB | first | after {count // 2} | after {count} | a 100 more, second half |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, values in sorted(found.items()):
        half = values[len(values) // 2 :]
        slope = statistics.linear_regression(range(len(half)), half).slope / every * 100
        lines.append(
            f"| {name} | {values[0]:.0f} | {half[0]:.0f} | {half[-1]:.0f} | {slope:+.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure a stack of its own, print it, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--trainings", type=int, default=300)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"))
    asked = parser.parse_args()
    if asked.every < 1 or asked.trainings < 4 * asked.every:
        sys.exit("--trainings must be at least four times --every, so that a line can be drawn")
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "stack")
        for name in NAMES:
            (stack.home / "strategies" / f"{name}.yaml").write_text(SMALL.format(name=name))
        commit(stack.home)
        try:
            stack.ok("up", "--detach", timeout=1800)
            found = measure(stack, asked.trainings, asked.every)
        finally:
            stack.run("down")
    table = _table(found, asked.every)
    print(table)
    asked.results.mkdir(exist_ok=True)
    at = asked.results / f"memory-{time.strftime('%Y-%m-%d')}"
    at.with_suffix(".md").write_text(f"# Memory over {asked.trainings} trainings\n\n{table}")
    whole = {"every": asked.every, "mb": found}
    at.with_suffix(".json").write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How long the stack takes to become healthy, first and later, and what it weighs when idle.

Runs in a folder of its own, on free ports. ``--runs N`` (default 3) first starts and later starts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.stack.conftest import make_stack

CHECKOUT = Path(__file__).parents[1]
GOALS = {"first start": 60.0, "later start": 20.0}


@contextmanager
def checkout() -> Iterator[dict[str, str]]:
    """Yield the environment of a fresh checkout on free ports; stop and remove it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        environment = make_stack(Path(folder) / "checkout").environment
        try:
            yield environment
        finally:
            tradewind(environment, "down", check=False)


def tradewind(environment: dict[str, str], *words: str, check: bool = True) -> str:
    """Run a command of ours and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "tradewind", *words],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if check and result.returncode:
        sys.exit(f"tradewind {' '.join(words)} failed:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def timed_start(environment: dict[str, str]) -> float:
    """Return the seconds from the command to all services healthy."""
    began = time.perf_counter()
    tradewind(environment, "up", "--detach")
    return time.perf_counter() - began


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in GOALS}
    services: list[dict[str, Any]] = []
    for run in range(runs):
        with checkout() as environment:
            times["first start"].append(timed_start(environment))
            tradewind(environment, "down")
            times["later start"].append(timed_start(environment))
            time.sleep(15)  # idle: what a start leaves to be done is done by now
            services = json.loads(tradewind(environment, "status", "--json"))["services"]
        print(f"run {run + 1}: " + ", ".join(f"{k} {v[-1]:.1f} s" for k, v in times.items()))
    rows = [
        {
            "name": name,
            "ours": statistics.median(seconds),
            "unit": "s",
            "goal": GOALS[name],
            "met": statistics.median(seconds) <= GOALS[name],
            "runs": len(seconds),
            "spread": [min(seconds), max(seconds)],
        }
        for name, seconds in times.items()
    ]
    for row in rows:
        low, high = row["spread"]
        verdict = "met" if row["met"] else "NOT met"
        print(
            f"{row['name']}: median {row['ours']:.1f} s of {row['runs']} runs "
            f"({low:.1f} to {high:.1f}), goal {row['goal']:.0f} s: {verdict}"
        )
    print("\nidle memory (proportional set size)")
    running = [s for s in services if s["memory"]]
    for service in running:
        print(f"  {service['service']:<24}{service['memory'] / 2**20:8.0f} MB")
    total = sum(s["memory"] for s in running)
    print(f"  {'together':<24}{total / 2**20:8.0f} MB")
    results = CHECKOUT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    memory = {s["service"]: s["memory"] for s in running}
    (results / f"start-{time.strftime('%Y-%m-%d')}.json").write_text(
        json.dumps({"rows": rows, "idle_memory_bytes": memory}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()

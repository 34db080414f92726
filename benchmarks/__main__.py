"""Runs benchmarks, prints one table and writes ``results/DATE.json``.

``python -m benchmarks [--quick] [ROW ...]``. A row is a module of this package with a function
``measure(quick)``; the results of ours and of the others are compared before they are timed.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

from benchmarks.table import Row, table

RESULTS = Path(__file__).with_name("results")
ROWS: dict[int, str] = {
    1: "chain",
    2: "fanout",
    3: "latency",
    4: "sweep",
    5: "training",
    6: "mlflow_runs",
    7: "model_trips",
    8: "idle",
    10: "start",
    11: "backtest",
    12: "strategies",
    13: "data",
    14: "command_line",
}
QUICK: tuple[int, ...] = (1, 6, 7, 14)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", metavar="ROW", type=int, nargs="*", help=f"of {sorted(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="few runs, of what CI guards")
    wanted = parser.parse_args()
    numbers = wanted.rows or (QUICK if wanted.quick else sorted(ROWS))
    found: list[Row] = []
    for number in numbers:
        began = time.monotonic()
        measured = importlib.import_module(f"benchmarks.{ROWS[number]}").measure(wanted.quick)
        sys.stderr.write(f"row {number} took {time.monotonic() - began:.0f} s\n")
        found += measured
    print(table(found))
    if not (wanted.quick or wanted.rows):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{time.strftime('%Y-%m-%d')}.json").write_text(
            json.dumps([each.as_json() for each in found], indent=2) + "\n"
        )


if __name__ == "__main__":
    main()

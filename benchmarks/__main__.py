"""Runs benchmarks, prints one table and writes it with its figures to ``results/DATE.*``.

``python -m benchmarks [--quick] [ROW ...]``. A row is a module of this package with a function
``measure(quick)``; where there are results, those of ours and of the others must agree.
Quick, it takes few runs of what CI guards, and fails if ours has lost most of its lead: by ratios
alone, and far below what a noisy machine takes from them.
"""

import argparse
import importlib
import json
import sys
import time
import traceback
from collections.abc import Iterable
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
    9: "idle",
    10: "start",
    11: "backtest",
    12: "strategies",
    13: "data",
    14: "command_line",
}
# By row, how many times better than each other it must stay.
GUARDS: dict[int, float] = {1: 5.0, 6: 2.0, 7: 5.0, 14: 3.0}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", metavar="ROW", type=int, nargs="*", help=f"of {sorted(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="few runs, of some rows")
    wanted = parser.parse_args()
    if unknown := set(wanted.rows) - ROWS.keys():
        parser.error(f"no row {', '.join(map(str, sorted(unknown)))}")
    numbers = wanted.rows or sorted(GUARDS if wanted.quick else ROWS)
    found: list[Row] = []
    failed: list[str] = []
    for number in sorted({ROWS[number]: number for number in reversed(numbers)}.values()):
        began = time.monotonic()
        try:
            measured = importlib.import_module(f"benchmarks.{ROWS[number]}").measure(wanted.quick)
        except Exception:  # noqa: BLE001 - the other rows take an hour, and are not lost for it
            traceback.print_exc()
            failed.append(str(number))
            continue
        sys.stderr.write(f"row {number} took {time.monotonic() - began:.0f} s\n")
        found += measured
        if not (wanted.quick or wanted.rows):
            _keep(found)
    print(table(found))
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}; see above")
    if wanted.quick and (lost := lost_leads(found)):
        sys.exit(f"slower than it was, beside others: {', '.join(lost)}")


def _keep(found: Iterable[Row]) -> None:
    RESULTS.mkdir(exist_ok=True)
    at = RESULTS / time.strftime("%Y-%m-%d")
    figures = json.dumps([each.as_json() for each in found], indent=2)
    at.with_suffix(".json").write_text(f"{figures}\n")
    at.with_suffix(".md").write_text(f"{table(found)}\n")


def lost_leads(found: Iterable[Row]) -> list[str]:
    """Name the rows of which ours is not so many times better any more as `GUARDS` asks for."""
    return [
        f"{each.name} ({ratio:.2g}x {who}, {GUARDS[each.row]:g}x is the least)"
        for each in found
        for who, ratio in each.ratio.items()
        if ratio < GUARDS.get(each.row, 0.0)
    ]


if __name__ == "__main__":
    main()

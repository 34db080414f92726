"""What the store of bars takes: seconds and peak memory of ingesting, and of reading a part.

Run with ``python -m benchmarks.data [--symbols N] [--years Y]``. The bars are made up, a random
walk a symbol on New York's sessions: what is measured is size. Each phase is a process of its
own, so that its peak is its own; 2 GB is the goal for each. Writes ``results/data-N-Y-DATE.json``.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tradewind.market.bars import SCHEMA
from tradewind.market.calendar import sessions_between
from tradewind.market.ingest import ingest
from tradewind.market.store import BarStore

RESULTS = Path(__file__).parent / "results"
LAST = date(2024, 12, 31)
GOAL_MB = 2048


@dataclass(frozen=True)
class Spec:
    """Name and calendar of the made-up source."""

    name: str = "made_up"
    calendar: str = "XNYS"


class RandomWalks:
    """A source of made-up bars, the same ones each time."""

    def __init__(self, count: int, years: int, last: date) -> None:
        self._names = tuple(f"S{number:05d}" for number in range(count))
        first = LAST.replace(year=LAST.year - years) + timedelta(days=1)
        self._all = sessions_between("XNYS", first, LAST)
        self._shown = self._all.filter(self._all <= last)

    def symbols(self) -> tuple[str, ...]:
        """Return all names."""
        return self._names

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Return the bars of some names."""
        return pl.concat(self._walk(symbol) for symbol in symbols)

    def _walk(self, symbol: str) -> pl.DataFrame:
        draw = np.random.default_rng(int(symbol[1:]))
        count = self._all.len()
        close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.015, count)))
        opened = close * np.exp(draw.normal(0.0, 0.005, count))
        reach = np.exp(np.abs(draw.normal(0.0, 0.005, count)))
        dividend = np.where(np.arange(count) % 63 == 62, 1.004, 1.0)
        shown = self._shown.len()
        factor = np.cumprod(dividend)[:shown]
        return pl.DataFrame(
            {
                "symbol": pl.repeat(symbol, shown, eager=True),
                "session": self._shown,
                "open": opened[:shown],
                "high": (np.maximum(opened, close) * reach)[:shown],
                "low": (np.minimum(opened, close) / reach)[:shown],
                "close": close[:shown],
                "volume": draw.integers(10**5, 10**7, count)[:shown],
                "split_factor": np.ones(shown),
                "adjustment_factor": factor / factor[-1],
            },
            schema=SCHEMA,
        )


def load(store: BarStore, args: argparse.Namespace) -> int:
    """Ingest all but the last session, into nothing."""
    source = RandomWalks(args.symbols, args.years, LAST - timedelta(days=1))
    read_at = datetime(2024, 12, 31, 1, tzinfo=UTC)
    return ingest(source, Spec(), store, known_at=read_at, backdate=True).new


def update(store: BarStore, args: argparse.Namespace) -> int:
    """Ingest all again, with one session more."""
    source = RandomWalks(args.symbols, args.years, LAST)
    return ingest(source, Spec(), store, known_at=datetime(2025, 1, 1, 1, tzinfo=UTC)).new


def read_symbol(store: BarStore, args: argparse.Namespace) -> int:
    """Take and read a snapshot of one symbol, all its sessions."""
    symbol = f"S{args.symbols // 2:05d}"
    return store.read(store.snapshot("made_up", [symbol], calendar="XNYS")).height


def read_range(store: BarStore, _: argparse.Namespace) -> int:
    """Read one year of all symbols."""
    return store.bars("made_up", start=date(2023, 1, 1), end=date(2023, 12, 31)).height


PHASES: dict[str, Callable[[BarStore, argparse.Namespace], int]] = {
    "load": load,
    "update": update,
    "read_symbol": read_symbol,
    "read_range": read_range,
}


def in_this_process(args: argparse.Namespace) -> None:
    """Run one phase and print its figures."""
    store = BarStore(args.root)
    before = time.perf_counter()
    rows = PHASES[args.phase](store, args)
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": round(seconds, 2), "peak_mb": round(peak)}))


def main() -> None:
    """Run every phase, print a line each, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.phase:
        in_this_process(args)
        return
    figures = {}
    with tempfile.TemporaryDirectory() as root:
        size = [f"--symbols={args.symbols}", f"--years={args.years}", f"--root={root}"]
        for phase in PHASES:
            command = [sys.executable, "-m", "benchmarks.data", *size, f"--phase={phase}"]
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            figures[phase] = json.loads(run.stdout)
            print(f"{phase:12}", figures[phase], flush=True)
        stored = sum(path.stat().st_size for path in Path(root).rglob("*.parquet")) / 1024**2
    today = datetime.now(UTC).date()
    machine, python = platform.machine(), platform.python_version()
    result = {
        "date": str(today),
        "machine": f"{os.cpu_count()} cores, {machine}, Python {python}",
        "symbols": args.symbols,
        "years": args.years,
        "stored_mb": round(stored),
        "goal_peak_mb": GOAL_MB,
        "phases": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"data-{args.symbols}-{args.years}-{today}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{stored:.0f} MB stored; written to {path}")
    if any(figure["peak_mb"] > GOAL_MB for figure in figures.values()):
        sys.exit(f"a phase took more than {GOAL_MB} MB")


if __name__ == "__main__":
    main()

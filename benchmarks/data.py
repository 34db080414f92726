"""What bars take: seconds and peak memory of ingesting, validating and reading, by their number.

The bars are made up, a random walk a symbol on twenty years of New York's sessions: what is
measured is size. Each phase is a process of its own, so that its peak is its own.
"""

import json
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

from benchmarks.growth import growth
from benchmarks.table import AtMost, Row, row
from tradewind.market.bars import SCHEMA
from tradewind.market.calendar import sessions_between
from tradewind.market.ingest import examine, ingest
from tradewind.market.sources.source import SourceSpec
from tradewind.market.store.bar_store import BarStore

SIZES = (50, 500, 5_000)
LAST = date(2024, 12, 31)
SESSIONS = sessions_between("XNYS", date(2005, 1, 1), LAST)
IN_2023 = int(SESSIONS.dt.year().eq(2023).sum())
SPEC = SourceSpec(name="made_up", kind="made_up")


class RandomWalks:
    """A source of made-up bars, the same ones each time, up to a session."""

    def __init__(self, count: int, last: date = LAST) -> None:
        self._names = tuple(f"S{number:05d}" for number in range(count))
        self._shown = SESSIONS.filter(last >= SESSIONS)

    def symbols(self) -> tuple[str, ...]:
        """Return all names."""
        return self._names

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Return the bars of some names."""
        return pl.concat(self._walk(symbol) for symbol in symbols)

    def _walk(self, symbol: str) -> pl.DataFrame:
        draw = np.random.default_rng(int(symbol[1:]))
        count = SESSIONS.len()
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


def _ingest(store: BarStore, symbols: int) -> int:
    """Store all but the last session, into nothing."""
    source = RandomWalks(symbols, LAST - timedelta(days=1))
    read_at = datetime(2024, 12, 31, 1, tzinfo=UTC)
    return ingest(source, SPEC, store, known_at=read_at, backdate=True).new


def _update(store: BarStore, symbols: int) -> int:
    """Ingest all again, with one session more."""
    read_at = datetime(2025, 1, 1, 1, tzinfo=UTC)
    return ingest(RandomWalks(symbols), SPEC, store, known_at=read_at).new


def _validate(_: BarStore, symbols: int) -> int:
    """Hold all against every rule, as an ingestion does."""
    source, read_at = RandomWalks(symbols), datetime(2025, 1, 1, 1, tzinfo=UTC)
    found = examine(source, SPEC, known_at=read_at)
    if any(finding.severity == "error" for finding in found):
        sys.exit(f"validate: {found[0]}")
    return symbols * SESSIONS.len()


def _read_symbol(store: BarStore, symbols: int) -> int:
    """Take and read a snapshot of one symbol, all its sessions."""
    symbol = f"S{symbols // 2:05d}"
    return store.read(store.snapshot("made_up", [symbol], calendar="XNYS")).height


def _read_year(store: BarStore, _: int) -> int:
    """Read one year of all symbols."""
    return store.bars("made_up", start=date(2023, 1, 1), end=date(2023, 12, 31)).height


@dataclass(frozen=True)
class Phase:
    """What is done, and how many bars that must be for a number of symbols."""

    run: Callable[[BarStore, int], int]
    bars: Callable[[int], int]


PHASES = {
    "ingest": Phase(_ingest, lambda symbols: symbols * (SESSIONS.len() - 1)),
    "one session more": Phase(_update, lambda symbols: symbols),
    "validate": Phase(_validate, lambda symbols: symbols * SESSIONS.len()),
    "read a symbol": Phase(_read_symbol, lambda _: SESSIONS.len()),
    "read a year": Phase(_read_year, lambda symbols: symbols * IN_2023),
}


def measure(quick: bool) -> list[Row]:
    """Return seconds and peak memory by size, and how seconds grow from each to the next."""
    sizes = SIZES[:-1] if quick else SIZES
    seconds: dict[str, dict[int, list[float]]] = {
        phase: {symbols: [] for symbols in sizes} for phase in PHASES
    }
    peaks: dict[int, list[float]] = {symbols: [] for symbols in sizes}
    for turn in range(1 if quick else 5):
        for symbols in sizes[: 2 if turn >= 3 else None]:  # the largest takes minutes
            with tempfile.TemporaryDirectory() as root:
                figures = {phase: _measured(phase, symbols, root) for phase in PHASES}
            peaks[symbols].append(max(each["peak"] for each in figures.values()))
            for phase, each in figures.items():
                seconds[phase][symbols].append(each["seconds"])
    rows = []
    for phase, found in seconds.items():
        rows += growth(13, phase, "s", "symbols", found)
    for symbols, found_peaks in peaks.items():
        name = f"peak memory, {symbols:,} symbols"
        rows.append(row(13, name, "MB", {"ours": found_peaks}, [AtMost(2048)]))
    return rows


def _measured(phase: str, symbols: int, root: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.data", phase, str(symbols), root]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def main() -> None:
    """Run one phase in this process, and print its figures."""
    name, symbols, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    phase, store = PHASES[name], BarStore(root)
    began = time.perf_counter()
    bars = phase.run(store, symbols)
    seconds = time.perf_counter() - began
    if bars != phase.bars(symbols):
        sys.exit(f"{name}: {bars} bars, and it should be {phase.bars(symbols)}")
    print(json.dumps({"seconds": seconds, "peak": _peak()}))


def _peak() -> float:
    """Return the most this process has held, in MB; `getrusage` would count what forked it, too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()

"""Several processes that write at once, and processes that are killed while they write."""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import polars as pl
import pytest

from tradewind.market import ingest as ingest_module
from tradewind.market.ingest import ingest
from tradewind.market.sources import sample
from tradewind.market.sources.source import SourceSpec
from tradewind.market.store.bar_store import BarStore

START, END = date(2005, 2, 1), date(2005, 3, 8)
LOADED = datetime(2013, 3, 2, tzinfo=UTC)


def days() -> list[pl.DataFrame]:
    """The bars of some weeks, each session with the one before it."""
    bars = sample.load(["AAPL", "IBM"]).filter(pl.col("session").is_between(START, END))
    sessions = bars["session"].unique().sort()
    assert sessions.len() == 25
    return [
        bars.filter(pl.col("session").is_between(before, day))
        for before, day in itertools.pairwise(sessions)
    ]


def grow(root: Path, ready: Event, go: Event, results: "Queue[int]") -> None:
    """Append some weeks, a session at a time, as another process."""
    store, frames, new = BarStore(root), days(), 0
    ready.set()
    go.wait()
    for number, frame in enumerate(frames):
        known_at = LOADED + timedelta(days=number)
        new += store.append("sample", frame, known_at=known_at, calendar="XNYS").new
    results.put(new)


def at_once(tmp_path: Path) -> pl.DataFrame:
    store = BarStore(tmp_path / "at-once")
    bars = sample.load(["AAPL", "IBM"]).filter(pl.col("session").is_between(START, END))
    store.append("sample", bars, known_at=LOADED, calendar="XNYS")
    return store.bars("sample")


def stored_twice(root: Path) -> int:
    rows = pl.scan_delta(f"{root}/bars/sample").select("symbol", "session").collect()
    return int(rows.is_duplicated().sum())


def test_two_writers_of_the_same_bars_store_each_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    go, results, root = context.Event(), context.Queue(), tmp_path / "market"
    ready = [context.Event(), context.Event()]
    writers = [context.Process(target=grow, args=(root, one, go, results)) for one in ready]
    for writer in writers:
        writer.start()
    for one in ready:
        assert one.wait(60)
    go.set()
    new = [results.get(timeout=60) for _ in writers]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert sum(new) == 2 * 25
    assert stored_twice(root) == 0
    assert BarStore(root).bars("sample").equals(at_once(tmp_path))


@pytest.mark.parametrize("after_versions", [3, 17])
def test_a_writer_killed_at_any_moment_leaves_a_table_to_go_on_from(
    tmp_path: Path, after_versions: int
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go, results = context.Event(), context.Event(), context.Queue()
    root = tmp_path / "market"
    writer = context.Process(target=grow, args=(root, ready, go, results))
    writer.start()
    assert ready.wait(60)
    log = root / "bars" / "sample" / "_delta_log"
    go.set()
    # Without a pause: the kill shall hit any place between two commits.
    while len(list(log.glob("*.json"))) < after_versions:
        assert writer.is_alive()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert writer.exitcode == -signal.SIGKILL

    store = BarStore(root)
    for number, frame in enumerate(days()):
        store.append("sample", frame, known_at=LOADED + timedelta(days=number), calendar="XNYS")
    assert stored_twice(root) == 0
    assert store.bars("sample").equals(at_once(tmp_path))


SPEC = SourceSpec(name="sample", kind="sample")


class Sample:
    """All real bars."""

    def symbols(self) -> tuple[str, ...]:
        return sample.SYMBOLS

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        return sample.load(symbols)


def bring_in(root: Path, ready: Event, go: Event, results: "Queue[tuple[int, int]]") -> None:
    """Ingest all real bars, a symbol at a time, as another process."""
    for name in ("_FIRST_CHUNK", "_ROWS_AIMED_AT"):
        setattr(ingest_module, name, 1)
    store = BarStore(root)
    ready.set()
    go.wait()
    done = ingest(Sample(), SPEC, store, known_at=LOADED)
    results.put((done.new, done.unchanged))


def test_two_ingests_at_once_store_each_bar_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    go, results, root = context.Event(), context.Queue(), tmp_path / "market"
    ready = [context.Event(), context.Event()]
    writers = [context.Process(target=bring_in, args=(root, one, go, results)) for one in ready]
    for writer in writers:
        writer.start()
    for one in ready:
        assert one.wait(120)
    go.set()
    counts = sorted(results.get(timeout=120) for _ in writers)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert counts == [(0, 12_154), (12_154, 0)]
    assert stored_twice(root) == 0


@pytest.mark.parametrize("when", ["reading", "writing", "done"])
def test_an_ingest_that_is_killed_leaves_all_or_nothing(tmp_path: Path, when: str) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go, results = context.Event(), context.Event(), context.Queue()
    root = tmp_path / "market"
    writer = context.Process(target=bring_in, args=(root, ready, go, results))
    writer.start()
    assert ready.wait(120)
    table = root / "bars" / "sample"
    go.set()
    ways: dict[str, Callable[[], bool]] = {
        "reading": lambda: True,
        "writing": lambda: any(table.glob("year=*/*")),
        "done": lambda: len(list((table / "_delta_log").glob("*.json"))) == 2,
    }
    reached = ways[when]
    # Without a pause: the kill shall hit any place.
    while not reached():
        assert writer.is_alive() or reached()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()

    store = BarStore(root)
    held = 0 if store.version("sample") is None else store.bars("sample").height
    assert held in (0, 12_154)
    done = ingest(Sample(), SPEC, store, known_at=LOADED)
    assert (done.new, done.unchanged) == (12_154 - held, held)
    assert stored_twice(root) == 0

"""10, 100 and 1,000 strategy files: when they are known, how soon a task starts, what it weighs.

One local stack, to whose folder more and more strategies are added; each makes four DAGs. None has
a schedule, so that nothing runs but what is triggered.
"""

import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path

import psutil

from benchmarks.growth import growth
from benchmarks.table import AtMost, Row, row
from tests.stack.airflow import Airflow, login
from tests.stack.conftest import CHECKOUT, Stack, commit, make_stack
from tests.support import wait_until

SIZES = (10, 100, 1_000)
TEXT = (CHECKOUT / "strategies" / "momentum.yaml").read_text()
PARSED = "Worker startup parse complete"  # Airflow's own line, just before it runs a task's code
KNOWN = "SELECT count(*) FROM dag WHERE NOT is_stale AND dag_id ~ '_s[0-9]{4}$'"
DESCRIBED = "SELECT description FROM dag WHERE dag_id = 'train_s0000'"
# Of the files that strategies' DAGs are in, each counted once.
PARSING = """
    SELECT sum(seconds) FROM (
        SELECT max(last_parse_duration) AS seconds FROM dag
        WHERE NOT is_stale AND dag_id ~ '_s[0-9]{4}$' GROUP BY fileloc
    ) AS files
"""


def measure(quick: bool) -> list[Row]:
    """Return seconds by the number of strategies, and the heaviest service at each."""
    sizes, runs = (SIZES[:-1], 2) if quick else (SIZES, 5)
    parse: dict[int, list[float]] = {}
    edit: dict[int, list[float]] = {}
    start: dict[int, list[float]] = {}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's user passes through
        stack = make_stack(Path(folder) / "checkout")
        strategies = stack.home / "strategies"
        for file in strategies.glob("*.yaml"):
            file.unlink()
        commit(stack.home)
        _write(strategies, range(sizes[0]))
        try:
            stack.ok("up", "--detach", timeout=1800)
            page = stack.json("credentials")["airflow"]
            with login(page["address"], page["user"], page["password"]) as airflow:
                for size in sizes:
                    _write(strategies, range(size))
                    wait_until(partial(_all_known, stack, size), 900)
                    edit[size], parse[size] = [], []
                    for number in range(runs):
                        edit[size].append(_edit(stack, strategies, number))
                        parse[size].append(float(stack.rows(PARSING, database="airflow")[0][0]))
                    start[size] = [_start(airflow) for _ in range(runs)]
                    rows += [_memory(stack, size), _idle(stack, size, 20.0 if quick else 60.0)]
        finally:
            stack.run("down")
    return [
        *growth(12, "parsing all", "s", "strategies", parse),
        *growth(12, "until an edit is known", "s", "strategies", edit),
        *growth(12, "trigger to a task's first line", "s", "strategies", start),
        *rows,
    ]


def _all_known(stack: Stack, size: int) -> bool:
    return stack.rows(KNOWN, database="airflow") == [(4 * size,)]


def _write(strategies: Path, numbers: Iterable[int], description: str = "Momentum") -> None:
    for number in numbers:
        said = TEXT.replace("name: momentum", f"name: s{number:04}", 1)
        kept = [line for line in said.splitlines() if not line.startswith("description:")]
        text = "\n".join([*kept, f"description: {description}", ""])
        (strategies / f"s{number:04}.yaml").write_text(text)


def _edit(stack: Stack, strategies: Path, number: int) -> float:
    """Change a file, and wait until Airflow's database shows it."""
    began = time.monotonic()
    _write(strategies, [0], wanted := f"Edit {number} at {began}")
    wait_until(lambda: stack.rows(DESCRIBED, database="airflow") == [(wanted,)], 900)
    return time.monotonic() - began


def _start(airflow: Airflow) -> float:
    """Trigger a run, and return the seconds until its first task's own code is run."""
    began = time.time()
    dag_id = "signals_s0000"
    run_id = airflow.trigger(dag_id)
    airflow.finished(dag_id, run_id)  # skipped: there is no champion
    [task] = airflow.tasks(dag_id, run_id)
    [line] = [e for e in airflow.log(dag_id, run_id, task, 1) if e["event"] == PARSED]
    return datetime.fromisoformat(line["timestamp"]).timestamp() - began


def _memory(stack: Stack, size: int) -> Row:
    services = [service for service in stack.status()["services"] if service["memory"]]
    heaviest = max(services, key=lambda service: service["memory"])
    name = f"memory of the heaviest service, {heaviest['service']}, {size:,} strategies"
    return row(12, name, "MB", {"ours": [heaviest["memory"] / 2**20]}, [AtMost(1024)])


def _idle(stack: Stack, size: int, seconds: float) -> Row:
    processor = psutil.Process(stack.service("airflow-dag-processor")["pid"])
    before = sum(processor.cpu_times()[:4])  # its own, and that of the parsers that ended
    time.sleep(seconds)
    used = sum(processor.cpu_times()[:4]) - before
    name = f"CPU of the dag-processor, idle, {size:,} strategies"
    return row(12, name, "% of a core", {"ours": [100 * used / seconds]})

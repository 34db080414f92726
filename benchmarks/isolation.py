"""Whether 20,000 trading tasks slow Airflow down, and what a death of Redis does to either.

Run with ``python -m benchmarks.isolation``. On a stack of its own, a training and a chain of
tasks that do nothing run three times: alone, beside a flooded trading queue, and beside one while
Redis is killed. Measured is what Airflow takes from a task queued to a task started, as its own
database has it, of those queued while the trading queue was not empty. The goal is a median within
twice that of a run alone. Before that, every task of either application must have succeeded. Writes
``results/isolation-DATE.json``.
"""

import json
import shutil
import sys
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from benchmarks.ours import running
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack, commit, make_stack
from tests.stack.flood import PROBE, Trading, latencies, summary, trading_of
from tests.support import wait_until

TASKS = 20_000
CHAIN = 25
GOAL = 2.0
RESULTS = Path(__file__).parent / "results"


class Emptied:
    """The moment at which the trading queue is empty: tasks after it had nothing beside them."""

    def __init__(self, trading: Trading) -> None:
        self._trading = trading
        self._at: datetime | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while self._at is None:
            with suppress(RedisError):  # it is restarted meanwhile
                if not self._trading.waiting():
                    self._at = datetime.now(UTC)
            time.sleep(0.2)

    def wait(self) -> datetime:
        """Return it when it has come."""
        self._thread.join(900)
        if self._at is None:
            sys.exit("the trading queue was not emptied within 15 minutes")
        return self._at


def measure(stack: Stack, airflow: Airflow, *, tasks: int, kill: bool) -> dict[str, Any]:
    """Run the training and the chain, beside `tasks` trading tasks; return latencies and rates."""
    with trading_of(stack) as trading:
        ids = [str(uuid.uuid4()) for _ in range(tasks)]
        trading.send(ids)
        began = time.monotonic()
        emptied = Emptied(trading) if tasks else None
        runs = {dag_id: airflow.trigger(dag_id) for dag_id in ("train_momentum", "latency")}
        if kill:
            airflow.reach("latency", runs["latency"], f"step_{CHAIN // 4:02}", {"success"})
            stack.kill("redis")
        for dag_id, run_id in runs.items():
            state, states = airflow.finished(dag_id, run_id)
            if state != "success":
                sys.exit(f"{dag_id} ended as {state}: {states}")
        until = emptied.wait() if emptied else None
        took = time.monotonic() - began
        every = [
            second
            for dag_id, run_id in runs.items()
            for second in latencies(airflow, dag_id, run_id, until)
        ]
        trading.let_an_hour_pass()
        wait_until(lambda: not trading.unacknowledged(), 300)
        handed_over = set(ids) - trading.succeeded(ids)
        if len(handed_over) > int(kill):
            sys.exit(f"{len(handed_over)} trading tasks were lost")
    return {
        "latency": summary(every),
        "trading_tasks_a_second": round(tasks / took) if tasks else None,
        "in_nobodys_hands": len(handed_over),
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's user passes through
        stack = make_stack(Path(folder) / "checkout")
        (stack.home / "dags" / "latency.py").write_text(PROBE.format(length=CHAIN))
        commit(stack.home)
        with running(stack) as airflow:
            measure(stack, airflow, tasks=0, kill=False)  # what is imported once is
            found = {
                "alone": measure(stack, airflow, tasks=0, kill=False),
                "flooded": measure(stack, airflow, tasks=TASKS, kill=False),
                "flooded, Redis killed": measure(stack, airflow, tasks=TASKS, kill=True),
            }
        shutil.rmtree(stack.home / ".tradewind", ignore_errors=True)
    alone = found["alone"]["latency"]["median"]
    for name, row in found.items():
        latency = row["latency"]
        row["ratio"] = latency["median"] / alone
        print(
            f"{name}: queued to started median {latency['median']:.2f} s, "
            f"p95 {latency['p95']:.2f} s, most {latency['most']:.2f} s "
            f"of {latency['tasks']} tasks: {row['ratio']:.2f} times; "
            f"{row['trading_tasks_a_second'] or 0} trading tasks a second, "
            f"{row['in_nobodys_hands']} in nobody's hands"
        )
    met = found["flooded"]["ratio"] <= GOAL
    print(f"goal: within {GOAL:g} times: {'met' if met else 'NOT met'}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"isolation-{time.strftime('%Y-%m-%d')}.json").write_text(
        json.dumps({"tasks": TASKS, "goal": GOAL, "met": met, "runs": found}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()

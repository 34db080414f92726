"""A thousand tasks that wait for a foreign Celery app: what they take, and how soon they hear.

Starts a stack of its own, lets 1,000 mapped CeleryTaskOperators wait, measures slots, memory and
CPU while they do, then starts a worker that ends half of them one after the other, and the other
half as fast as it can. Latency is from the remote task's end to the end that Airflow notes.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from benchmarks.ours import running
from tests.redis_server import RedisClient
from tests.stack.conftest import Stack, make_stack
from tests.support import wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets

CHECKOUT = Path(__file__).parents[1]
GOAL_SECONDS = 1.5
DAG_ID = "bridge_benchmark"
DAG = """
from airflow.sdk import DAG
from tradewind.bridge import CeleryTaskOperator

with DAG("{dag_id}", schedule=None, is_paused_upon_creation=False):
    CeleryTaskOperator.partial(
        task_id="waits", app="trading", task="foreign.paced", queue="foreign"
    ).expand(args=[[index, {paced}, {seconds}] for index in range({count})])
"""


@contextmanager
def worker(url: str, folder: Path) -> Iterator[None]:
    """Run a worker of the foreign app, one task at a time."""
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "tests.bridge.foreign_app",
             "worker", "--concurrency", "1", "--queues", "foreign", "--loglevel", "warning"],
            cwd=CHECKOUT,
            env={**os.environ, "FOREIGN_URL": url, "FOREIGN_VISIBILITY": "3600"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def states(stack: Stack) -> dict[str, int]:
    """Return how many tasks of the DAG are in which state."""
    query = "SELECT state, count(*) FROM task_instance WHERE dag_id = %s GROUP BY state"
    return {state or "none": n for state, n in stack.rows(query, DAG_ID, database="airflow")}


def triggerer(stack: Stack, seconds: float) -> dict[str, float]:
    """Return the triggerer's memory, and its share of one core over some time."""
    row = stack.service("airflow-triggerer")
    leader = psutil.Process(row["pid"])
    processes = [leader, *leader.children(recursive=True)]

    def used() -> float:
        return sum(p.cpu_times().user + p.cpu_times().system for p in processes)

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    share = (used() - before) / (time.monotonic() - began)
    return {"memory_bytes": row["memory"], "cpu_share": round(share, 4)}


def latencies(stack: Stack, redis: RedisClient) -> list[tuple[float, float]]:
    """Return (end of the remote task, seconds until Airflow noted it), by the first."""
    query = """SELECT map_index, extract(epoch FROM end_date)::float FROM task_instance
               WHERE dag_id = %s AND state = 'success'"""
    ended = {int(index): float(at) for index, at in redis.hgetall("trading:ended").items()}
    noted = stack.rows(query, DAG_ID, database="airflow")
    return sorted((ended[index], at - ended[index]) for index, at in noted)


def summary(name: str, seconds: list[float]) -> dict[str, Any]:
    """Return median, 95th percentile and longest."""
    return {
        "name": name,
        "tasks": len(seconds),
        "median": round(statistics.median(seconds), 3),
        "p95": round(statistics.quantiles(seconds, n=20)[-1], 3),
        "longest": round(max(seconds), 3),
        "unit": "s",
    }


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--pace", type=float, default=0.1, help="seconds between two ends")
    parser.add_argument("--window", type=float, default=30.0, help="seconds of each CPU reading")
    given = parser.parse_args()
    count, paced = given.tasks, given.tasks // 2
    dag = DAG.format(dag_id=DAG_ID, count=count, paced=paced, seconds=given.pace)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as until_the_end:
        stack = make_stack(Path(folder) / "checkout")
        (stack.home / "dags" / "benchmark.py").write_text(dag)
        airflow = until_the_end.enter_context(running(stack))
        password = load_secrets(Layout(stack.settings.state)).redis_trading
        url = f"redis://trading:{password}@127.0.0.1:{stack.settings.redis_port}/1"
        redis: RedisClient = Redis.from_url(url, decode_responses=True)
        # The DAG processor looks for new files every ten seconds.
        wait_until(lambda: airflow.http.get(f"/api/v2/dags/{DAG_ID}").is_success, 300)
        idle = triggerer(stack, given.window)
        began = time.monotonic()
        airflow.trigger(DAG_ID)
        wait_until(lambda: states(stack).get("deferred") == count, 3600, of=lambda: states(stack))
        took = time.monotonic() - began
        wait_until(lambda: len(redis.pubsub_channels("trading:celery-task-meta-*")) > count, 120)
        time.sleep(5)
        waiting = triggerer(stack, given.window)
        pool = airflow.get("/pools/default_pool")
        slots = pool["running_slots"] + pool["queued_slots"]
        with worker(url, Path(folder)):
            wait_until(
                lambda: states(stack).get("success") == count, 1800, of=lambda: states(stack)
            )
        found = latencies(stack, redis)
        redis.close()
    rows = [
        summary("remote end to Airflow's success, one after the other",
                [seconds for _, seconds in found[:paced]]),
        summary("remote end to Airflow's success, all at once",
                [seconds for _, seconds in found[paced:]]),
    ]  # fmt: skip
    rows[0] |= {"goal": GOAL_SECONDS, "met": rows[0]["median"] <= GOAL_SECONDS}
    burst = [at for at, _ in found[paced:]]
    result = {
        "rows": rows,
        "tasks_waiting": count,
        "slots_used_while_waiting": slots,
        "seconds_until_all_waited": round(took, 1),
        "ends_a_second": {
            "one after the other": round(1 / given.pace, 1),
            "all at once": round(len(burst) / (burst[-1] - burst[0]), 1),
        },
        "triggerer": {"idle": idle, "waiting": waiting},
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=2))
    results = CHECKOUT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    name = f"bridge-{time.strftime('%Y-%m-%d')}.json"
    (results / name).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""A year of a desk in fast motion: sizes, pages and scheduler with and without housekeeping.

Run from the checkout: ``python -m benchmarks.year``. One training is done for real, in a stack of
its own. Then its rows in Airflow's database, its results in Celery's tables and its logs are copied
for each training of a year, moved in time. First that is done with housekeeping after each week,
and then what is missing of the year is added, as it would be without. What takes how long is asked
of the running stack on its first day, and after each of the two; then housekeeping is done once,
as after an upgrade. What MLflow keeps of a training is not copied: a registered version keeps its
run, so that grows by design, and how much is printed.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.memory import NAMES, SMALL
from tests.stack.airflow import Airflow, login
from tests.stack.conftest import DAGS, Stack, commit, make_stack
from tradewind.orchestration.runtime.cleaning import clean
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets
from tradewind.stack.servers import postgres_server

__all__ = ["main"]

_DAG: Final = f"train_{NAMES[0]}"
_AT: Final = timedelta(minutes=17)  # between two trainings of a day
_TIMES: Final = 15
# Each table with what says which of its rows are the training's, and what becomes of its keys.
_RUN: Final = "t.dag_id = :dag AND t.run_id = :run"
_OF_RUN: Final = (
    ("dag_run", _RUN),
    ("task_instance", _RUN),
    ("task_instance_history", _RUN),
    ("rendered_task_instance_fields", _RUN),
    ("xcom", _RUN),
    ("task_state_store", _RUN),
    ("log", _RUN),
    ("callback", "t.id IN (SELECT callback_id FROM deadline WHERE dagrun_id = :key)"),
    ("deadline", "t.dagrun_id = :key"),
    ("celery_taskmeta", "t.id <= :results"),
)
_NEW_UUID: Final = "md5(t.{column}::text || n.number)::uuid"
_KEYS: Final = {
    ("dag_run", "id"): ":base + n.number",
    ("task_state_store", "dag_run_id"): ":base + n.number",
    ("xcom", "dag_run_id"): ":base + n.number",
    ("deadline", "dagrun_id"): ":base + n.number",
    ("task_instance", "id"): _NEW_UUID,
    ("task_instance", "trigger_id"): "NULL",
    ("task_instance_history", "task_instance_id"): _NEW_UUID,
    ("deadline", "id"): _NEW_UUID,
    ("deadline", "callback_id"): _NEW_UUID,
    ("callback", "id"): _NEW_UUID,
    ("callback", "trigger_id"): "NULL",
    ("celery_taskmeta", "task_id"): "md5(t.task_id || n.number)",
    ("celery_taskmeta", "id"): "nextval('task_id_sequence')",
}
_COUNTED: Final = ("log", "task_state_store")  # whose keys come of themselves


class Desk:
    """A running stack, its training, and copies of that."""

    def __init__(self, stack: Stack, airflow: Airflow) -> None:
        self.stack, self.airflow = stack, airflow
        layout = Layout(stack.settings.state)
        secret = load_secrets(layout).postgres_airflow
        self.engine = sa.create_engine(postgres_server(stack.settings).url("airflow", secret))
        self.logs = layout.logs_dir / "tasks"
        self.parsed = layout.logs_dir / "dag-processor"
        self.run = airflow.trigger(_DAG)
        state, states = airflow.finished(_DAG, self.run)
        if state != "success":
            raise SystemExit(f"the training failed: {states}")
        with self.engine.connect() as connection:
            asked = sa.text(
                "SELECT id, start_date FROM dag_run WHERE dag_id = :dag AND run_id = :run"
            )
            self.key, self.began = connection.execute(asked, {"dag": _DAG, "run": self.run}).one()
            tasks = sa.text("SELECT count(*) FROM task_instance WHERE run_id = :run")
            self.tasks = connection.scalar(tasks, {"run": self.run})
        self.base = 1_000_000

    def copy(self, moments: dict[int, datetime]) -> None:
        """Copy the training to other times, by number."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(
                "CREATE TEMP TABLE n (number int, moved interval) ON COMMIT DROP"
            ))  # fmt: skip
            rows = [{"n": n, "moved": at - self.began} for n, at in moments.items()]
            connection.execute(sa.text("INSERT INTO n VALUES (:n, :moved)"), rows)
            for table, wanted in _OF_RUN:
                self._copy(connection, table, wanted)
        folder = self.logs / f"dag_id={_DAG}" / f"run_id={self.run}"
        for number, at in moments.items():
            target = folder.with_name(f"{folder.name}_{number}")
            shutil.copytree(folder, target, dirs_exist_ok=True)
            for path in target.rglob("*"):
                _touch(path, at)

    def _copy(self, connection: sa.Connection, table: str, wanted: str) -> None:
        described = connection.execute(
            sa.text(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name = :table"
            ),
            {"table": table},
        )
        columns, values = [], []
        for column, kind in described:
            key = _KEYS.get((table, column))
            if column == "id" and table in _COUNTED:
                continue
            columns.append(f'"{column}"')
            if key is not None:
                values.append(key.format(column=column))
            elif column == "run_id":
                values.append("t.run_id || '_' || n.number")
            elif kind.startswith("timestamp"):
                values.append(f't."{column}" + n.moved')
            else:
                values.append(f't."{column}"')
        statement = (
            f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {', '.join(values)} FROM {table} t, n WHERE {wanted}"
        )
        asked = {
            "dag": _DAG, "run": self.run, "key": self.key, "base": self.base,
            # Celery keeps no name of a run: any results serve, as many as it has tasks.
            "results": self.tasks,
        }  # fmt: skip
        used = {name: value for name, value in asked.items() if f":{name}" in statement}
        connection.execute(sa.text(statement), used)

    def clean(self, now: datetime, keep_days: int) -> dict[str, Any]:
        """Do what the web server does."""
        return clean(self.engine, self.logs, self.parsed, now=now, keep_days=keep_days)

    def found(self) -> dict[str, float]:
        """Return sizes in MB, numbers of rows, and times in milliseconds."""
        told = self.clean(datetime.now(UTC), 0)["sizes"]
        sizes = {f"{name}, MB": size / 2**20 for name, size in told.items()}
        with self.engine.connect() as connection:
            runs = connection.scalar(sa.text("SELECT count(*) FROM dag_run"))
        return {"runs": float(runs or 0), **sizes, **self._times()}

    def _times(self) -> dict[str, float]:
        pages = {
            "page of DAGs": "/ui/dags?limit=50",
            "grid of a DAG": f"/ui/grid/runs/{_DAG}?limit=50",
            "a DAG's runs": f"/api/v2/dags/{_DAG}/dagRuns?limit=50&order_by=-run_after",
            "all runs": "/api/v2/dags/~/dagRuns?limit=50&order_by=-run_after",
            "all task instances": "/api/v2/dags/~/dagRuns/~/taskInstances?limit=50",
            "audit log": "/api/v2/eventLogs?limit=50&order_by=-when",
            "events of assets": "/api/v2/assets/events?limit=50",
        }

        def get(path: str) -> None:
            answer = self.airflow.http.get(path)
            if not answer.is_success:
                raise SystemExit(f"{path}: {answer.status_code} {answer.text[:300]}")

        times = {f"{name}, ms": _fastest(partial(get, path)) for name, path in pages.items()}
        times["trigger to end of a task, ms"] = _fastest(self._one_task)
        return times

    def _one_task(self) -> None:
        self.airflow.finished("kept", self.airflow.trigger("kept"))


def _fastest(work: Callable[[], None]) -> float:
    """Return milliseconds; the fastest says least of what else the machine did."""
    took = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


def _touch(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def measure(desk: Desk, days: int, trainings: int, keep_days: int) -> dict[str, dict[str, float]]:
    """Return what was found on the first day, with and without housekeeping, and afterwards."""
    desk.found()  # what is read for the first time is not measured
    found = {"first day": desk.found()}
    now = datetime.now(UTC)
    first = now - timedelta(days=days)
    year = {
        day * trainings + number: first + timedelta(days=day) + number * _AT
        for day in range(days)
        for number in range(trainings)
    }
    for week in range(0, days, 7):
        some = range(week * trainings, min(week + 7, days) * trainings)
        desk.copy({number: year[number] for number in some})
        desk.clean(first + timedelta(days=min(week + 7, days)), keep_days)
        print(f"{week + 7} days", flush=True)
    found["a year, with housekeeping"] = desk.found()
    with desk.engine.connect() as connection:
        asked = sa.text("SELECT id FROM dag_run WHERE id >= :base")
        there = {key - desk.base for key in connection.scalars(asked, {"base": desk.base})}
    missing = [number for number in year if number not in there]
    for start in range(0, len(missing), 7 * trainings):
        desk.copy({number: year[number] for number in missing[start : start + 7 * trainings]})
    with desk.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM (ANALYZE)"))  # as autovacuum does in a year
    found["a year, without"] = desk.found()
    began = time.perf_counter()
    done = desk.clean(datetime.now(UTC), keep_days)
    print(f"once for all: {time.perf_counter() - began:.0f} s, {done['removed']}", flush=True)
    found["then once for all"] = desk.found()
    return found


def _table(found: dict[str, dict[str, float]]) -> str:
    lines = [f"| | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for name in next(iter(found.values())):
        values = [f"{each[name]:,.0f}" for each in found.values()]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure a stack of its own, print it, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--trainings", type=int, default=40, help="a day")
    parser.add_argument("--keep-days", type=int, default=90)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "stack")
        (stack.home / "strategies" / f"{NAMES[0]}.yaml").write_text(SMALL.format(name=NAMES[0]))
        shutil.copy(DAGS / "kept.py", stack.home / "dags")
        commit(stack.home)
        try:
            stack.ok("up", "--detach", timeout=1800)
            before = _mlflow(stack)
            page = stack.json("credentials")["airflow"]
            with login(page["address"], page["user"], page["password"]) as airflow:
                desk = Desk(stack, airflow)
                grown = {part: size - before[part] for part, size in _mlflow(stack).items()}
                found = measure(desk, asked.days, asked.trainings, asked.keep_days)
        finally:
            stack.run("down")
    kept = ", ".join(f"{part} {size / 2**10:.0f} kB" for part, size in grown.items())
    table = (
        f"{asked.days} days of {asked.trainings} trainings, runs kept for {asked.keep_days} days; "
        f"times are the fastest of {_TIMES}. A training of two stocks adds to MLflow: {kept}."
        f"\n\n{_table(found)}"
    )
    print(table)
    asked.results.mkdir(exist_ok=True)
    at = asked.results / f"year-{time.strftime('%Y-%m-%d')}"
    at.with_suffix(".md").write_text(f"# A year of a desk\n\n{table}")
    at.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")


def _mlflow(stack: Stack) -> dict[str, int]:
    """Return the bytes of MLflow's database and files."""
    [(size,)] = stack.rows("SELECT pg_database_size(current_database())", database="mlflow")
    files = Layout(stack.settings.state).artifacts_dir.rglob("*")
    return {
        "database": int(size),
        "files": sum(path.stat().st_blocks * 512 for path in files if path.is_file()),
    }


if __name__ == "__main__":
    main()

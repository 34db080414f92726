"""Removes what is old from Airflow's database: runs that have ended, and what is left of them.

Not by ``airflow db clean``. That goes by the age of a row alone. So it would remove a run that has
waited for its approval for longer than runs are kept; the trigger of a waiting task, and with it,
by the foreign key, the task; and the triggers that watch streams. It stops at versions of DAGs that
are still in use (https://github.com/apache/airflow/issues/71864), and never finds a run that failed
before it began (https://github.com/apache/airflow/issues/69872).

Here a run goes as a whole, by its end: its tasks, what they returned, notes, approvals and
deadlines go with it by foreign keys. Everything else goes when no run that is left needs it. Each
batch is a transaction of its own, so a start after a crash goes on where it was.
"""

import itertools
import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["TABLES", "RemovedRows", "RunName", "remove_old_rows"]

RunName = tuple[str, str]
"""Ids of a DAG and of its run."""

_RUNS_AT_ONCE: Final = 100  # some thousand rows with all that hangs on them: half a second
_ROWS_AT_ONCE: Final = 5_000
_WORTH_A_VACUUM: Final = 1_000  # rows
_DEAD: Final = """
    SELECT relname FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname = ANY (:tables) AND n_dead_tup > :least"""
# The scheduler reads a result within seconds, and Airflow's own tables say how a task ended.
_RESULTS_KEPT: Final = timedelta(days=7)
_PATIENCE: Final = "SET LOCAL lock_timeout = '20s'"


@dataclass(frozen=True)
class _Rest:
    """Rows of a table that no run needs any more.

    Attributes
    ----------
    what : str
        For people.
    table, old : str
        In SQL; a row is called ``old``. ``:before`` is when runs must have ended, ``:now`` and
        ``:results`` speak for themselves.
    """

    what: str
    table: str
    old: str


@dataclass(frozen=True)
class RemovedRows:
    """What was removed, or would be.

    Attributes
    ----------
    counts : dict of str to int
        Rows by what they are. What hangs on a task instance is not counted.
    more : bool
        Whether there was no time for the rest.
    """

    counts: dict[str, int]
    more: bool


_OLD_RUN: Final = """
    run.state IN ('success', 'failed')
    AND coalesce(run.end_date, run.start_date, run.run_after) < :before
    AND run.id <> ALL (:kept)
    AND NOT EXISTS (
        SELECT FROM task_instance task WHERE task.dag_id = run.dag_id AND task.run_id = run.run_id
        AND task.state IN ('running', 'queued', 'deferred', 'restarting'))"""

# The newest run of each kind: by the scheduled one the scheduler finds the next. Runs that stand
# for bars that were announced: without them they would be announced, and trained on, once more.
_KEPT: Final = """
    SELECT id FROM (
        SELECT DISTINCT ON (dag_id, run_type) id FROM dag_run
        ORDER BY dag_id, run_type, run_after DESC, id DESC) newest
    UNION
    SELECT run.id FROM dag_run run JOIN asset_state_store store
        ON run.dag_id = store.last_updated_by_dag_id AND run.run_id = store.last_updated_by_run_id
    UNION
    SELECT run.id FROM dag_run run JOIN unnest(CAST(:dags AS text[]), CAST(:runs AS text[]))
        AS named (dag_id, run_id) ON run.dag_id = named.dag_id AND run.run_id = named.run_id"""

_REMOVE_RUNS: Final = f"""
    WITH old AS (
        SELECT run.id, run.dag_id, run.run_id FROM dag_run run WHERE {_OLD_RUN}
        ORDER BY run.id LIMIT {_RUNS_AT_ONCE} FOR UPDATE SKIP LOCKED),
    tasks AS (SELECT count(*) AS n FROM task_instance task JOIN old USING (dag_id, run_id)),
    gone AS (DELETE FROM dag_run USING old WHERE dag_run.id = old.id RETURNING 1)
    SELECT (SELECT count(*) FROM gone), (SELECT n FROM tasks)"""  # noqa: S608 - of constants

_COUNT_RUNS: Final = f"""
    WITH old AS (SELECT run.id, run.dag_id, run.run_id FROM dag_run run WHERE {_OLD_RUN})
    SELECT (SELECT count(*) FROM old),
        (SELECT count(*) FROM task_instance task JOIN old USING (dag_id, run_id))"""  # noqa: S608

_RESTS: Final = (
    _Rest("lines of the audit log", "log", "old.dttm < :before"),
    _Rest("jobs", "job", "old.latest_heartbeat < :before"),
    _Rest(
        "events of assets",
        "asset_event",
        # A DAG that waits for two assets has had the event of one of them.
        """old.timestamp < :before
        AND NOT EXISTS (SELECT FROM dagrun_asset_event used WHERE used.event_id = old.id)
        AND NOT EXISTS (SELECT FROM asset_dag_run_queue due WHERE due.asset_id = old.asset_id)
        AND old.id <> (SELECT max(id) FROM asset_event last WHERE last.asset_id = old.asset_id)""",
    ),
    _Rest(
        "callbacks",
        "callback",
        # One that is scheduled waits for its deadline, which goes with its run.
        """old.created_at < :before
        AND (old.state IS NULL OR old.state IN ('success', 'failed', 'scheduled'))
        AND NOT EXISTS (SELECT FROM deadline WHERE deadline.callback_id = old.id)""",
    ),
    _Rest(
        "versions of DAGs",
        "dag_version",
        """old.created_at < :before
        AND old.version_number < (
            SELECT max(version_number) FROM dag_version last WHERE last.dag_id = old.dag_id)
        AND NOT EXISTS (SELECT FROM task_instance task WHERE task.dag_version_id = old.id)
        AND NOT EXISTS (SELECT FROM dag_run run WHERE run.created_dag_version_id = old.id)""",
    ),
    _Rest("results of Celery", "celery_taskmeta", "old.date_done < :results"),
    _Rest("results of Celery's groups", "celery_tasksetmeta", "old.date_done < :results"),
    _Rest("sessions of users", "session", "old.expiry < :now"),
    _Rest("tokens that were taken back", "revoked_token", "old.exp < :now"),
)

TABLES: Final = frozenset(
    {"dag_run", "task_instance", *(rest.table for rest in _RESTS)},
)
"""Of Airflow's tables those that this removes from by itself."""


def remove_old_rows(
    engine: "Engine",
    *,
    now: datetime,
    keep_days: int,
    needed: Collection[RunName] = (),
    dry_run: bool = False,
    until: float = math.inf,
) -> RemovedRows:
    """Remove rows that are old and needed by nothing that is left.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Of Airflow's database, as its owner.
    now : datetime
        With a time zone.
    keep_days : int
        How long a run is kept after its end; 0 keeps everything for ever.
    needed : collection of (dag_id, run_id)
        Runs that are kept however old they are, beside those that wait, run, or are the newest of
        their DAG.
    dry_run : bool
        Whether rows are only counted. What a run that would go still needs is not among them.
    until : float
        When to stop between two batches, on the clock of `time.monotonic`.
    """
    if not keep_days:
        return RemovedRows({}, more=False)
    times = {
        "now": now,
        "before": now - timedelta(days=keep_days),
        "results": now - min(_RESULTS_KEPT, timedelta(days=keep_days)),
    }
    counts: dict[str, int] = {}
    with engine.connect() as connection:
        there = {row[0] for row in _ask(connection, _TABLES)}
        rests = [rest for rest in _RESTS if rest.table in there]  # Celery makes its tables late
        batches = itertools.chain(
            _runs(connection, times, needed, dry_run=dry_run),
            *(_rest(connection, rest, times, dry_run=dry_run) for rest in rests),
        )
        for batch in batches:
            for what, number in batch.items():
                counts[what] = counts.get(what, 0) + number
            if time.monotonic() > until:
                return RemovedRows(counts, more=True)
    if not dry_run:
        _vacuum(engine, [table for table in _EMPTIED if table in there])
    return RemovedRows(counts, more=False)


_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_EMPTIED: Final = (
    "dag_run", "task_instance", "task_instance_history", "task_reschedule", "task_state_store",
    "rendered_task_instance_fields", "xcom", "deadline", "dagrun_asset_event", "hitl_detail",
    "serialized_dag", "dag_code", *(rest.table for rest in _RESTS),
)  # fmt: skip


def _runs(
    connection: "Connection",
    times: dict[str, datetime],
    needed: Collection[RunName],
    *,
    dry_run: bool,
) -> Iterator[dict[str, int]]:
    """Remove runs batch by batch, and yield numbers of rows."""
    names = sorted(needed)
    asked = {"dags": [dag for dag, _ in names], "runs": [run for _, run in names]}
    # Runs that come meanwhile are young, so this is as good for every batch.
    kept = [row[0] for row in _ask(connection, _KEPT, **asked)]
    some = -1
    while some:
        statement = _COUNT_RUNS if dry_run else _REMOVE_RUNS
        [(some, tasks)] = _ask(connection, statement, before=times["before"], kept=kept)
        yield {"runs": some, "task instances": tasks}
        if dry_run:
            return


def _rest(
    connection: "Connection", rest: _Rest, times: dict[str, datetime], *, dry_run: bool
) -> Iterator[dict[str, int]]:
    """Remove rows of a table batch by batch, and yield their number."""
    chosen = f"FROM {rest.table} old WHERE {rest.old}"
    if dry_run:
        yield {rest.what: int(_ask(connection, f"SELECT count(*) {chosen}", **times)[0][0])}
        return
    remove = f"""
        WITH gone AS (
            DELETE FROM {rest.table} WHERE ctid = ANY (ARRAY(
                SELECT old.ctid {chosen} LIMIT {_ROWS_AT_ONCE} FOR UPDATE SKIP LOCKED))
            RETURNING 1)
        SELECT count(*) FROM gone"""  # noqa: S608
    some = -1
    while some:
        some = int(_ask(connection, remove, **times)[0][0])
        yield {rest.what: some}


def _ask(connection: "Connection", statement: str, **values: Any) -> list[Any]:  # noqa: ANN401
    """Run a statement in a transaction of its own, and return its rows."""
    import sqlalchemy as sa

    asked = sa.text(statement)
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    with connection.begin():
        connection.execute(sa.text(_PATIENCE))
        return list(connection.execute(asked, used))


def _vacuum(engine: "Engine", tables: Collection[str]) -> None:
    """Make the room that rows had free for others at once, and renew the planner's statistics."""
    import sqlalchemy as sa

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        asked = {"tables": list(tables), "least": _WORTH_A_VACUUM}
        for table in list(connection.scalars(sa.text(_DEAD), asked)):
            connection.execute(sa.text(f"VACUUM (ANALYZE, SKIP_LOCKED) {table}"))

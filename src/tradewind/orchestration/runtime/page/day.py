"""What Airflow's database says of the day: what ran, what runs next, who waits, what is fresh.

All open pages share one answer (`shared_answer`), so none of them asks the database by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState

from tradewind.foreign import ForeignNames

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["FOREIGN", "Broken", "Day", "Next", "Run", "Source", "Waiting", "day"]

_COLUMNS: Final = {
    "asset:AssetEvent": ("asset_id", "extra", "id", "timestamp"),
    "asset:AssetModel": ("id", "name"),
    "dag:DagModel": ("dag_id", "is_paused", "is_stale", "next_dagrun_create_after"),
    "dagrun:DagRun": (
        "dag_id", "end_date", "queued_at", "run_after", "run_id", "run_type", "start_date", "state",
    ),
    "errors:ParseImportError": ("filename", "stacktrace", "timestamp"),
    "hitl:HITLDetail": ("created_at", "responded_at", "subject", "ti_id"),
    "taskinstance:TaskInstance": ("dag_id", "id", "run_id", "state", "task_id"),
}  # fmt: skip
FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-core",
        (
            "airflow.utils.session:create_session",
            *(f"airflow.models.{of}.{name}" for of, names in _COLUMNS.items() for name in names),
        ),
        "say what ran, what runs next, and what waits for a person",
        "that part of the desk's page shows an error; the trading book and halts are not touched",
    ),
)

_RUNS: Final = 100
_NEXT: Final = 30
_MOST: Final = 200
_FORGOTTEN: Final = timedelta(days=14)  # a failure that nobody has repeated since
_BARS: Final = "bars_"


@dataclass(frozen=True)
class Run:
    """A run of a DAG; `began` and `ended` are None where it has not."""

    dag: str
    run: str
    kind: str
    state: str
    began: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Next:
    """When a DAG that goes by the clock runs next."""

    dag: str
    at: datetime


@dataclass(frozen=True)
class Waiting:
    """A task that waits for a person's answer."""

    dag: str
    run: str
    task: str
    subject: str
    since: datetime


@dataclass(frozen=True)
class Broken:
    """A DAG file that cannot be read, and its last line of why."""

    file: str
    why: str
    since: datetime | None


@dataclass(frozen=True)
class Source:
    """A source of bars that has announced some.

    `session` is the newest with a bar; None where it was announced by an earlier version.
    """

    name: str
    session: date | None
    stored: datetime


@dataclass(frozen=True)
class Day:
    """The day, newest first, and what there is most of cut off at a few hundred."""

    now: datetime
    runs: tuple[Run, ...]
    next: tuple[Next, ...]
    waiting: tuple[Waiting, ...]
    failed: tuple[Run, ...]
    broken: tuple[Broken, ...]
    sources: tuple[Source, ...]


def day() -> Day:
    """Return the day as Airflow's database has it now."""
    now = datetime.now(UTC)
    with create_session(scoped=False) as session:

        def asked(query: sa.Select[*tuple[Any, ...]], made: Callable[..., Any]) -> tuple[Any, ...]:
            return tuple(made(*row) for row in session.execute(query))

        return Day(
            now=now,
            runs=asked(_runs().order_by(_begun().desc()).limit(_RUNS), Run),
            next=asked(_next(), Next),
            waiting=asked(_waiting(), Waiting),
            failed=asked(_failed(now), Run),
            broken=asked(_broken(), _told),
            sources=_sources(session),
        )


def _begun() -> sa.ColumnElement[Any]:
    return sa.func.coalesce(DagRun.start_date, DagRun.queued_at, DagRun.run_after)


def _runs() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(
        DagRun.dag_id, DagRun.run_id, DagRun.run_type, DagRun.state, DagRun.start_date,
        DagRun.end_date,
    )  # fmt: skip


def _next() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(DagModel.dag_id, DagModel.next_dagrun_create_after)
        .where(
            DagModel.next_dagrun_create_after.is_not(None),
            DagModel.is_paused.is_(False),
            DagModel.is_stale.is_(False),
        )
        .order_by(DagModel.next_dagrun_create_after, DagModel.dag_id)
        .limit(_NEXT)
    )


def _waiting() -> sa.Select[*tuple[Any, ...]]:
    task = TaskInstance
    return (
        sa.select(task.dag_id, task.run_id, task.task_id, HITLDetail.subject, HITLDetail.created_at)
        .join(task, HITLDetail.ti_id == task.id)
        .where(
            HITLDetail.responded_at.is_(None),
            task.state.in_([TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED]),
        )
        .order_by(HITLDetail.created_at)
        .limit(_MOST)
    )


def _failed(now: datetime) -> sa.Select[*tuple[Any, ...]]:
    """Ask for runs that failed, of DAGs of which no later run has ended."""
    later = sa.orm.aliased(DagRun)
    mended = sa.exists().where(
        later.dag_id == DagRun.dag_id,
        later.run_after > DagRun.run_after,
        later.state.in_([DagRunState.SUCCESS, DagRunState.FAILED]),
    )
    return (
        _runs()
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .where(
            DagModel.is_stale.is_(False),
            DagRun.state == DagRunState.FAILED,
            DagRun.end_date > now - _FORGOTTEN,
            ~mended,
        )
        .order_by(DagRun.end_date.desc())
        .limit(_MOST)
    )


def _broken() -> sa.Select[*tuple[Any, ...]]:
    error = ParseImportError
    return (
        sa.select(error.filename, error.stacktrace, error.timestamp)
        .order_by(error.filename)
        .limit(_MOST)
    )


def _told(file: str | None, trace: str | None, since: datetime | None) -> Broken:
    lines = (trace or "").strip().splitlines()
    return Broken(file or "", lines[-1] if lines else "", since)


def _sources(session: "Session") -> tuple[Source, ...]:
    # By Airflow's API they cannot be read while a run that one began is queued
    # (https://github.com/apache/airflow/issues/71360).
    last = (
        sa.select(AssetEvent.timestamp, AssetEvent.extra)
        .where(AssetEvent.asset_id == AssetModel.id)
        .order_by(AssetEvent.timestamp.desc(), AssetEvent.id.desc())
        .limit(1)
        .lateral()
    )
    query = (
        sa.select(AssetModel.name, last.c.timestamp, last.c.extra)
        .join(last, sa.true())
        .where(AssetModel.name.startswith(_BARS, autoescape=True))
        .order_by(AssetModel.name)
        .limit(_MOST)
    )
    return tuple(
        Source(name.removeprefix(_BARS), _session(extra), stored)
        for name, stored, extra in session.execute(query)
    )


def _session(extra: object) -> date | None:
    """Return what an event says, which anybody who may announce an asset can have made."""
    told = extra.get("last_session") if isinstance(extra, dict) else None
    try:
        return date.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None

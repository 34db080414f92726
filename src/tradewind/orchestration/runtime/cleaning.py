"""Cleaning Airflow's own database and logs, in the web server, for the task of housekeeping.

A task has no access to Airflow's database, and shall have none: it runs what authors of strategies
write. The web server has both the login and the folder of logs, and knows each running task by a
token. So that one task asks it, with its token, and nobody else may. What goes is said by the
settings of the web server; the task can only name more that must stay.

A request takes half a minute or less, and says whether there is more to do.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tradewind.foreign import ForeignNames
from tradewind.orchestration.cleaning_request import DAG_ID, PATH, TASK_ID
from tradewind.orchestration.runtime.old_logs import remove_old_files, remove_old_run_logs
from tradewind.orchestration.runtime.old_rows import remove_old_rows
from tradewind.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["FOREIGN", "CleansWhenAsked", "clean"]

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-core",
        ("airflow.api_fastapi.execution_api.app:_jwt_validator",),
        "know the task of housekeeping by its token",
        "nothing is removed from Airflow's database and logs, and the task says so",
    ),
)

_AT_ONCE: Final = 20.0  # seconds
_LARGEST: Final = 4 * 2**20  # bytes of a request
_FORBIDDEN: Final = 403
_FAILED: Final = 500

log = logging.getLogger(__name__)


class CleansWhenAsked:
    """Middleware of Airflow's web server that removes what is old when housekeeping asks.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request of housekeeping, and pass on any other."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        from starlette.requests import Request  # of the web server alone
        from starlette.responses import JSONResponse

        request = Request(scope, receive)
        status, answer = await _answer(request.headers, await _body(request))
        await JSONResponse(answer, status)(scope, receive, send)


async def _body(request: Any) -> bytes:  # noqa: ANN401 - Starlette's
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _LARGEST:
            return b""
    return content


async def _answer(headers: Mapping[str, str], content: bytes) -> tuple[int, dict[str, Any]]:
    if not await _is_housekeeping(headers.get("authorization", "")):
        return _FORBIDDEN, {"detail": f"only the running task {TASK_ID} of {DAG_ID} may ask"}
    try:
        asked = json.loads(content)
        needed = [(str(dag), str(run)) for dag, run in asked["needed"]]
        dry_run = bool(asked["dry_run"])
    except (ValueError, KeyError, TypeError):
        return 400, {"detail": "no JSON with `needed` and `dry_run`"}
    try:
        return 200, await asyncio.to_thread(_clean_here, needed, dry_run=dry_run)
    except Exception as error:
        log.exception("what is old could not be removed")
        return _FAILED, {"detail": f"{type(error).__name__}: {error}"}


async def _is_housekeeping(authorization: str) -> bool:
    """Tell whether a token is that of the running task."""
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not all(names.usable() for names in FOREIGN):
        return False
    from airflow.api_fastapi.execution_api.app import _jwt_validator

    try:
        claims = await _jwt_validator().avalidated_claims(token, {})
    except Exception:  # noqa: BLE001 - of whatever kind, it is no token of a task
        return False
    # Both that with which a task is queued, which lives as long as a task may wait, and the short
    # one that it runs with are of one try of it; whether that runs, the database says.
    return await asyncio.to_thread(_is_running, str(claims["sub"]))


def _is_running(task_instance: str) -> bool:
    import sqlalchemy as sa

    running = sa.text(
        "SELECT 1 FROM task_instance WHERE CAST(id AS text) = :id AND dag_id = :dag "
        "AND task_id = :task AND state = 'running'"
    )
    engine = _engine()
    try:
        with engine.connect() as connection:
            asked = {"id": task_instance, "dag": DAG_ID, "task": TASK_ID}
            return connection.scalar(running, asked) is not None
    finally:
        engine.dispose()


def clean(
    engine: "Engine",
    task_logs: Path,
    dag_processor_logs: Path,
    *,
    now: datetime,
    keep_days: int,
    needed: Collection[tuple[str, str]] = (),
    dry_run: bool = False,
    until: float = math.inf,
) -> dict[str, Any]:
    """Remove what is old from Airflow's database and logs.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Of Airflow's database, as its owner.
    task_logs, dag_processor_logs : Path
        Folders.
    now : datetime
        With a time zone.
    keep_days : int
        0 keeps everything for ever.
    needed : collection of (dag_id, run_id)
        Runs that are kept however old they are.
    dry_run : bool
        Whether it is only counted.
    until : float
        When to stop between two batches of rows, on the clock of `time.monotonic`.

    Returns
    -------
    dict
        ``removed``: numbers by what they count; ``bytes`` of the files among it; ``sizes``: bytes
        that the database and the logs take now, by name; ``more``: whether rows are left that are
        to go. Logs go after them.

    Raises
    ------
    HousekeepingError
        If a log could not be removed; all else is done.
    """
    import sqlalchemy as sa

    rows = remove_old_rows(
        engine, now=now, keep_days=keep_days, needed=needed, dry_run=dry_run, until=until
    )
    if rows.more:
        return {"removed": rows.counts, "bytes": 0, "sizes": {}, "more": True}

    def gone(dag_id: str, run_ids: Collection[str]) -> Collection[str]:
        there = sa.text("SELECT run_id FROM dag_run WHERE dag_id = :dag AND run_id = ANY (:runs)")
        with engine.connect() as connection:
            found = connection.scalars(there, {"dag": dag_id, "runs": list(run_ids)})
            return set(run_ids) - set(found)

    options: dict[str, Any] = {"now": now, "keep_days": keep_days, "dry_run": dry_run}
    of_runs = remove_old_run_logs(task_logs, gone, **options)
    others = remove_old_files(task_logs, but="dag_id=", **options)
    parsed = remove_old_files(dag_processor_logs, **options)
    logs = (of_runs, others, parsed)
    for each in logs:
        each.check()
    with engine.connect() as connection:
        size = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    return {
        "removed": rows.counts | {"log files": sum(each.files for each in logs)},
        "bytes": sum(each.removed for each in logs),
        "sizes": {"database airflow": size, "Airflow's logs": sum(each.left for each in logs)},
        "more": False,
    }


def _clean_here(needed: Collection[tuple[str, str]], *, dry_run: bool) -> dict[str, Any]:
    """Clean what this process is configured with."""
    from airflow.configuration import conf

    engine = _engine()
    try:
        return clean(
            engine,
            Path(conf.get_mandatory_value("logging", "base_log_folder")),
            Path(conf.get_mandatory_value("logging", "dag_processor_child_process_log_directory")),
            now=datetime.now(UTC),
            keep_days=load_settings().keep_days,
            needed=needed,
            dry_run=dry_run,
            until=time.monotonic() + _AT_ONCE,
        )
    finally:
        engine.dispose()


def _engine() -> "Engine":
    import sqlalchemy as sa
    from airflow.configuration import conf

    from tradewind.postgres import KEEPALIVE

    url = sa.make_url(conf.get_mandatory_value("database", "sql_alchemy_conn"))
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=dict(KEEPALIVE))

"""The steps of housekeeping, in a Celery worker; where it has no login, it asks who has one.

Imports happen when a step runs, for this module is read with every DAG file.
"""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tradewind.orchestration.cleaning_request import PATH, TOKEN
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.settings import Settings, load_settings

if TYPE_CHECKING:
    from tradewind.desk.housekeeping import Removed

__all__ = ["airflow", "bars", "disk", "mlflow"]

log = logging.getLogger(__name__)

_LOGS: Final = "services' logs"
_TIMEOUT: Final = 600.0  # seconds; of the first request most go into looking at every log


def airflow(*, dry_run: bool) -> dict[str, Any]:
    """Have Airflow's web server remove what is old in its database and logs.

    The runs of versions in use stay, however old they are.

    Raises
    ------
    RegistryError
        If MLflow does not say which those are.
    HousekeepingError
        If the web server refuses, or could not remove everything.
    """
    import httpx
    from airflow.sdk.configuration import conf

    from tradewind.desk.housekeeping import Removed
    from tradewind.errors import HousekeepingError
    from tradewind.registry.bin import runs_in_use

    token = os.environ.pop(TOKEN, "")
    if not token:
        raise HousekeepingError(
            "this task was given no token to show to Airflow's web server: a warning in the "
            "worker's log names what this Airflow lacks"
        )
    server = conf.get("core", "execution_api_server_url").rstrip("/").removesuffix("/execution")
    asked = {"needed": sorted(runs_in_use()), "dry_run": dry_run}
    removed: Counter[str] = Counter()
    size = 0
    answer: dict[str, Any] = {"more": True}
    with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
        while answer["more"]:
            response = client.post(
                server + PATH, json=asked, headers={"Authorization": f"Bearer {token}"}
            )
            if not response.is_success:
                raise HousekeepingError(
                    f"Airflow at {server} answered {response.status_code}: {response.text[:1000]}"
                )
            answer = response.json()
            removed.update(answer["removed"])
            size += answer["bytes"]
    return _told(Removed(dict(removed), size, answer["sizes"]), dry_run=dry_run)


def mlflow(*, dry_run: bool) -> dict[str, Any]:
    """Have MLflow's server erase what was deleted long ago.

    Raises
    ------
    RegistryError
        If MLflow is out of reach or refuses.
    """
    from tradewind.desk.housekeeping import tidy_mlflow

    return _told(tidy_mlflow(dry_run=dry_run), dry_run=dry_run)


def bars(*, dry_run: bool) -> dict[str, Any]:
    """Join small files of bars, and delete those that nobody needs.

    Raises
    ------
    MarketDataError
        If a table or a snapshot is damaged.
    """
    from tradewind.desk.housekeeping import tidy_bars

    return _told(tidy_bars(load_settings(), dry_run=dry_run), dry_run=dry_run)


def disk(parts: Mapping[str, Mapping[str, Any] | None], *, now: datetime, dry_run: bool) -> None:
    """Record what everything takes, and fail if a disk will be full within a week.

    Parameters
    ----------
    parts : mapping
        What the other steps returned, by name; None of one that failed.
    now : datetime
        With a time zone.
    dry_run : bool
        Whether nothing is recorded.

    Raises
    ------
    HousekeepingError
        If the disk fills up, or a step before this one failed.
    """
    from tradewind.desk.disk import disk_usage, judged, record_sizes
    from tradewind.errors import HousekeepingError

    settings = load_settings()
    sizes = _own_sizes(settings)
    for told in parts.values():
        sizes |= (told or {}).get("sizes", {})
    for name, size in sorted(sizes.items(), key=lambda each: -each[1]):
        log.info("%s: %.1f MB", name, size / 2**20)
    if not dry_run:
        record_sizes(settings, sizes, now)
    check = judged(disk_usage(settings), settings.state)
    problems = [] if check.ok else [f"{check.problem}. To mend it: {check.mend}"]
    failed = [name for name, told in parts.items() if told is None]
    if failed:
        problems.append(f"the tasks {' and '.join(failed)} have failed, and their logs say why")
    if problems:
        raise HousekeepingError("; ".join(problems))


def _told(done: "Removed", *, dry_run: bool) -> dict[str, Any]:
    for what, number in done.removed.items():
        log.info("%s%s %s", "would remove " if dry_run else "removed ", number, what)
    log.info("%.1f MB of files", done.bytes / 2**20)
    return asdict(done)


def _own_sizes(settings: Settings) -> dict[str, int]:
    """Return the sizes of what a worker itself has the login or the folder of."""
    import sqlalchemy as sa
    from airflow.sdk.configuration import conf
    from redis import Redis

    from tradewind.postgres import open_engine
    from tradewind.stack.layout import Layout

    engine = open_engine(ledger_url(settings))
    try:
        with engine.connect() as connection:
            size = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    finally:
        engine.dispose()
    sizes = {"database tradewind": int(size or 0)}
    with Redis.from_url(conf.get("celery", "broker_url"), socket_timeout=10) as redis:
        info: Any = redis.info()
        sizes["Redis"] = int(info.get("aof_current_size") or info["used_memory"])
    logs = [path.stat() for path in Layout(settings.state).logs_dir.glob("*.log*")]
    if logs:  # in containers the engine keeps and bounds them
        sizes[_LOGS] = sum(stat.st_blocks * 512 for stat in logs)
    return sizes

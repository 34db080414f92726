"""The common parts of all DAGs: ids, retries, timeouts, alerts, pages for broken files."""

import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from airflow.sdk import (
    DAG,
    Asset,
    get_parsing_context,
    task,
)
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from tradewind.errors import TradewindError
from tradewind.orchestration import alerts
from tradewind.orchestration.retries import RETRIES, RETRY_DELAY, OutagesAreFree
from tradewind.orchestration.runtime.asked_runs import FIRST

__all__ = [
    "READ_FILE",
    "asked_for_task",
    "bars_asset",
    "broken_dags",
    "champion_asset",
    "dag_arguments",
    "defaults",
    "each_made",
    "headline",
    "id_of",
    "is_wanted",
    "signals_asset",
]

Spec = TypeVar("Spec")

# For a run of an earlier time Airflow makes no tasks, and calls it a success. Since nothing is
# caught up, it can be the first moment that a run may be asked for.
_START = FIRST
_TASK_TIMEOUT = timedelta(hours=6)
_DEADLINE = timedelta(hours=8)
READ_FILE = "read_file"  # the one task of a DAG whose file could not be read
_LONGEST_ID = 200  # Airflow allows 250 characters, with prefixes and suffixes


def bars_asset(source: str) -> Asset:
    """Return the asset that stands for the stored bars of a source."""
    return Asset(name=f"bars_{source}", uri=f"tradewind://bars/{source}", group="bars")


def champion_asset(strategy: str) -> Asset:
    """Return the asset that stands for a strategy's champion; its event is a new champion."""
    return Asset(
        name=f"champion_{strategy}", uri=f"tradewind://champion/{strategy}", group="champions"
    )


def signals_asset(strategy: str) -> Asset:
    """Return the asset that stands for a strategy's stored signals."""
    return Asset(name=f"signals_{strategy}", uri=f"tradewind://signals/{strategy}", group="signals")


def id_of(path: Path) -> str:
    """Return the name of a file as far as Airflow accepts it in an id."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)
    if len(name) <= _LONGEST_ID:
        return name
    return f"{name[:_LONGEST_ID]}_{crc32(os.fsencode(path.name)):08x}"


def headline(description: str, name: str) -> str:
    """Return the first line of a description, or the name where nothing is described."""
    return next(iter(description.strip().splitlines()), name)


def is_wanted(dag_id: str) -> bool:
    """Tell whether this parse needs a DAG: a worker needs only the one whose task it runs."""
    return get_parsing_context().dag_id in {None, dag_id}


def asked_for_task() -> str | None:
    """Return the task for which a worker parses the file; None where no task is run."""
    return get_parsing_context().task_id


def dag_arguments(*, owner: str | None = None) -> dict[str, Any]:
    """Return the arguments of every DAG here."""
    return {
        "start_date": _START,
        "catchup": False,
        # Two trainings of one strategy at once would race for the same aliases.
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
        "default_args": defaults(owner),
        "deadline": DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=_DEADLINE,
            callback=AsyncCallback(alerts.run_is_late),
        ),
    }


def defaults(owner: str | None = None) -> dict[str, Any]:
    """Return the default arguments of every task here."""
    return {
        "owner": owner or "tradewind",
        "retries": RETRIES,
        "retry_delay": RETRY_DELAY,
        "retry_policy": OutagesAreFree(),
        "execution_timeout": _TASK_TIMEOUT,
        "on_failure_callback": alerts.task_failed,
    }


def broken_dags(
    prefix: str, what: str, errors: Mapping[Path, TradewindError], taken: set[str]
) -> dict[str, DAG]:
    """Return a DAG for each file that could not be read.

    The author of the file sees the error on the page of its DAG, and in the log of the DAG's one
    task, which fails with it. A worker that runs another task, of a run that began before the file
    broke, gets the error itself.

    Parameters
    ----------
    prefix : str
        Of the DAGs' ids, such as ``"train_"``.
    what : str
        What the file should be, such as ``"strategy"``.
    errors : mapping of Path to TradewindError
        Why each file was refused.
    taken : set of str
        Ids that other DAGs have; those made here are added.

    Raises
    ------
    TradewindError
        The error itself, in a worker that should run a task which the file no longer has.
    """
    dags: dict[str, DAG] = {}
    for path, error in errors.items():
        dag_id = _free_id(prefix, path, taken)
        taken.add(dag_id)
        if is_wanted(dag_id):
            if asked_for_task() not in {None, READ_FILE}:
                raise type(error)(str(error))
            dags[dag_id] = _broken_dag(dag_id, what, path, error)
    return dags


def each_made(
    specs: Mapping[str, Spec], make: Callable[[str, Spec], dict[str, DAG]]
) -> tuple[dict[str, DAG], dict[str, str]]:
    """Return by name the DAGs of each specification, and why others have none.

    A specification of which no DAG can be made does not stop the others.

    Parameters
    ----------
    specs : mapping of str to Spec
    make : callable
        Called with a name and its specification.
    """
    dags: dict[str, DAG] = {}
    refused: dict[str, str] = {}
    for name, spec in specs.items():
        try:
            dags |= make(name, spec)
        except Exception as error:  # noqa: BLE001 - Airflow refuses what we did not foresee
            refused[name] = f"Airflow takes no DAG of {name}: {type(error).__name__}: {error}"
    return dags, refused


def _broken_dag(dag_id: str, what: str, path: Path, error: TradewindError) -> DAG:
    with DAG(
        dag_id,
        description=f"{path.name} is no valid {what}",
        doc_md=f"# {path.name} is no valid {what}\n\n```text\n{error}\n```\n\nMend the file; "
        "its real DAG takes this page's place within half a minute.",
        schedule=None,
        tags=["tradewind", "broken"],
        **dag_arguments(),
    ) as dag:

        @task(task_id=READ_FILE, retries=0)
        def read_file() -> None:
            """Fail with what is wrong with the file."""
            raise type(error)(str(error))

        read_file()
    return dag


def _free_id(prefix: str, path: Path, taken: set[str]) -> str:
    """Return an id that Airflow accepts and no other DAG has."""
    dag_id = prefix + id_of(path)
    if dag_id in taken:
        dag_id = f"{dag_id}_{path.suffix.removeprefix('.')}"
    number = 2
    unique = dag_id
    while unique in taken:
        unique = f"{dag_id}_{number}"
        number += 1
    return unique

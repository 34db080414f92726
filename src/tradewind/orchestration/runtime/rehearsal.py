"""Does once, in a worker's parent, what each task would do for the first time in its process.

Airflow forks a process for each task. Airflow and its libraries build some things when they are
first needed, such as plugins and signatures. Without this, each process would build them again.
"""

from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.listener import get_listener_manager

__all__ = ["connect_rehearsal", "rehearse"]


def rehearse(**_: object) -> None:
    """Make a DAG of tasks with the usual types of results, for practice, and load the plugins."""
    get_listener_manager()
    with DAG("rehearsal", schedule=None, auto_register=False):
        for kind in (bool, dict, float, int, list, str, tuple):

            def step(number: Any = 0) -> Any:  # noqa: ANN401
                return number

            step.__annotations__["return"] = kind  # Airflow asks whether it is a mapping
            repeated = task(step)
            repeated(repeated())


def connect_rehearsal() -> None:
    """Rehearse once, before the worker of this process, if it is one, forks its pool."""
    from celery.signals import worker_init

    worker_init.connect(rehearse, weak=False, dispatch_uid="tradewind.rehearsal")

"""What each task does for the first time in its process, done before in its worker's parent.

Airflow forks a process for each task. What is built when it is first needed, by Airflow and the
libraries below it, such as plugins, signatures and answers about classes, would be built in each.
"""

from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.listener import get_listener_manager

__all__ = ["connect_rehearsal", "rehearse"]


def rehearse(**_: object) -> None:
    """Make a DAG of tasks that return what tasks do, which nobody sees, and load the plugins."""
    get_listener_manager()
    with DAG("rehearsal", schedule=None, auto_register=False):
        for kind in (bool, dict, float, int, list, str, tuple):

            def step(number: Any = 0) -> Any:  # noqa: ANN401
                return number

            step.__annotations__["return"] = kind  # asked whether it is a mapping, each for itself
            repeated = task(step)
            repeated(repeated())


def connect_rehearsal() -> None:
    """Rehearse in the worker of this process, if it is one, before it forks its pool, once."""
    from celery.signals import worker_init

    worker_init.connect(rehearse, weak=False, dispatch_uid="tradewind.rehearsal")

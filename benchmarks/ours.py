"""Ours, in a checkout of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.stack.airflow import Airflow, login
from tests.stack.conftest import Stack

__all__ = ["running"]


@contextmanager
def running(stack: Stack) -> Iterator[Airflow]:
    """Start a stack, yield the administrator's session with its Airflow, and stop it."""
    try:
        stack.ok("up", "--detach", timeout=1800)
        page = stack.json("credentials")["airflow"]
        with login(page["address"], page["user"], page["password"]) as airflow:
            yield airflow
    finally:
        stack.run("down")

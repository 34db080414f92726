"""The flows as Airflow reads them; the same file in ours and in stock."""

import time
from typing import Any

import work
from airflow.sdk import dag, task

OPTIONS: dict[str, Any] = {"schedule": None, "is_paused_upon_creation": False}


@task
def step(number: float) -> float:
    """One of a chain."""
    return work.step(number)


@dag(**OPTIONS)
def chain() -> None:
    """Run eight, one after the other."""
    number: Any = 0.0  # what a task returns is handed over by reference
    for _ in range(8):
        number = step(number)


@task
def numbers() -> list[int]:
    """Return what is fanned out."""
    return list(range(60))


@task
def square(number: int) -> int:
    """One of many."""
    return work.square(number)


@task
def total(squares: list[int]) -> int:
    """Join them."""
    return sum(squares)


@dag(**OPTIONS)
def fan() -> None:
    """Run sixty at once."""
    squares: Any = square.expand(number=numbers())
    total(squares)


@task
def first_line() -> float:
    """Return when it began."""
    return time.time()


@dag(**OPTIONS)
def latency() -> None:
    """Run one task."""
    first_line()


chain()
fan()
latency()

"""The chain as a Prefect flow, served as its first tutorial serves one."""

import os
from pathlib import Path

import work
from prefect import flow, task


@task
def step(number: float) -> float:
    """One of a chain."""
    return work.step(number)


@flow
def chain() -> None:
    """Run eight, one after the other."""
    number = 0.0
    for _ in range(8):
        number = step(number)
    Path(os.environ["BENCHMARK_RESULT"]).write_text(repr(number))


if __name__ == "__main__":
    chain.serve(name="benchmark")

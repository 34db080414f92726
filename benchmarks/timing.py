"""Runs of a flow in several systems, in turn."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.table import Goal, Row, row

__all__ = ["Timed", "in_turn"]


@dataclass(frozen=True)
class Timed:
    """One run.

    Attributes
    ----------
    asked, began, ended : float
        Epoch seconds: when it was asked for, by our clock; its start and its end as the system
        itself keeps them.
    result : float
        What its last step gave.
    """

    asked: float
    began: float
    ended: float
    result: float


def in_turn(
    number: int,
    name: str,
    systems: Mapping[str, Callable[[], Timed]],
    runs: int,
    goals: Iterable[Goal],
) -> list[Row]:
    """Run a flow in each system, one after the other, as often as asked.

    A first run of each is not timed: it shows that all give the same result.

    Raises
    ------
    ValueError
        If results differ, then or later.
    """
    found: dict[str, list[Timed]] = {who: [run()] for who, run in systems.items()}
    _agree(found)
    for _ in range(runs):
        for who, run in systems.items():
            found[who].append(run())
    _agree(found)
    timed = {who: each[1:] for who, each in found.items()}
    return [
        row(
            number,
            f"{name}: start to end, by its own records",
            "s",
            {who: [run.ended - run.began for run in each] for who, each in timed.items()},
            goals,
        ),
        row(
            number,
            f"{name}: trigger to end",
            "s",
            {who: [run.ended - run.asked for run in each] for who, each in timed.items()},
        ),
    ]


def _agree(found: Mapping[str, list[Timed]]) -> None:
    results = {who: {run.result for run in each} for who, each in found.items()}
    if len(set().union(*results.values())) != 1:
        raise ValueError(f"the systems do not agree: {results}")

"""Runs of a flow in several systems, in turn."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.table import Row, Times, row

__all__ = ["Timed", "in_turn"]

RUNS, RUNS_IF_LONG, LONG_SECONDS = 5, 3, 60


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
    goals: Iterable[Times],
    *,
    quick: bool,
) -> list[Row]:
    """Run a flow in each system, one after the other; goals of systems that are left out are, too.

    A first run of each is not timed: it shows that all give the same result. Quick, there is one
    more.

    Raises
    ------
    ValueError
        If results differ, then or later.
    """
    found: dict[str, list[Timed]] = {who: [run()] for who, run in systems.items()}
    _agree(found)
    took = {who: first.ended - first.asked for who, [first] in found.items()}
    long = {who for who, seconds in took.items() if seconds > LONG_SECONDS}
    for turn in range(1 if quick else RUNS):
        for who, run in systems.items():
            if turn < RUNS_IF_LONG or who not in long:
                found[who].append(run())
    _agree(found)
    return _rows(number, name, {who: each[1:] for who, each in found.items()}, goals)


def _rows(
    number: int, name: str, timed: Mapping[str, list[Timed]], goals: Iterable[Times]
) -> list[Row]:
    return [
        row(
            number,
            f"{name}: start to end, by its own records",
            "s",
            {who: [run.ended - run.began for run in each] for who, each in timed.items()},
            [goal for goal in goals if goal.other in timed],
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

"""What a benchmark found: a row a question, ours beside the others, with its goal."""

import operator
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["AtMost", "Goal", "Row", "Times", "row", "table"]

OURS = "ours"


@dataclass(frozen=True)
class AtMost:
    """Ours is no more than a number, in the row's unit; or no less."""

    limit: float
    least: bool = False

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}"

    def met(self, ours: float, ratios: Mapping[str, float]) -> bool:
        """Tell whether a median reaches it."""
        del ratios
        return (operator.ge if self.least else operator.le)(ours, self.limit)


@dataclass(frozen=True)
class Times:
    """Ours is so many times better than another; below one is worse."""

    other: str
    factor: float

    def __str__(self) -> str:
        return f">= {self.factor:g}x {self.other}"

    def met(self, ours: float, ratios: Mapping[str, float]) -> bool:
        """Tell whether ours is that much better."""
        del ours
        return ratios[self.other] >= self.factor


Goal = AtMost | Times


@dataclass(frozen=True)
class Row:
    """One line of the table, and one object of the JSON.

    Attributes
    ----------
    row : int
        Number of the question; several rows may answer one.
    name : str
    ours : float
        Median.
    others : dict of str to float
        Medians of the others, measured in the same run.
    unit : str
    ratio : dict of str to float
        How many times better ours is than each.
    goal : str
        Empty where nothing is asked for.
    met : bool
    runs : int
    spread : dict of str to list
        Least and most, of ours and of each other.
    """

    row: int
    name: str
    ours: float
    others: dict[str, float]
    unit: str
    ratio: dict[str, float]
    goal: str
    met: bool
    runs: int
    spread: dict[str, list[float]]

    def as_json(self) -> dict[str, Any]:
        """Return it as the object that is kept."""
        return asdict(self)


def row(
    number: int,
    name: str,
    unit: str,
    found: Mapping[str, Sequence[float]],
    goals: Iterable[Goal] = (),
    *,
    more_is_better: bool = False,
) -> Row:
    """Sum up what was measured.

    Parameters
    ----------
    number : int
    name : str
    unit : str
    found : mapping of str to sequence of float
        One number a run: of ``ours``, and of each other by name.
    goals : iterable of Goal
    more_is_better : bool
        Of two rates the higher is better, of two durations the lower.
    """
    medians = {who: statistics.median(numbers) for who, numbers in found.items()}
    ours = medians.pop(OURS)
    ratio = {
        who: ours / median if more_is_better else median / ours for who, median in medians.items()
    }
    goals = list(goals)
    return Row(
        row=number,
        name=name,
        ours=ours,
        others=medians,
        unit=unit,
        ratio=ratio,
        goal=", ".join(map(str, goals)),
        met=all(goal.met(ours, ratio) for goal in goals),
        runs=min(len(numbers) for numbers in found.values()),
        spread={who: [min(numbers), max(numbers)] for who, numbers in found.items()},
    )


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| # | what | ours | others, and how many times ours is better | goal | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in rows:
        ours = _number(each.ours, each.unit, each.spread[OURS])
        others = "; ".join(
            f"{who} {_number(median, each.unit, each.spread[who])}: {each.ratio[who]:.2g}x"
            for who, median in each.others.items()
        )
        verdict = ("met" if each.met else "**not met**") if each.goal else ""
        lines.append(f"| {each.row} | {each.name} | {ours} | {others} | {each.goal} | {verdict} |")
    return "\n".join(lines)


def _number(median: float, unit: str, spread: Sequence[float]) -> str:
    low, high = map(_short, spread)
    return f"{_short(median)} {unit} ({low} to {high})"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"

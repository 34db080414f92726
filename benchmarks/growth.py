"""What grows with a number of things: how much, and whether faster than they do."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from benchmarks.table import AtMost, Row, row

__all__ = ["growth"]

NOISE = 1.1  # 1 is linear


def growth(
    number: int, name: str, unit: str, things: str, found: Mapping[int, Sequence[float]]
) -> list[Row]:
    """Return a row a size, and one from each size to the next: what a single thing's share became.

    Parameters
    ----------
    number : int
        Of the question.
    name, unit : str
        What was measured.
    things : str
        What there are more and more of.
    found : mapping of int to sequence of float
        By size, smallest first; a number a run, of the largest perhaps fewer.
    """
    rows = [
        row(number, f"{name}, {size:,} {things}", unit, {"ours": runs})
        for size, runs in found.items()
    ]
    for less, more in pairwise(found):
        shares = [
            after / before / (more / less)
            for before, after in zip(found[less], found[more], strict=False)
        ]
        title = f"{name}, the share of one at {more:,} {things} against {less:,}"
        rows.append(row(number, title, "x", {"ours": shares}, [AtMost(NOISE)]))
    return rows

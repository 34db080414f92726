"""Two tables of the same features, compared: where they differ first, and how."""

from dataclasses import dataclass
from typing import Final

import polars as pl

__all__ = ["Difference", "are_codes", "difference", "rounding", "same_but_for_codes"]

_TOLERANCE: Final = 1e-4
_ROUNDING: Final = 1e-12
_MOST_CODES: Final = 1000


@dataclass(frozen=True)
class Difference:
    """Where two tables differ first.

    Attributes
    ----------
    column : str
    row : int
    one, other : float or None
        Their values; None where undefined.
    """

    column: str
    row: int
    one: float | None
    other: float | None

    def values(self) -> str:
        """Return both values in words."""
        one, other = (
            "undefined" if value is None else repr(value) for value in (self.one, self.other)
        )
        return f"{one}, but {other}"


def difference(
    one: pl.DataFrame, other: pl.DataFrame, allowed: dict[str, float] | None = None
) -> Difference | None:
    """Return the first difference, column by column; None if there is none.

    Parameters
    ----------
    one, other : DataFrame of shape (n_rows, n_columns)
        Float64, finite or null.
    allowed : dict of str to float, optional
        By how much each column may differ; if not given, each value must be the same.
    """
    if allowed is None and one.equals(other):
        return None
    for column in one.columns:
        now, then = one[column], other[column]
        same = now.eq_missing(then)
        if allowed is not None:
            same |= ((now - then).abs() <= allowed[column]).fill_null(value=False)
        if not same.all():
            row = (~same).arg_max() or 0
            return Difference(column, row, now[row], then[row])
    return None


def rounding(table: pl.DataFrame) -> dict[str, float]:
    """Return by how much each column may change if only its rounding changes."""
    return {
        column: _TOLERANCE * _figure(table[column].std()) + _ROUNDING * _figure(largest)
        for column in table.columns
        for largest in [table[column].abs().max()]
    }


def are_codes(column: pl.Series) -> bool:
    """Return whether a column holds small whole numbers only, as codes of categories are."""
    known = column.drop_nulls()
    return bool((known == known.round()).all() and known.is_between(0, _MOST_CODES).all())


def same_but_for_codes(one: pl.Series, other: pl.Series) -> bool:
    """Return whether two columns of codes sort their rows into the same classes."""
    pairs = pl.DataFrame({"one": one, "other": other}).unique()
    return pairs.height == one.n_unique() == other.n_unique()


def _figure(value: object) -> float:
    return value if isinstance(value, float) else 0.0

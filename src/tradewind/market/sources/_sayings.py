"""Collects what sources say differently, and which symbols are undecided for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.market.validation.disagreements import SCHEMA

__all__ = ["Sayings"]


class Sayings:
    """Who said what, by bar.

    Parameters
    ----------
    sources : sequence of str
        In the order in which they count.
    keys : DataFrame of shape (n_bars, 2)
        Symbol and session of each bar that a place is of.
    """

    def __init__(self, sources: Sequence[str], keys: pl.DataFrame) -> None:
        self.sources = tuple(sources)
        self._keys = keys
        self._parts: list[pl.DataFrame] = []

    def add(
        self,
        rule: str,
        field: str,
        places: NDArray[np.intp],
        values: NDArray[np.float64],
        *,
        taken: NDArray[np.bool_],
        decided: NDArray[Any],
        note: str = "",
    ) -> None:
        """Take what each source says of some bars.

        Parameters
        ----------
        rule, field : str
        places : ndarray of shape (n_found,)
            Of bars.
        values, taken : ndarray of shape (n_sources, n_found)
            What each says, NaN for nothing, and whether that holds.
        decided : ndarray of str, shape (n_found,)
            What decided; empty where nothing did.
        note : str
        """
        if not places.size:
            return
        count = len(self.sources)
        self._parts.append(
            self._keys[places]
            .select(pl.all().repeat_by(count).explode())
            .with_columns(
                rule=pl.lit(rule),
                field=pl.lit(field),
                source=pl.Series(list(self.sources) * places.size),
                value=pl.Series(values.T.ravel()).fill_nan(None),
                taken=pl.Series(taken.T.ravel()),
                decided=pl.Series(np.repeat(decided, count).tolist(), dtype=pl.String),
                note=pl.lit(note),
            )
        )

    def table(self) -> pl.DataFrame:
        """Return all of it."""
        return pl.concat([pl.DataFrame(schema=SCHEMA), *self._parts])

    def undecided(self) -> list[str]:
        """Return the symbols that something is undecided of, sorted."""
        names = self.table().filter(pl.col("decided") == "").get_column("symbol")
        return names.unique().sort().to_list()

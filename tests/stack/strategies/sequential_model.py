"""One layer of tanh units with weights drawn once, and the last layer by least squares."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Network:
    """An extreme learning machine over the last sessions."""

    def __init__(self, hidden: int) -> None:
        self.hidden = hidden

    def fit(self, features: pl.DataFrame, labels: pl.Series, *, context: Any) -> None:
        """Draw the first layer, and fit the last."""
        seen = features["history"].to_numpy()
        draws = np.random.default_rng(context.seed)
        self.first: Numbers = draws.normal(size=(seen[0].size, self.hidden))
        self.last = np.linalg.lstsq(self._layer(seen), labels.to_numpy(), rcond=None)[0]
        context.log.info("fitted %d units on %d rows", self.hidden, len(seen))

    def predict(self, features: pl.DataFrame) -> Numbers:
        """Return one number a row."""
        found: Numbers = (self._layer(features["history"].to_numpy()) * self.last).sum(axis=1)
        return found

    def save(self, folder: Path) -> None:
        """Keep both layers."""
        np.savez(folder / "layers.npz", first=self.first, last=self.last)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what was saved."""
        with np.load(folder / "layers.npz") as layers:
            made = cls(layers["last"].size)
            made.first, made.last = layers["first"], layers["last"]
        return made

    def _layer(self, seen: Numbers) -> Numbers:
        rows = seen.reshape(len(seen), -1)
        # Sums along each row: BLAS rounds a row differently in another batch.
        layer: Numbers = np.tanh((rows[:, :, None] * self.first).sum(axis=1))
        return layer

"""A small recurrent network in PyTorch, over the last sessions of each symbol.

Lay this file beside your strategy files, and `torch` into requirements.txt. In the strategy file:

    model:
      kind: custom
      class: "pytorch_network:Network"
      parameters: {hidden: 8, epochs: 60}
      lookback: 10
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch


class Network:
    """One layer of gated recurrent units, and a linear one on its last state."""

    def __init__(self, hidden: int = 8, epochs: int = 60, rate: float = 0.01) -> None:
        self.hidden, self.epochs, self.rate = hidden, epochs, rate

    def fit(self, features: pl.DataFrame, labels: pl.Series, *, context: Any) -> None:  # noqa: ANN401
        """Train on all rows at once, by Adam."""
        torch.manual_seed(context.seed)
        torch.set_num_threads(1)  # sums over several are rounded otherwise
        seen, wanted = _tensor(features["history"]), _tensor(labels)
        self.mean, self.spread, self.unit = seen.mean((0, 1)), seen.std((0, 1)), wanted.std()
        self._build(inputs=seen.shape[2])
        steps = torch.optim.Adam(self.layers.parameters(), lr=self.rate)
        for _ in range(self.epochs):
            steps.zero_grad()
            loss = torch.nn.functional.mse_loss(self._ask(seen), wanted / self.unit)
            loss.backward()
            steps.step()
        context.log.info("loss %.4f after %d epochs", loss.item(), self.epochs)

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        """Return one number a row, in units of the label."""
        torch.set_num_threads(1)
        with torch.no_grad():
            return (self._ask(_tensor(features["history"])) * self.unit).numpy().astype(float)

    def save(self, folder: Path) -> None:
        """Write all numbers, and no pickle, as torch.save would."""
        numbers = {f"layers.{name}": each for name, each in self.layers.state_dict().items()}
        numbers |= {"mean": self.mean, "spread": self.spread, "unit": self.unit}
        np.savez(folder / "network.npz", **{name: each.numpy() for name, each in numbers.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the network that was saved."""
        with np.load(folder / "network.npz") as kept:
            numbers = {name: torch.from_numpy(kept[name]) for name in kept.files}
        made = cls(hidden=numbers["layers.last.weight"].shape[1])
        made.mean, made.spread, made.unit = (
            numbers.pop(each) for each in ("mean", "spread", "unit")
        )
        made._build(inputs=len(made.mean))
        made.layers.load_state_dict(
            {name.removeprefix("layers."): each for name, each in numbers.items()}
        )
        return made

    def _build(self, inputs: int) -> None:
        self.layers = torch.nn.ModuleDict(
            {
                "states": torch.nn.GRU(inputs, self.hidden, batch_first=True),
                "last": torch.nn.Linear(self.hidden, 1),
            }
        )

    def _ask(self, seen: torch.Tensor) -> torch.Tensor:
        states, _ = self.layers["states"]((seen - self.mean) / self.spread)
        return self.layers["last"](states[:, -1]).squeeze(1)


def _tensor(values: pl.Series) -> torch.Tensor:
    return torch.from_numpy(values.to_numpy().astype(np.float32))

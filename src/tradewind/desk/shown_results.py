"""Results of others that show themselves: what they are, and a table of it."""

from dataclasses import dataclass

from tradewind.desk.shown import Column, Right, Shown, Table
from tradewind.registry.comparison import Comparison
from tradewind.research.words import words_of
from tradewind.trading.signals import SignalSet

__all__ = ["ShownComparison", "ShownSignals"]


@dataclass(frozen=True, repr=False)
class ShownComparison(Comparison, Shown):
    """Two versions side by side."""

    def table(self) -> Table:
        """Return the figures of both, with their units, and in what they differ."""
        rows = []
        for metric, values in self.metrics.items():
            name, write = words_of(metric)
            rows.append((name, *("" if value is None else write(value) for value in values)))
        differing = ", ".join([*self.provenance, *self.strategy]) or "nothing"
        _, ratio = words_of("sharpe")
        known = self.sharpe_difference, self.low, self.high
        found, low, high = ("undefined" if each is None else ratio(each) for each in known)
        return Table(
            (
                Column("walk-forward, after costs"),
                Right(f"version {self.version_a}"),
                Right(f"version {self.version_b}"),
            ),
            tuple(rows),
            title=self.name,
            note=f"Sharpe ratio of version {self.version_b} less that of version "
            f"{self.version_a} on {self.common_sessions} common sessions: {found}, "
            f"{self.level:.0%} interval {low} to {high}. What differs: {differing}.",
        )


@dataclass(frozen=True, repr=False)
class ShownSignals(SignalSet, Shown):
    """What a champion wants to hold."""

    def table(self) -> Table:
        """Return the weights, as percent of equity."""
        return Table(
            (Column("symbol"), Right("weight, of equity")),
            tuple((symbol, f"{weight:+.2%}") for symbol, weight in self.weights.items()),
            title=f"{self.strategy} version {self.model_version}: decided after {self.session} "
            f"for the open of {self.trade_session}",
        )

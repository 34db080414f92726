"""A registered version of a model, to be looked at and to predict with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tradewind.desk.shown import Column, Right, Shown, Table
from tradewind.settings import Settings

if TYPE_CHECKING:
    from tradewind.desk.registry import Forecast
    from tradewind.registry.version_info import VersionInfo

__all__ = ["ModelVersion"]


@dataclass(frozen=True)
class ModelVersion(Shown):
    """A version as the registry has it; an alias that moves later does not change it.

    Returned by `tradewind.Desk.champion`, `tradewind.Desk.train`, `tradewind.Desk.register` and
    `tradewind.Desk.models`.

    Parameters
    ----------
    settings : Settings
    info : VersionInfo
        All that the registry knows of it: tags, run, what the gate said of each rule.
    """

    settings: Settings = field(repr=False)
    info: "VersionInfo"

    @property
    def name(self) -> str:
        """The model's, and the strategy's."""
        return self.info.name

    @property
    def version(self) -> int:
        """Its number."""
        return self.info.version

    @property
    def aliases(self) -> tuple[str, ...]:
        """What it was when it was asked for, such as champion."""
        return self.info.aliases

    @property
    def metrics(self) -> Mapping[str, float]:
        """Walk-forward figures, by name; returns, drawdowns and costs are fractions."""
        return self.info.metrics

    @property
    def passed(self) -> bool | None:
        """Whether it passed its gate; None if it was not judged."""
        return None if self.info.decision is None else self.info.decision.passed

    @property
    def refused(self) -> dict[str, str]:
        """Why the gate refused it, by rule; empty if it did not."""
        decision = self.info.decision
        return {} if decision is None else {rule.rule: rule.reason for rule in decision.refused}

    def predict(self) -> "Forecast":
        """Predict the last session of its source.

        Raises
        ------
        RegistryError
            If the model cannot be fetched, or MLflow is out of reach.
        MarketDataError
            If its source cannot give bars, or they break a rule.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import registry

        return registry.predict(self.settings, self.name, version=self.version)

    def table(self) -> Table:
        """Return the figures that are looked at first, with their units."""
        from tradewind.research.tearsheet.report import MAIN_FIGURES
        from tradewind.research.words import EXTERNAL_IN_WORDS, words_of

        rows = []
        for metric in MAIN_FIGURES:
            if metric in self.metrics:
                name, write = words_of(metric)
                rows.append((name, write(self.metrics[metric])))
        said = (self.info.verdict, EXTERNAL_IN_WORDS if self.info.external else "")
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return Table(
            (Column("walk-forward, after costs"), Right("value")),
            tuple(rows),
            title=f"{self.name} version {self.version}{aliases}",
            note=" ".join([*(f"{each}." for each in said if each), self._gate()]),
        )

    def _gate(self) -> str:
        if self.passed is None:
            return "The gate has not judged it."
        if self.passed:
            return "It passed its gate."
        return f"The gate refused it: {'; '.join(f'{k}: {v}' for k, v in self.refused.items())}."

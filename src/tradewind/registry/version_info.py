"""What is known of a registered version, and of a registered model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tradewind.registry import _names as names
from tradewind.registry.gate import Decision

__all__ = ["ModelSummary", "RunStage", "VersionInfo"]

RunStage = Literal["active", "deleted", "gone"]
"""Of a version's run: there, in MLflow's bin (from where it can be restored), or gone for good with
the evidence that it kept."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A registered version and the evidence it was registered with."""

    name: str
    version: int
    aliases: tuple[str, ...]
    run_id: str
    metrics: Mapping[str, float]
    """Totals over all folds; those of the folds stand in the run."""
    tags: Mapping[str, str]
    created: datetime
    decision: Decision | None
    """What the gate said; None if it was not asked."""
    verdict: str = ""
    """Whether it is better than its benchmark, in words; empty where nobody knows."""
    experiment_id: str = ""
    """Of the run; empty without one."""
    run_stage: RunStage = "active"

    @property
    def pickled(self) -> bool:
        """Whether it is a pickle, so that code of the registry's runs where it is loaded."""
        return self.tags.get(names.PICKLE) == "true"

    @property
    def external(self) -> bool:
        """Whether its predictions were made elsewhere: nobody knows whether without the future."""
        return self.tags.get(names.EXTERNAL) == "true"


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A registered model: its newest version, and which version carries which alias."""

    name: str
    latest: VersionInfo | None
    """None for a model that was named and never got a version."""
    aliases: Mapping[str, int]

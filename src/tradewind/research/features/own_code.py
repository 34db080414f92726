"""Functions of the user's own that compute features, and the hash of their code.

How they are found and run is said in `tradewind.research.code.own`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewind.errors import StrategyError, TradewindError
from tradewind.research.code.own import OwnCode, code_of_model, hash_of
from tradewind.research.strategy.features import Across, Custom
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "CustomFeature",
    "custom_features",
    "feature_code_hash",
    "functions_and_files",
    "own_code_hash",
]


@dataclass(frozen=True, slots=True)
class CustomFeature:
    """A feature of the user's own, and where the strategy file asks for it."""

    spec: Custom | Across
    code: OwnCode

    @property
    def module(self) -> str:
        """Name of the module its function is in."""
        return self.code.module

    def refusal(self, reason: str) -> StrategyError:
        """Return the error that names strategy, field, function and reason."""
        return self.code.refusal(reason)

    def source(self) -> tuple[Path, bytes]:
        """Find the module; see `OwnCode.source`."""
        return self.code.source()

    def function(self) -> Callable[..., Any]:
        """Run the module and return the function; see `OwnCode.load`."""
        return self.code.load()[0]


def custom_features(strategy: Strategy) -> tuple[CustomFeature, ...]:
    """Return the features of the user's own, each once, also those that are only inputs."""
    found: dict[str, CustomFeature] = {}
    for place, spec in strategy.own_functions:
        code = OwnCode(strategy.name, f"{place}.{spec.kind}.function", spec.function)
        found.setdefault(spec.column, CustomFeature(spec, code))
    return tuple(found.values())


def functions_and_files(strategy: Strategy) -> str:
    """Return functions and files in words: ``my_features:gap (strategies/my_features.py)``."""
    found: dict[str, None] = {}
    for feature in custom_features(strategy):
        try:
            found[f"{feature.spec.function} ({feature.source()[0]})"] = None
        except TradewindError:  # it is gone meanwhile
            found[feature.spec.function] = None
    return ", ".join(found)


def feature_code_hash(strategy: Strategy) -> str | None:
    """Return the SHA-256 of the code that computes the strategy's own features.

    Returns
    -------
    str or None
        Of the lines ``<SHA-256 of the file>  <module>``, one a module, sorted; None if the
        strategy has no feature of its own.

    Raises
    ------
    StrategyError
        If a module cannot be found or read.
    SettingsError
        If the settings, which say where the strategy files are, cannot be read.
    """
    sources = {feature.module: feature.source()[1] for feature in custom_features(strategy)}
    return hash_of(sources) if sources else None


def own_code_hash(strategy: Strategy) -> str:
    """Return the SHA-256 of all code of the desk's own that a strategy names: features and model.

    It tells trials apart. Without a model of its own it is `feature_code_hash`; empty without any.

    Raises
    ------
    StrategyError, SettingsError
        As `feature_code_hash` does.
    """
    sources = {feature.module: feature.source()[1] for feature in custom_features(strategy)}
    if strategy.model.own_code is not None:
        code = code_of_model(strategy)
        sources[code.module] = code.source()[1]
    return hash_of(sources) if sources else ""

"""Functions of the user's own that compute features: where their code is, and its hash.

A function is named ``module:function``. The module is a file beside the strategy files
(``my_features:gap`` is in ``strategies/my_features.py``), or else an installed one. Its source is
read and run anew each time features are computed, never taken from Python's caches. So a worker
that lives for weeks computes with the file as it is now, and the hash is that of the code that
runs. A module is one file: its imports are not read again, and are not part of the hash.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tradewind.errors import StrategyError, TradewindError
from tradewind.research.features.time_limit import time_limit
from tradewind.research.strategy.feature_files import file_of, read_code, why_no_module
from tradewind.research.strategy.features import Across, Custom
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

__all__ = [
    "SECONDS",
    "CustomFeature",
    "custom_features",
    "feature_code_hash",
    "functions_and_files",
    "told",
]

SECONDS: Final = 120.0
"""How long a module, or a function that makes an expression, may run."""


@dataclass(frozen=True, slots=True)
class CustomFeature:
    """A feature of the user's own, and where the strategy file asks for it."""

    strategy: str
    field: str
    """Such as ``features.0``, or ``features.3.rank.of`` where it is the input of a rank."""
    spec: Custom | Across

    @property
    def module(self) -> str:
        """Name of the module its function is in."""
        return self.spec.function.partition(":")[0]

    def refusal(self, reason: str) -> StrategyError:
        """Return the error that names strategy, field, function and reason."""
        return StrategyError(
            f"strategy {self.strategy}: {self.field}.{self.spec.kind}.function: "
            f"{self.spec.function}: {reason}"
        )

    def source(self) -> tuple[Path, bytes]:
        """Find the module; return its file and its content.

        Raises
        ------
        StrategyError
            If it cannot be found or read.
        SettingsError
            If the settings, which say where the strategy files are, cannot be read.
        """
        path = self._find()
        try:
            return path, read_code(path)
        except OSError as error:
            raise self.refusal(f"{path} cannot be read: {error.strerror or error}") from error

    def function(self) -> Callable[..., Any]:
        """Run the module and return the function.

        Raises
        ------
        StrategyError
            If the module cannot be found, read or run, or has no such function.
        SettingsError
            If the settings, which say where the strategy files are, cannot be read.
        """
        path, source = self.source()
        name = self.spec.function.partition(":")[2]
        function = getattr(self._run(path, source), name, None)
        if not callable(function):
            raise self.refusal(f"{path} has no function {name}")
        return function  # type: ignore[no-any-return]

    def _find(self) -> Path:
        directory = load_settings().strategies_dir
        beside = file_of(self.module, directory)
        if os.path.lexists(beside):
            return beside
        if problem := why_no_module(self.module, beside):
            raise self.refusal(problem)
        importlib.invalidate_caches()  # it may have been installed since this process started
        try:
            found = importlib.util.find_spec(self.module)
        except Exception as error:
            # To find it, its parent packages are run, which may raise anything.
            raise self.refusal(f"cannot be imported: {told(error)}") from error
        if found is None:
            raise self.refusal(f"there is no {beside}, and no installed module {self.module}")
        if found.origin is None or not found.origin.endswith(".py"):
            raise self.refusal(f"{self.module} is not one Python file, so it cannot be hashed")
        return Path(found.origin)

    def _run(self, path: Path, source: bytes) -> ModuleType:
        # Under a name of its own: two folders of strategies may both have a my_features.py, and an
        # installed module must stay as it is for others. Registered by that name, for dataclasses
        # look up their module.
        digest = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()
        module = ModuleType(f"tradewind_feature_{digest[:32]}")
        module.__file__ = str(path)
        package = path.name == "__init__.py"
        module.__package__ = self.module if package else self.module.rpartition(".")[0]
        sys.modules[module.__name__] = module
        try:
            with time_limit(SECONDS):
                exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
        # A SystemExit would end the task without a word.
        except (Exception, SystemExit) as error:
            del sys.modules[module.__name__]
            raise self.refusal(f"{path} cannot be run: {told(error)}") from error
        return module


def custom_features(strategy: Strategy) -> tuple[CustomFeature, ...]:
    """Return the features of the user's own, each once, also those that are only inputs."""
    found: dict[str, CustomFeature] = {}
    for field, spec in strategy.own_functions:
        found.setdefault(spec.column, CustomFeature(strategy.name, field, spec))
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
    if not sources:
        return None
    lines = [
        f"{hashlib.sha256(source).hexdigest()}  {module}\n"
        for module, source in sorted(sources.items())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def told(error: BaseException) -> str:
    """Return an error's kind and message in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

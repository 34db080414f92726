"""Functions and classes of the desk's own, by name: where their code is, and what it is.

One is named ``module:name``. The module is a file beside the strategy files (``my_features:gap`` is
in ``strategies/my_features.py``), or else an installed one. Its source is read and run anew each
time, never taken from Python's caches. So a worker that lives for weeks runs the file as it is now,
and the hash is that of the code that runs. A module is one file: its imports are not read again,
and are not part of the hash.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final

from tradewind.errors import ResearchError, StrategyError
from tradewind.research.code.time_limit import time_limit
from tradewind.research.strategy.code_files import file_of, read_code, why_no_module
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

__all__ = [
    "SECONDS",
    "OwnCode",
    "code_of_model",
    "hash_of",
    "kept_sources",
    "model_code_hash",
    "run",
    "sources_kept",
    "told",
]

SECONDS: Final = 120.0
"""How long a module may run."""


Kept = Mapping[str, tuple[Path, bytes]]
_NOTHING: Final[Kept] = MappingProxyType({})
_KEPT: ContextVar[Kept] = ContextVar("sources of before", default=_NOTHING)


def kept_sources() -> Kept:
    """Return file and content of each module that takes the place of today's, by its name."""
    return dict(_KEPT.get())


@contextmanager
def sources_kept(kept: Kept) -> Iterator[None]:
    """Have modules found as they were, such as where a version is trained once more."""
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


@dataclass(frozen=True, slots=True)
class OwnCode:
    """What a strategy file names, and where it does."""

    strategy: str
    place: str
    """Such as ``features.0.custom.function`` or ``model.class``."""
    name: str
    """As ``module:name``."""

    @property
    def module(self) -> str:
        """Name of the module that it is in."""
        return self.name.partition(":")[0]

    @property
    def attribute(self) -> str:
        """What it is called there."""
        return self.name.partition(":")[2]

    def refusal(self, reason: str) -> StrategyError:
        """Return the error that names strategy, place, code and reason."""
        return StrategyError(f"strategy {self.strategy}: {self.place}: {self.name}: {reason}")

    def source(self) -> tuple[Path, bytes]:
        """Find the module; return its file and its content.

        Raises
        ------
        StrategyError
            If it cannot be found or read.
        SettingsError
            If the settings, which say where the strategy files are, cannot be read.
        """
        if self.module in _KEPT.get():
            return _KEPT.get()[self.module]
        path = self._find()
        try:
            return path, read_code(path)
        except OSError as error:
            raise self.refusal(f"{path} cannot be read: {error.strerror or error}") from error

    def load(self, what: str = "function") -> tuple[Callable[..., Any], Path, bytes]:
        """Run the module and return what is named, with its file and the content that was run.

        Parameters
        ----------
        what : str
            What it must be, in words.

        Raises
        ------
        StrategyError
            If the module cannot be found, read or run, or has no such function or class.
        SettingsError
            If the settings, which say where the strategy files are, cannot be read.
        """
        path, source = self.source()
        try:
            found = getattr(run(self.module, path, source), self.attribute, None)
        # A SystemExit would end the task without a word.
        except (Exception, SystemExit) as error:
            raise self.refusal(f"{path} cannot be run: {told(error)}") from error
        if not callable(found):
            raise self.refusal(f"{path} has no {what} {self.attribute}")
        return found, path, source

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


def run(name: str, path: Path, source: bytes) -> ModuleType:
    """Run a module's source, within `SECONDS`; it may raise anything.

    Parameters
    ----------
    name : str
        Of the module, for what it imports from beside it.
    path : Path
        Of its file, for messages.
    source : bytes
    """
    # Under a name of its own: two folders of strategies may both have a my_features.py, and an
    # installed module must stay as it is for others. Registered by that name, for dataclasses
    # look up their module.
    digest = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()
    module = ModuleType(f"tradewind_own_{digest[:32]}")
    module.__file__ = str(path)
    package = path.name == "__init__.py"
    module.__package__ = name if package else name.rpartition(".")[0]
    sys.modules[module.__name__] = module
    try:
        with time_limit(SECONDS):
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def code_of_model(strategy: Strategy) -> OwnCode:
    """Return the code of the desk's own that a strategy's model names.

    Raises
    ------
    ResearchError
        If it names none.
    """
    named = strategy.model.own_code
    if named is None:
        raise ResearchError(
            f"strategy {strategy.name}: the model {strategy.model.kind} has no code of its own"
        )
    field, name = named
    return OwnCode(strategy.name, f"model.{field}", name)


def model_code_hash(strategy: Strategy) -> str | None:
    """Return the SHA-256 of the file of the strategy's own model or rule; None if it has none.

    Raises
    ------
    StrategyError
        If it cannot be found or read.
    SettingsError
        If the settings, which say where the strategy files are, cannot be read.
    """
    if strategy.model.own_code is None:
        return None
    code = code_of_model(strategy)
    return hash_of({code.module: code.source()[1]})


def hash_of(sources: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of the lines ``<SHA-256 of a file>  <module>``, sorted by module."""
    lines = [
        f"{hashlib.sha256(source).hexdigest()}  {module}\n"
        for module, source in sorted(sources.items())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def told(error: BaseException) -> str:
    """Return an error's kind and message in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

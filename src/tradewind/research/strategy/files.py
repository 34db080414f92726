"""Strategy files: one YAML file a strategy, read so that one bad file hides no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tradewind.errors import StrategyError
from tradewind.research.strategy.strategy import Strategy
from tradewind.specs.folders import SpecReader

__all__ = ["find_strategy", "load_strategies", "load_strategy"]


def load_strategy(path: Path, *, imports: bool = True) -> Strategy:
    """Read one strategy file.

    Parameters
    ----------
    path : Path
        A YAML file whose stem is the strategy's name.
    imports : bool
        Whether installed code that the file names may be imported to check what it says of it. It
        must not where files are read again and again in small processes, as by Airflow's DAG
        processor; `ModelFields.check_code` then asks before a training.

    Returns
    -------
    Strategy

    Raises
    ------
    StrategyError
        If the file cannot be read, is no YAML mapping, or breaks a rule; the message names
        file, line and field of everything at fault, a line each, with what is allowed there.
    """
    return _READER.file(path, context=_context(imports=imports))


def find_strategy(name: str, directory: Path, *, imports: bool = True) -> Strategy:
    """Return the strategy of a name; if its file is valid, no other is read.

    Parameters
    ----------
    name : str
    directory : Path
        Where strategies are kept.
    imports : bool
        As for `load_strategy`.

    Raises
    ------
    StrategyError
        If there is no such file, which names those there are, or it is wrong.
    """
    return _READER.find(directory, name, context=_context(imports=imports))


def load_strategies(
    directory: Path, *, wanted: Callable[[Path], bool] = lambda _: True, imports: bool = True
) -> tuple[dict[str, Strategy], dict[Path, StrategyError]]:
    """Read the ``*.yaml`` and ``*.yml`` files of a directory.

    Parameters
    ----------
    directory : Path
        Where strategies are kept; subdirectories are not searched.
    wanted : callable, optional
        Tells which files to read; all if not given.
    imports : bool
        As for `load_strategy`.

    Returns
    -------
    strategies : dict of str to Strategy
        By name, in the order of the names.
    errors : dict of Path to StrategyError
        Why each of the other files was refused.

    Raises
    ------
    StrategyError
        If there is no such directory.
    """
    return _READER.folder(directory, wanted=wanted, context=_context(imports=imports))


def _context(*, imports: bool) -> dict[str, Any]:
    return {"imports": imports}


_READER: Final = SpecReader(Strategy, StrategyError, noun="strategy", nouns="strategies")

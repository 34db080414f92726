"""Strategy files: one YAML file a strategy, read so that one bad file hides no other."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from pydantic import ValidationError

from tradewind.errors import StrategyError
from tradewind.research.strategy import Strategy
from tradewind.research.strict_yaml import parse

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["load_strategies", "load_strategy"]

_MAX_BYTES: Final = 64 * 1024


def load_strategy(path: Path) -> Strategy:
    """Read one strategy file.

    Parameters
    ----------
    path : Path
        A YAML file whose stem is the strategy's name.

    Returns
    -------
    Strategy

    Raises
    ------
    StrategyError
        If the file cannot be read, is no YAML mapping, or breaks a rule; the message names
        the file and lists every field at fault with the reason.
    """
    try:
        fields = parse(_read(path))
    except yaml.YAMLError as error:
        raise StrategyError(f"{path}: {_one_line(error)}") from error
    except RecursionError as error:
        raise StrategyError(f"{path}: nested too deeply for a strategy") from error
    if fields is None:
        raise StrategyError(f"{path}: the file is empty; copy a shipped strategy to start from")
    if not isinstance(fields, dict):
        raise StrategyError(
            f"{path}: must hold `field: value` lines, but holds a {type(fields).__name__}"
        )
    try:
        strategy = Strategy.model_validate(fields)
    except ValidationError as error:
        problems = [f"\n  {_field(problem)}: {problem['msg']}" for problem in error.errors()]
        raise StrategyError(f"{path}:{''.join(problems)}") from error
    if strategy.name != path.stem:
        raise StrategyError(
            f"{path}:\n  name: {strategy.name!r} must equal the file's name, {path.stem!r}"
        )
    return strategy


def load_strategies(directory: Path) -> tuple[dict[str, Strategy], dict[Path, StrategyError]]:
    """Read every ``*.yaml`` and ``*.yml`` file of a directory.

    Parameters
    ----------
    directory : Path
        Where strategies are kept; subdirectories are not searched.

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
    try:
        files = sorted(file for file in directory.iterdir() if file.suffix in {".yaml", ".yml"})
    except OSError as error:
        raise StrategyError(f"{directory}: no directory of strategies: {error}") from error
    strategies: dict[str, Strategy] = {}
    errors: dict[Path, StrategyError] = {}
    for file in files:
        try:
            strategy = load_strategy(file)
        except StrategyError as error:
            errors[file] = error
            continue
        if strategy.name in strategies:
            errors[file] = StrategyError(
                f"{file}:\n  name: {strategy.name!r} is taken by another file"
            )
        else:
            strategies[strategy.name] = strategy
    return strategies, errors


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > _MAX_BYTES:
        raise StrategyError(f"{path}: larger than {_MAX_BYTES // 1024} KiB; no strategy is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StrategyError(f"{path}: not UTF-8 text: byte {error.start} is invalid") from error


def _field(problem: "ErrorDetails") -> str:
    """Return the dotted path of a field, such as ``features.0.return.window``."""
    parts = [str(part) for part in problem["loc"]]
    if parts[0:1] == ["model"]:
        del parts[1:2]  # pydantic's name for the kind of model, which is no level of the file
    extra = problem.get("ctx", {}).get("field")
    return ".".join([*parts, extra] if extra else parts) or "(whole file)"


def _one_line(error: yaml.YAMLError) -> str:
    """Return `line 3, column 5: reason`."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        return f"line {mark.line + 1}, column {mark.column + 1}: {reason}"
    return " ".join(str(error).split())

"""Runs the file of a strategy's own model or rule, in a process that nobody else needs.

Nothing is fitted: whether the file can be run, has what it must, and takes the parameters of the
strategy file is known in seconds.
"""

from pathlib import Path
from typing import Any, Final

from tradewind.research.code.own import code_of_model
from tradewind.research.code.tried import answer, tried_in_a_process
from tradewind.research.models.model import code_of
from tradewind.research.strategy.strategy import Strategy

__all__ = ["try_model"]

_SECONDS: Final = 120.0  # a library of networks takes ten to import on a busy machine


def try_model(strategy: Strategy, directory: Path, *, seconds: float = _SECONDS) -> str:
    """Return what is wrong with the own model of a strategy; nothing if it can be used.

    Parameters
    ----------
    strategy : Strategy
    directory : Path
        Of the strategy files.
    seconds : float
        Seconds that it may take, imports included.
    """
    if strategy.model.own_code is None:
        return ""
    code = code_of_model(strategy)
    return tried_in_a_process(
        __name__, strategy, directory, seconds=seconds,
        what=f"strategy {strategy.name}: {code.place}: {code.name}",
        doubt="; does its module, or its __init__, run without an end?",
    )  # fmt: skip


def _check(strategy: Strategy) -> None:
    kind: Any = code_of(strategy.model)
    if hasattr(kind, "check"):  # a kind of an installed package may have none
        kind.check(strategy, strategy.model)


if __name__ == "__main__":
    answer(_check)

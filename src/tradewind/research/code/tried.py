"""Code of the desk's own, tried in a process that nobody else needs.

Only a run shows what such code does: it may end its process, or have no end. The process is
``python -m MODULE strategies momentum 4711``, which calls `answer`. It ends with 0, or says what is
wrong, and it ends with the process that started it, whose id is the last argument.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from tradewind.errors import StrategyError, TradewindError
from tradewind.host.parents import end_with
from tradewind.research.strategy.files import find_strategy
from tradewind.research.strategy.strategy import Strategy

__all__ = ["answer", "tried_in_a_process"]

_REFUSED: Final = 9


def tried_in_a_process(
    module: str, strategy: Strategy, directory: Path, *, what: str, seconds: float, doubt: str
) -> str:
    """Return what is wrong with code of a strategy's; nothing if it can be used.

    Parameters
    ----------
    module : str
        What is run, which calls `answer`.
    strategy : Strategy
    directory : Path
        Of the strategy files.
    what : str
        Strategy and code in words, with which a problem begins.
    seconds : float
        How long it may take, imports included.
    doubt : str
        What to ask oneself where it takes longer, after that figure.
    """
    asking = str(os.getpid())
    command = [sys.executable, "-P", "-m", module, str(directory), strategy.name, asking]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{what}: not done after {seconds:g} s{doubt}"
    if done.returncode == 0:
        return ""
    if done.returncode == _REFUSED:
        return done.stderr.strip().splitlines()[-1]
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"{what}: it ended the process with code {done.returncode}: {last}"


def answer(check: Callable[[Strategy], None]) -> NoReturn:
    """Be that process: end with what a check of the strategy says.

    Parameters
    ----------
    check : callable
        Raises a `TradewindError` where something is wrong.
    """
    directory, name, asking = sys.argv[1:]
    end_with(int(asking))
    try:
        strategy = find_strategy(name, Path(directory), imports=False)
    except StrategyError:  # its file has changed meanwhile, and is judged when it is read again
        sys.exit(0)
    try:
        check(strategy)
    except TradewindError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_REFUSED)
    sys.exit(0)

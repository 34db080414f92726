"""Runs a strategy's own features once, in a process that nobody else needs.

``python -m tradewind.research.features.tried_once strategies momentum 4711`` ends with 0, or says
what is wrong. Only a run shows what such code does. It ends with the process that started it, whose
id is the last argument.
"""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Final

from tradewind.errors import StrategyError, TradewindError
from tradewind.host.parents import end_with
from tradewind.research.features.own_code import functions_and_files
from tradewind.research.strategy.files import find_strategy
from tradewind.research.strategy.strategy import Strategy

__all__ = ["try_features"]

_SECONDS: Final = 30.0
_REFUSED: Final = 9
_SESSIONS: Final = 600


def try_features(strategy: Strategy, directory: Path, *, seconds: float = _SECONDS) -> str:
    """Return what is wrong with the own features of a strategy; nothing if they can be used.

    Parameters
    ----------
    strategy : Strategy
    directory : Path
        Of the strategy files.
    seconds : float
        Seconds that they may take, imports included.
    """
    if not strategy.own_functions:
        return ""
    what = f"strategy {strategy.name}: {functions_and_files(strategy)}"
    asking = str(os.getpid())
    command = [sys.executable, "-P", "-m", __name__, str(directory), strategy.name, asking]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return (
            f"{what}: not done after {seconds:g} s on made-up bars; does its module, or what its "
            "expression calls, run without an end?"
        )
    if done.returncode == 0:
        return ""
    if done.returncode == _REFUSED:
        return done.stderr.strip().splitlines()[-1]
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"{what}: it ended the process with code {done.returncode}: {last}"


def _main(directory: Path, name: str) -> int:
    import numpy as np
    import polars as pl

    from tradewind.market.bars import SCHEMA
    from tradewind.research.features.compute import FeatureTable

    try:
        strategy = find_strategy(name, directory, imports=False)
    except StrategyError:  # its file has changed meanwhile, and is judged when it is read again
        return 0
    try:
        table = FeatureTable(strategy, here=True)  # this process is ended in time
        draws = np.random.default_rng(0)
        closes = 100.0 * np.exp(np.cumsum(draws.normal(0.0, 0.01, _SESSIONS)))
        days = pl.date_range(date(2000, 1, 1), date(2002, 12, 31), eager=True)[:_SESSIONS]
        one = pl.DataFrame({"session": days, "close": closes}).with_columns(
            *(pl.col("close").alias(name) for name in ("open", "high", "low")),
            pl.lit(1000).alias("volume"),
            *(pl.lit(1.0).alias(name) for name in ("split_factor", "adjustment_factor")),
        )
        symbols = strategy.universe.symbols[:3]
        bars = pl.concat(one.with_columns(symbol=pl.lit(symbol)) for symbol in symbols)
        table.of(bars.select(SCHEMA.names()).cast(dict(SCHEMA.items())))
    except TradewindError as error:
        sys.stderr.write(f"{error}\n")
        return _REFUSED
    return 0


if __name__ == "__main__":
    end_with(int(sys.argv[3]))
    sys.exit(_main(Path(sys.argv[1]), sys.argv[2]))

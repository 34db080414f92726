"""Features computed in a process that has done nothing before.

What a function of the user's own keeps between two calls can be anywhere: in its module, in
another one, in the environment, in polars' own table of categories. No process can undo that. So a
second process imports what features need, calls none of it, and forks a child for each table:
each child begins as if nothing had been computed yet, and what it leaves behind goes with it. (A
process that has used polars must not be forked: the threads of its pool do not come along. This
one never does.) A child may write no file either, by the limit that the system puts on the size of
files, so that nothing is remembered on disk.
"""

import gc
import os
import pickle
import resource
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import ResearchError, StrategyError, TradewindError
from tradewind.market.bars import KEY
from tradewind.research.feature_code import told
from tradewind.research.features import FeatureTable
from tradewind.research.strategy import Strategy

__all__ = ["Apart", "Here", "Part", "Tables", "serve"]

_NO_FILE: Final = ("File too large", "No usable temporary directory")
"""What the system, or Python, says where a child would write a file."""


@dataclass(frozen=True)
class Part:
    """Some rows of the bars, as frames by themselves.

    Attributes
    ----------
    rows : ndarray of int, shape (n_rows,)
        Places in the bars.
    frames : ndarray of int, shape (n_rows,)
        Which frame each row belongs to; ascending.
    """

    rows: NDArray[np.intp]
    frames: NDArray[np.uint32]


Tables = list[pl.DataFrame]


class Here:
    """Computes features in this process: for strategies without a function of the user's own."""

    def __init__(self, bars: pl.DataFrame) -> None:
        self._bars = bars

    def __enter__(self) -> Self:
        """Do nothing: there is no process to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is no process to end."""

    def tables(self, strategy: Strategy, *wanted: Part | pl.DataFrame | None) -> Tables:
        """Compute tables with the same code, one after the other.

        Parameters
        ----------
        strategy : Strategy
        *wanted : Part, DataFrame or None
            Rows of the bars, or factors to take the place of theirs, or all the bars as they are.

        Returns
        -------
        list of DataFrame
            As `FeatureTable.of` returns them, in the order of the rows.
        """
        return _tables(self._bars, strategy, wanted)


class Apart:
    """Computes features as `Here` does, each call in a process that has computed nothing before.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted by symbol and session.
    """

    def __init__(self, bars: pl.DataFrame) -> None:
        self._bars = bars

    def __enter__(self) -> Self:
        """Start the process that forks."""
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-c",
                    f"import sys; sys.path[:] = {sys.path!r}\n"
                    f"from {__name__} import serve; serve({theirs.fileno()})",
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            self._connection.send_bytes(pickle.dumps(self._bars))
        except OSError as error:
            self.__exit__(None, None, None)
            raise self._lost() from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._connection.close()  # which ends it, unless a child of it is still at work
        self._process.terminate()
        self._process.wait()

    def tables(self, strategy: Strategy, *wanted: Part | pl.DataFrame | None) -> Tables:
        """Compute tables in a new child, one after the other; see `Here.tables`.

        Raises
        ------
        StrategyError
            If a feature of the user's own cannot be computed, writes a file, or ends the process.
        ResearchError
            If the process that forks is gone.
        """
        try:
            self._connection.send_bytes(pickle.dumps((strategy, wanted)))
            answer = self._connection.recv()
        except (OSError, EOFError) as error:
            raise self._lost() from error
        if isinstance(answer, TradewindError):
            if any(said in str(answer) for said in _NO_FILE):
                raise StrategyError(
                    f"{answer}. A feature may write no file: what it kept there would be "
                    "remembered by the next computation, of other bars"
                ) from answer
            raise answer
        if isinstance(answer, int):
            ended = f"signal {-answer}" if answer < 0 else f"exit code {answer}"
            raise StrategyError(
                f"strategy {strategy.name}: a feature of the strategy's own ended the process "
                f"that computed it ({ended})"
            )
        tables: Tables = answer
        return tables

    def _lost(self) -> ResearchError:
        return ResearchError(
            "the process in which features are checked for leaks has ended: see what it wrote to "
            "the standard error of this one, and whether memory was short"
        )


def serve(descriptor: int) -> None:
    """Answer requests for tables, each in a child, until the other end closes."""
    connection = Connection(descriptor)
    gc.freeze()
    with connection, suppress(EOFError, ConnectionError):
        bars = connection.recv_bytes()
        while True:
            request = connection.recv_bytes()
            child = os.fork()
            if child == 0:
                _answer(connection, bars, request)
            _, status = os.waitpid(child, 0)
            if status != 0:
                connection.send(os.waitstatus_to_exitcode(status))


def _answer(connection: Connection, bars: bytes, request: bytes) -> None:
    """Compute, send, and end this process: nothing of its parent's must run in it."""
    code = 1
    try:
        # A file that standard output or error goes to would be as closed as any other.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        answer: Any
        try:
            strategy, wanted = pickle.loads(request)  # noqa: S301 - from our own parent
            answer = _tables(pickle.loads(bars), strategy, wanted)  # noqa: S301
        except TradewindError as error:
            answer = type(error)(str(error))
        except Exception as error:  # noqa: BLE001 - it is told where it is understood
            answer = ResearchError(f"features cannot be computed apart: {told(error)}")
        connection.send(answer)
        code = 0
    finally:
        os._exit(code)


def _tables(
    bars: pl.DataFrame, strategy: Strategy, wanted: tuple[Part | pl.DataFrame | None, ...]
) -> Tables:
    table = FeatureTable(strategy)
    found = []
    for rows in wanted:
        if isinstance(rows, Part):
            found.append(table.of(bars[rows.rows], pl.Series("frame", rows.frames)))
        elif isinstance(rows, pl.DataFrame):
            found.append(table.of(bars.with_columns(rows)))
        else:
            found.append(table.of(bars))
    return [frame.drop(KEY) for frame in found]

"""Features computed in a process that has done nothing before.

A function of the user's own may keep something between two calls: in its module, in another one, in
the environment, in polars' table of categories. A process cannot undo that. So a second process
imports what features need, calls none of it, and forks a child for each set of features. Each child
begins as if nothing had been computed yet, and what it keeps ends with it. (A process that has used
polars must not be forked, for the threads of its pool are not copied. The second process never uses
polars.) A child cannot write a file either: the system's limit on the size of files is zero for it.
So nothing is remembered on disk.

Most of the cost is the start of that process. The caller does not wait for it, and can do other
work meanwhile.

A caller that is killed in the middle of a request can end nothing. The process that forks sees that
the other end of its connection is gone, and ends the child; the kernel ends a child whose own
parent is gone.
"""

import gc
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import ResearchError, StrategyError, TradewindError
from tradewind.host.parents import end_with
from tradewind.market.bars import KEY
from tradewind.research.code.own import told
from tradewind.research.features.compute import FeatureTable
from tradewind.research.features.own_code import functions_and_files
from tradewind.research.strategy.strategy import Strategy

__all__ = ["SECONDS", "Apart", "Compute", "Here", "Part", "computed_apart", "serve"]

SECONDS: Final = 1800.0
"""How long one computation may take: what calls Python may run without an end."""

_NO_FILE: Final = ("File too large", "No usable temporary directory")
"""What the system, or Python, says where a child would write a file."""

_END: Final = b""
"""What ends a child."""


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


Wanted = Part | pl.DataFrame | None
Compute = Callable[[Wanted], pl.DataFrame]
"""Computes a table of features: of some rows of the bars, of all of them with other factors in the
place of theirs, or of all of them as they are (None). The table is as `FeatureTable.of` returns it,
without symbol and session, in the order of the rows."""


class Here:
    """Computes features in this process: for strategies without a function of the user's own."""

    def __init__(self, bars: pl.DataFrame) -> None:
        self._bars = bars

    def __enter__(self) -> Self:
        """Do nothing: there is no process to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is no process to end."""

    def fresh(self, strategy: Strategy) -> Compute:
        """Return what computes a strategy's features, any number of times with the same code."""
        return partial(_computed, FeatureTable(strategy), self._bars)


class Apart:
    """Computes features as `Here` does, each time in a process that has computed nothing before.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted by symbol and session.
    seconds : float, optional
        How long one computation may take; `SECONDS` if not given.
    """

    def __init__(self, bars: pl.DataFrame, *, seconds: float | None = None) -> None:
        self._bars = bars
        self._seconds = SECONDS if seconds is None else seconds

    def __enter__(self) -> Self:
        """Start the process that forks, and do not wait until it has."""
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-c",
                    # Nothing that is imported is garbage; to look for garbage would take a sixth of
                    # the time.
                    "import gc, sys; gc.disable()\n"
                    f"sys.path[:] = {sys.path!r}\n"
                    f"from {__name__} import serve; serve({theirs.fileno()}, {self._seconds})",
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._knows_bars = self._has_child = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._connection.close()  # this ends the process, and a child of it that still works
        self._process.terminate()
        self._process.wait()

    def fresh(self, strategy: Strategy) -> Compute:
        """Return what computes a strategy's features in a new child; see `Here.fresh`.

        It replaces the one before, whose child ends. It raises a `StrategyError` if a feature of
        the user's own cannot be computed, takes too long, writes a file, or ends the process; and a
        `ResearchError` if the process that forks is gone, as this does.
        """
        try:
            if not self._knows_bars:
                self._connection.send_bytes(pickle.dumps(self._bars))
                self._knows_bars = True
            if self._has_child:
                self._connection.send_bytes(_END)
                self._connection.recv()
            self._connection.send_bytes(pickle.dumps(strategy))
            self._has_child = True
        except (OSError, EOFError) as error:
            raise self._lost() from error
        return partial(self._table, strategy)

    def _table(self, strategy: Strategy, rows: Wanted) -> pl.DataFrame:
        try:
            self._connection.send_bytes(pickle.dumps(rows))
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
            self._has_child = False
            if answer == -signal.SIGALRM:
                raise StrategyError(
                    f"strategy {strategy.name}: {functions_and_files(strategy)}: not done after "
                    f"{self._seconds:g} s of computing: something that an expression calls, such "
                    "as by map_batches, map_elements or rolling_map, runs without an end, or is "
                    "too slow for so many bars; polars' own expressions are faster"
                )
            ended = f"signal {-answer}" if answer < 0 else f"exit code {answer}"
            raise StrategyError(
                f"strategy {strategy.name}: a feature of the strategy's own ended the process "
                f"that computed it ({ended})"
            )
        table: pl.DataFrame = answer
        return table

    def _lost(self) -> ResearchError:
        return ResearchError(
            "the process in which features are computed has ended: see what it wrote to "
            "the standard error of this one, and whether memory was short"
        )


def computed_apart(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    """Compute as `FeatureTable.of` does, in a process that is ended after `SECONDS`.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted by symbol and session.
    strategy : Strategy

    Raises
    ------
    StrategyError
        If a feature of the user's own cannot be computed, takes too long, writes a file, or ends
        the process.
    ResearchError
        If the process that forks is gone.
    """
    with Apart(bars) as apart:
        return bars.select(KEY).hstack(apart.fresh(strategy)(None))


def serve(descriptor: int, seconds: float) -> None:
    """Answer requests, each in a child and each within `seconds`, until the other end closes."""
    connection, here = Connection(descriptor), os.getpid()
    gc.freeze()
    with connection, suppress(EOFError, ConnectionError):
        bars = connection.recv_bytes()
        while True:
            strategy = connection.recv_bytes()
            child = os.fork()
            if child == 0:
                end_with(here)
                _answer(connection, bars, strategy, seconds)
            _wait(descriptor, child)
            _, status = os.waitpid(child, 0)
            # Sent also when the child was asked to end, so that an end of its own is not taken for
            # that one.
            connection.send(os.waitstatus_to_exitcode(status))


def _wait(descriptor: int, child: int) -> None:
    """Wait until a child has ended; end it if nobody is left who would hear its answer."""
    try:
        ended = os.pidfd_open(child)
    except OSError:  # the kernel is older than 5.3, or forbids it: then the child's limit ends it
        return
    try:
        ends = select.poll()
        ends.register(ended, select.POLLIN)
        ends.register(descriptor, select.POLLRDHUP)  # what is to be read there is the child's
        if any(found == descriptor for found, _ in ends.poll()):
            os.kill(child, signal.SIGKILL)  # it has not been waited for: the id is still its own
    finally:
        os.close(ended)


def _answer(connection: Connection, bars: bytes, strategy: bytes, seconds: float) -> NoReturn:
    """Compute, send, and end this process: nothing of its parent's must run in it."""
    code = 1
    try:
        # The system ends the process when time is up. A handler in Python would not run while
        # polars waits for a thread of its pool, or while a regular expression is matched.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gc.enable()
        # Else standard output and error could not be written to either, where they go to a file.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        known: tuple[FeatureTable, pl.DataFrame] | None = None
        while (rows := connection.recv_bytes()) != _END:
            answer: Any
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                if known is None:
                    table = FeatureTable(pickle.loads(strategy), here=True)  # noqa: S301 - from our own parent
                    known = table, pickle.loads(bars)  # noqa: S301
                answer = _computed(*known, pickle.loads(rows))  # noqa: S301
            except TradewindError as error:
                answer = type(error)(str(error))
            except Exception as error:  # noqa: BLE001 - it is told where it is understood
                answer = ResearchError(f"features cannot be computed apart: {told(error)}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            connection.send(answer)
        code = 0
    finally:
        os._exit(code)


def _computed(table: FeatureTable, bars: pl.DataFrame, rows: Wanted) -> pl.DataFrame:
    if isinstance(rows, Part):
        found = table.of(bars[rows.rows], pl.Series("frame", rows.frames))
    elif isinstance(rows, pl.DataFrame):
        found = table.of(bars.with_columns(rows))
    else:
        found = table.of(bars)
    return found.drop(KEY)

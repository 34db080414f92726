"""Calls into a model of the desk's own, and errors that name its file, line and function."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import FitError
from tradewind.market.bars import KEY
from tradewind.research.code.memory_limit import memory_limit
from tradewind.research.code.own import OwnCode, told
from tradewind.research.code.time_limit import time_limit

__all__ = ["SECONDS_TO_PREDICT", "checked", "guarded"]

SECONDS_TO_PREDICT: Final = 600.0
"""How long one call for predictions, or to save or load, may take."""


@dataclass(frozen=True, slots=True)
class _Call:
    code: OwnCode
    path: Path
    name: str

    def failed(self, reason: str) -> FitError:
        return FitError(str(self.code.refusal(f"{self.path}: {self.name} {reason}")))

    def line(self, trace: TracebackType | None) -> str:
        """Return the line of the file in which it happened, in words; nothing if none is in it."""
        lines = [frame for frame in traceback.extract_tb(trace) if frame.filename == str(self.path)]
        return f" in line {lines[-1].lineno} ({lines[-1].name})" if lines else ""


@contextlib.contextmanager
def guarded(
    code: OwnCode, path: Path, name: str, *, seconds: float, mend: str = ""
) -> Iterator[None]:
    """Run what is inside as a call of the desk's own code.

    What it prints goes to standard error: the output of a command may be JSON.

    Parameters
    ----------
    code : OwnCode
        What the strategy file names.
    path : Path
        Its file.
    name : str
        Of the function that is called, for messages.
    seconds : float
        How long it may take.
    mend : str
        What to do where that is not enough.

    Raises
    ------
    FitError
        If it raises anything, takes too long, or more memory than is free.
    """
    call = _Call(code, path, name)
    free = 0
    try:
        with (
            contextlib.redirect_stdout(sys.stderr),
            time_limit(seconds),
            memory_limit() as free,
        ):
            yield
    except TimeoutError as error:
        raise call.failed(f"is {error}{call.line(error.__traceback__)}{mend}") from error
    except MemoryError as error:
        where = call.line(error.__traceback__)
        said = f" ({' '.join(str(error).split())})" if str(error) else ""
        raise call.failed(
            f"needs more memory than there is{where}: {free / 1e9:.1f} GB were free{said}"
        ) from error
    except FitError:
        raise
    # A SystemExit would end the task without a word.
    except (Exception, SystemExit) as error:
        where = call.line(error.__traceback__)
        raise call.failed(f"failed{where}: {told(error)}") from error


def checked(
    code: OwnCode,
    path: Path,
    name: str,
    found: Any,  # noqa: ANN401 - whatever it has returned
    rows: pl.DataFrame,
) -> NDArray[np.float64]:
    """Return predictions as numbers, one a row.

    Raises
    ------
    FitError
        If they are no numbers, too many or too few, or not finite.
    """
    call = _Call(code, path, name)
    if found is None:
        raise call.failed("returned nothing; it must return one number a row")
    try:
        numbers = np.array(found, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise call.failed(f"returned {type(found).__name__}, not one number a row") from error
    if numbers.shape != (rows.height,):
        raise call.failed(
            f"returned predictions of shape {numbers.shape} for {rows.height} rows; expected is "
            f"({rows.height},), one a row in the order of the rows"
        )
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        symbol, session = rows.select(KEY).row(int(wrong[0]))
        raise call.failed(
            f"returned {numbers[wrong[0]]} for {symbol} {session} ({wrong.size} of "
            f"{rows.height} rows are no finite number)"
        )
    return numbers

"""Regular expressions that find a symbol in the name of a file, each in linear time.

Python's own try one way after the other, and ``(a+)+b`` has more ways through forty letters than
anybody waits for. So they are matched by the engine of polars, which does without what needs that:
looking around and referring back.
"""

import os
import re
from typing import Final

__all__ = ["symbol_in_name", "why_no_name_pattern"]

_REASON: Final = re.compile(
    r"^error: (.*)|(Compiled regex exceeds size limit of \d+ bytes)", re.MULTILINE
)


def why_no_name_pattern(pattern: str) -> str:
    """Return why a pattern cannot be matched against names; nothing if it can.

    Parameters
    ----------
    pattern : str
        A regular expression of Python's.
    """
    from polars.exceptions import ComputeError

    try:
        symbol_in_name(pattern, "")
    except ComputeError as error:
        reason = _REASON.search(str(error))
        said = next(filter(None, reason.groups())) if reason else str(error).partition("\n")[0]
        return (
            f"cannot be matched in a time that is known before: {said}; write it without, such as "
            "'(\\w+)_daily\\.csv'"
        )
    return ""


def symbol_in_name(pattern: str, name: str) -> str | None:
    """Return what the one group of a pattern finds in a name; None if the whole does not match."""
    import polars as pl

    text = os.fsencode(name).decode(errors="replace")  # a name need not be UTF-8
    found: str | None = pl.Series([text]).str.extract(rf"\A(?:{pattern})\z").item()
    return found

"""Regular expressions that find a symbol in a file's name, each in linear time.

Python's engine tries one match after the other, which takes for ever with ``(a+)+b`` and forty
letters. So polars' engine matches them, which has no look-around and no back-references, and needs
no such tries.
"""

import os
import re
from typing import Final

__all__ = ["symbol_in_name", "why_no_name_pattern"]

_REASON: Final = re.compile(
    r"^error: (.*)|(Compiled regex exceeds size limit of \d+ bytes)", re.MULTILINE
)


def why_no_name_pattern(pattern: str) -> str:
    """Return why a pattern cannot be matched against names; an empty text if it can.

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
    """Return the text of a pattern's one group in a name; None if the whole name does not match."""
    import polars as pl

    text = os.fsencode(name).decode(errors="replace")  # a name need not be UTF-8
    found: str | None = pl.Series([text]).str.extract(rf"\A(?:{pattern})\z").item()
    return found

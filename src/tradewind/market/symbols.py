"""What a symbol may look like: in a file, in a column, in a file's name."""

import re
import unicodedata
from typing import Final

__all__ = ["LONGEST", "plainly", "why_no_symbol"]

LONGEST: Final = 32
_PARTS: Final = re.compile(r"[/\\]")
_SEPARATORS: Final = re.compile(r"[./\\_ -]")
_DOTS: Final = {"", ".", ".."}


def why_no_symbol(symbol: str) -> str:
    """Return what is wrong with a symbol; empty for a sound one.

    ``BTC/USD`` is sound. What would lead out of a folder as a part of a path is not, nor what may
    be taken for another symbol by who reads it.
    """
    if not symbol:
        return "a symbol is empty"
    if len(symbol) > LONGEST:
        return f"a symbol has {LONGEST} characters at most, not {len(symbol)}"
    if symbol != symbol.strip() or not symbol.isprintable():
        return "a symbol has no space around it, and no control characters in it"
    if symbol != unicodedata.normalize("NFKC", symbol):
        return "a symbol has no characters in it that only look like others"
    if any(part in _DOTS for part in _PARTS.split(symbol)):
        return "a symbol is no path: nothing but names stands between its slashes"
    return ""


def plainly(symbol: str) -> str:
    """Return what is common to all spellings of a symbol: ``BRK.B``, ``BRK-B`` and ``brk/b``."""
    return _SEPARATORS.sub(".", symbol).casefold()

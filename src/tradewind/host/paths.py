"""Names of folders that a library we depend on cannot handle.

Most characters do no harm. The others are refused when a folder is chosen, for the libraries would
fail much later, or read and write elsewhere.
"""

import os
import re
from pathlib import Path

__all__ = ["unusable"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_UNICODE = re.compile(r"[\ud800-\udfff]")  # how Python shows bytes that are not UTF-8
# Delta reads a path as that of an address, in which these mean something else: a table below `%41`
# is written below `A`.
_IN_ADDRESSES = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]^|\\]")
# The settings files of Airflow and Alembic refer to other settings by these.
_REFERENCES = re.compile(r"%[%(]")


def unusable(path: str | Path) -> str:
    """Tell what is wrong with the name of a folder; empty if nothing is.

    Parameters
    ----------
    path : str or Path
        Absolute, on this machine.
    """
    text = os.fspath(path)
    if _CONTROL.search(text):
        return f"{text!r} has a line's end or another control character in it"
    if _NO_UNICODE.search(text):
        return f"{text!r} is not UTF-8"
    if found := _IN_ADDRESSES.search(text) or _REFERENCES.search(text):
        return f"{text} has {found[0]} in it"
    if os.path.expandvars(text) != text:
        return f"{text} has the name of a variable of the environment, with its $, in it"
    return ""

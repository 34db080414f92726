"""One encoding, UTF-8, whatever the locale of the caller."""

import locale
import os
import sys

__all__ = ["UTF8", "ensure_utf8"]

UTF8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
"""Variables that make a program, Python or not, take all text and all names of files for UTF-8."""


def ensure_utf8() -> None:
    """Start this program anew with `UTF8` in its environment, unless it speaks UTF-8 already.

    Else Python would read and write files and names of folders in the locale's encoding, while
    polars, Delta and PostgreSQL take all names for UTF-8.
    """
    speaks = sys.getfilesystemencoding(), locale.getencoding()
    if all(encoding.lower().replace("-", "") == "utf8" for encoding in speaks):
        return
    if UTF8.items() <= os.environ.items():  # the machine has no such locale, or `-X` forbids it
        return
    os.environ |= UTF8
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves

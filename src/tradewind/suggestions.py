"""What somebody meant who wrote a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "There are") -> str:
    """Return a sentence that helps on: the name that is closest, else all that there are.

    Parameters
    ----------
    name : str
        As it was written.
    known : iterable of str
        What would be right, in the order to list it in.
    otherwise : str
        Begins the list of all, where none is close.

    Returns
    -------
    str
        Such as ``"Did you mean ridge?"``, or ``"There are: lightgbm, ridge."``.
    """
    names = list(known)
    plain: dict[str, str] = {}
    for each in names:
        plain.setdefault(_plain(each), each)
    close = difflib.get_close_matches(_plain(name), plain, n=1)
    if close:
        return f"Did you mean {plain[close[0]]}?"
    return f"{otherwise}: {', '.join(names) or 'none'}."


def _plain(name: str) -> str:
    """Return a name without what people write in different ways: case, hyphens and spaces."""
    return name.strip().casefold().replace("-", "_").replace(" ", "_")

"""What somebody meant who wrote a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]

_BEGINNING = 3  # characters of a name's beginning that tell it
_ALIKE = 0.68  # of 1; a shorter likeness suggests noise to who wrote nope


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
    wanted = _plain(name)
    begun = [each for each in plain if len(wanted) >= _BEGINNING and each.startswith(wanted)]
    close = begun or difflib.get_close_matches(wanted, plain, n=1, cutoff=_ALIKE)
    if close:
        return f"Did you mean {plain[close[0]]}?"
    return f"{otherwise}: {', '.join(names) or 'none'}."


def _plain(name: str) -> str:
    """Return a name without what people write in different ways: case, hyphens and spaces."""
    return name.strip().casefold().replace("-", "_").replace(" ", "_")

"""Loads what packages offer under a name, by their entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from tradewind.errors import TradewindError
from tradewind.suggestions import did_you_mean

__all__ = ["offered"]


def offered(name: str, *, group: str, noun: str, refuse: Callable[[str], TradewindError]) -> Any:  # noqa: ANN401
    """Import what a package offers under a name.

    Parameters
    ----------
    name : str
    group : str
        Of the entry points.
    noun : str
        What they offer, for messages.
    refuse : callable
        Makes the error that is raised from a message.

    Raises
    ------
    TradewindError
        If nobody offers it, more than one does, or it cannot be imported.
    """
    all_offered = entry_points(group=group)
    found = [entry for entry in all_offered if entry.name == name]
    if not found:
        help_on = did_you_mean(name, sorted({entry.name for entry in all_offered}))
        raise refuse(
            f"no {noun} named {name!r} is installed (entry points of the group {group}). {help_on}"
        )
    values = sorted({entry.value for entry in found})
    if len(values) > 1:
        raise refuse(
            f"{name!r} is offered more than once, by {', '.join(values)}; "
            "uninstall one of the packages"
        )
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        raise refuse(f"{name!r} cannot be imported from {values[0]}: {error}") from error

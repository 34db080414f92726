"""What a check of the stack says."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Check", "guarded"]


@dataclass(frozen=True)
class Check:
    """One thing looked at; `problem` is empty where it is well.

    A `note` says what is well, and yet to be known.
    """

    name: str
    problem: str = ""
    mend: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """Make a check; one that cannot be made is itself a problem."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - what broke a check is the finding
        detail = str(error).strip() or type(error).__name__
        return Check(name, f"could not be checked: {detail}", "tradewind status; tradewind logs")

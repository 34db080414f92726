"""Who a connection asks, and what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

from tradewind.errors import VendorError

__all__ = ["Asked", "Question"]


class Asked(Protocol):
    """Who is asked, as far as a connection knows.

    Attributes
    ----------
    who, kind : str
        In messages, and by which its key is found.
    has_key : bool
        Whether it asks for one.
    left : str or None
        What it last said is left of the quota.
    """

    who: str
    kind: str
    has_key: bool
    left: str | None

    @property
    def quota(self) -> str:
        """What is left of the quota, in words."""
        ...

    def quota_said(self, text: str) -> timedelta | None:
        """Return for how long a text says that the quota is used up; None if it does not."""
        ...

    def refuse_if_stopped(self) -> None:
        """Raise `VendorError` if it is known not to answer."""
        ...

    def note(self, error: VendorError | None) -> None:
        """Remember how a question ended."""
        ...


@dataclass(frozen=True)
class Question:
    """What is asked: in an address by GET, in a form by POST.

    Attributes
    ----------
    lines : bool
        Whether the answer is one object of JSON a line.
    count : int or None
        How many lines there must be.
    """

    method: Literal["GET", "POST"]
    path: str
    fields: Mapping[str, str]
    lines: bool = False
    count: int | None = None

    @property
    def sent(self) -> dict[str, Any]:
        """How httpx is told of it."""
        return {"params" if self.method == "GET" else "data": dict(self.fields)}

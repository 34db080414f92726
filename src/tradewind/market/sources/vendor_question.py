"""What a connection asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Question"]


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

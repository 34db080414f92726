"""What became of a source's bars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tradewind.errors import PartialSourceError
from tradewind.market.validation.findings import Finding

__all__ = ["IngestResult", "Progress"]

Progress = Callable[[int, int], None]
"""Called with the number of symbols looked at and of all, first with 0."""


@dataclass(frozen=True)
class IngestResult:
    """What became of a source's bars.

    Attributes
    ----------
    symbols : tuple of str
        What was asked for, sorted.
    new, revised, unchanged : int
        Bars, as in `tradewind.market.store.bar_store.Appended`.
    findings : tuple of Finding
        Warnings only: of validation, and one a revised value.
    failed : mapping of str to str
        Why nothing new is stored of a symbol, by symbol: only of a source that is asked for what is
        new alone.
    again_at : datetime, optional
        Before it the source answers nothing, for its quota is used up.
    """

    symbols: tuple[str, ...]
    new: int
    revised: int
    unchanged: int
    findings: tuple[Finding, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    again_at: datetime | None = None

    def refuse_failed(self, source: str) -> None:
        """Raise `PartialSourceError` if there are symbols of which nothing new is stored."""
        if self.failed:
            raise PartialSourceError(source, self.failed, again_at=self.again_at)

"""From a source to the store: load, validate, append, some symbols at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tradewind.errors import SourceError
from tradewind.market.accepted import apply_accepted, concerning
from tradewind.market.findings import Finding
from tradewind.market.source import Source, SourceSpec
from tradewind.market.store import BarStore
from tradewind.market.validate import check

__all__ = ["IngestResult", "ingest"]

_FIRST_CHUNK: Final = 25  # symbols, before it is known how long their histories are
_ROWS_AIMED_AT: Final = 500_000  # a chunk in memory is some 100 MB with what is derived from it


@dataclass(frozen=True)
class IngestResult:
    """What became of a source's bars.

    Attributes
    ----------
    symbols : tuple of str
        What was ingested, sorted.
    new, revised, unchanged : int
        Bars, as in `tradewind.market.store.Appended`.
    findings : tuple of Finding
        Warnings only: of validation, and one a revised value.
    """

    symbols: tuple[str, ...]
    new: int
    revised: int
    unchanged: int
    findings: tuple[Finding, ...]


def ingest(
    source: Source,
    spec: SourceSpec,
    store: BarStore,
    *,
    symbols: Sequence[str] | None = None,
    known_at: datetime,
    backdate: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> IngestResult:
    """Bring a store up to date with a source.

    Symbols are taken in chunks, so memory does not grow with their number. What was stored
    before an error or a kill stays; the next ingest goes on from there, since bars that are
    stored already are not stored again.

    Parameters
    ----------
    source, spec
        Where bars come from, its name, its calendar and what it has that is odd and real.
    store : BarStore
        Where they go.
    symbols : sequence of str, optional
        Default: all that the source has. Order and repetition do not matter.
    known_at : datetime
        With a time zone: when the source was read.
    backdate : bool
        Take the history of symbols that are new to the store as known since each session's
        close; read the warning of `BarStore.append` before using it.
    on_progress : callable, optional
        Called with the number of symbols done and of all, first with 0 done.

    Raises
    ------
    BarValidationError
        If bars break a rule; nothing of their chunk is stored.
    SourceError
        If the source has no symbols, or cannot give one.
    StoreError
        If bars contradict what is stored, or cannot be stored.
    """
    wanted = tuple(sorted(set(source.symbols() if symbols is None else symbols)))
    if not wanted:
        raise SourceError(f"source {spec.name!r} has no symbols; see what it is configured to read")
    report = on_progress or (lambda _done, _all: None)
    report(0, len(wanted))
    new = revised = unchanged = 0
    findings: list[Finding] = []
    chunks = _Chunks(wanted)
    for chunk in chunks:
        bars = source.load(chunk)
        _refuse_missing(spec.name, chunk, bars.get_column("symbol").unique().to_list())
        accepted = concerning(spec.accept, chunk)
        findings += check(bars, spec.calendar, known_at=known_at, accepted=accepted)
        done = store.append(
            spec.name, bars, known_at=known_at, calendar=spec.calendar, backdate=backdate
        )
        new, revised, unchanged = (
            new + done.new,
            revised + done.revised,
            unchanged + done.unchanged,
        )
        findings += done.findings
        chunks.learn(len(chunk), bars.height)
        report(chunks.taken, len(wanted))
    if symbols is None:  # an entry about a symbol that the source has not
        others = [entry for entry in spec.accept if entry.symbol not in wanted]
        findings += apply_accepted((), others)
    return IngestResult(wanted, new, revised, unchanged, tuple(findings))


class _Chunks:
    """Symbols in chunks of about as many rows each, by the length of the histories seen."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = symbols
        self._size = _FIRST_CHUNK
        self.taken = 0

    def __iter__(self) -> Iterator[Sequence[str]]:
        while self.taken < len(self._symbols):
            chunk = self._symbols[self.taken : self.taken + self._size]
            self.taken += len(chunk)
            yield chunk

    def learn(self, symbols: int, rows: int) -> None:
        """Aim the next chunk's rows by those of the last."""
        self._size = max(1, _ROWS_AIMED_AT * symbols // rows)


def _refuse_missing(source: str, asked: Sequence[str], given: Sequence[str]) -> None:
    absent = sorted(set(asked) - set(given))
    if absent:
        raise SourceError(
            f"source {source!r} gave no bars of {', '.join(absent[:10])}; correct the symbols"
        )

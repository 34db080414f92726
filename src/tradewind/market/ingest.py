"""From a source to the store, or to a list of what is wrong: one path for all who ask.

`tradewind data validate`, both kinds of ingest, backtests and trainings judge a source's bars
here: some symbols at a time, so that memory does not grow with their number, and all of them
together, so that what compares symbols sees them all. Nothing is stored unless all of it passes,
but of a source that gives what is new alone: see `tradewind.market.refresh`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import polars as pl

from tradewind.errors import PartialSourceError, SourceError
from tradewind.market.ingest_result import IngestResult, Progress
from tradewind.market.refresh import complete_bars, refresh
from tradewind.market.sources.offers import ComparesSources, takes_since
from tradewind.market.sources.source import Source, SourceSpec
from tradewind.market.store.bar_store import BarStore
from tradewind.market.validation.accepted import concerning
from tradewind.market.validation.disagreements import findings_of
from tradewind.market.validation.findings import Finding
from tradewind.market.validation.validate import Examination, check, refuse_errors

__all__ = ["IngestResult", "check_stored", "examine", "ingest", "read"]

_FIRST_CHUNK: Final = 25  # symbols, before it is known how long their histories are
_ROWS_AIMED_AT: Final = 500_000  # a chunk in memory is some 100 MB with what is derived from it
_GROWTH: Final = 4  # times as many symbols as the chunk before had, at most


def examine(
    source: Source,
    spec: SourceSpec,
    *,
    symbols: Sequence[str] | None = None,
    known_at: datetime,
    on_progress: Progress | None = None,
) -> list[Finding]:
    """Return everything that is wrong or odd about a source's bars; nothing is stored.

    Parameters
    ----------
    source, spec, symbols, known_at, on_progress
        As of `ingest`, which stops where an error is among what this returns.

    Returns
    -------
    list of Finding
        As of `tradewind.market.validation.validate.Examination.findings`.

    Raises
    ------
    SourceError
        If the source has no symbols, cannot give one, or changes meanwhile.
    MarketDataError
        If its calendar does not know the days of the bars.
    """
    with _examination(spec, symbols, known_at) as examination:
        wanted = _wanted(source, spec, symbols)
        for bars, noted in _parts(source, spec, wanted, known_at, on_progress):
            examination.add(bars)
            examination.note(noted)
        return examination.findings()


def read(
    source: Source, spec: SourceSpec, *, symbols: Sequence[str], known_at: datetime
) -> pl.DataFrame:
    """Return bars of some symbols as the source has them, judged as `ingest` would; none stored.

    Parameters
    ----------
    source, spec, symbols, known_at
        As of `ingest`. All bars are held in memory.

    Returns
    -------
    DataFrame of shape (n_bars, 9)
        Sorted by symbol, then session.

    Raises
    ------
    BarValidationError
        If bars break a rule.
    SourceError
        If the source cannot give one of the symbols, or changes meanwhile.
    MarketDataError
        If its calendar does not know the days of the bars.
    """
    parts = []
    with _examination(spec, symbols, known_at) as examination:
        for bars, noted in _parts(source, spec, _wanted(source, spec, symbols), known_at, None):
            examination.add(bars)
            examination.note(noted)
            parts.append(bars)
        refuse_errors(examination.findings())
    return pl.concat(parts)


def ingest(
    source: Source,
    spec: SourceSpec,
    store: BarStore,
    *,
    symbols: Sequence[str] | None = None,
    known_at: datetime,
    backdate: bool = False,
    on_progress: Progress | None = None,
) -> IngestResult:
    """Bring a store up to date with a source: with all of it, or not at all.

    Symbols are taken in chunks, which are set aside on disk until all are judged, so memory
    does not grow with their number. Whatever stops it, an error or a kill, leaves the store as
    it was.

    A source whose `load` takes ``since`` is asked for what is new alone. Then "all or nothing"
    holds of each symbol by itself: `IngestResult.failed` names those of which nothing new is
    stored.

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
        Called with the number of symbols looked at and of all, first with 0.

    Raises
    ------
    BarValidationError
        If bars break a rule.
    SourceError
        If the source has no symbols, cannot give one, or changes meanwhile. Of a source that is
        asked for what is new alone: if it can give none of them.
    StoreError
        If bars contradict what is stored, or cannot be stored.
    """
    wanted = _wanted(source, spec, symbols)
    if takes_since(source):
        return refresh(
            source, spec, store, wanted, known_at=known_at, backdate=backdate,
            on_progress=on_progress,
        )  # fmt: skip
    with (
        _examination(spec, symbols, known_at) as examination,
        store.stage(
            spec.name, known_at=known_at, calendar=spec.session_calendar, backdate=backdate
        ) as staged,
    ):
        for bars, _ in _parts(source, spec, wanted, known_at, on_progress):
            examination.add(bars)
            if not examination.has_errors:  # else nothing will be stored
                staged.add(bars)
        findings = refuse_errors(examination.findings())
        done = staged.commit()
    return IngestResult(wanted, done.new, done.revised, done.unchanged, (*findings, *done.findings))


def check_stored(
    bars: pl.DataFrame, spec: SourceSpec, symbols: Sequence[str], *, noted: Sequence[Finding] = ()
) -> list[Finding]:
    """Return the warnings about stored bars of some symbols, or refuse bars that have errors.

    They passed when they were stored; since then rules or the source's file may have changed, and
    a snapshot may begin or end elsewhere.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Of a snapshot.
    spec : SourceSpec
        Where they came from.
    symbols : sequence of str
        That were asked of the snapshot.
    noted : sequence of Finding
        What the sources of a quorum said differently when the bars were stored.

    Raises
    ------
    BarValidationError
        If any rule finds an error.
    """
    days = bars.get_column("session").sort()
    accepted = concerning(spec.accept, symbols, start=days[0], end=days[-1])
    return check(bars, spec.session_calendar, accepted=accepted, noted=noted)


def _examination(
    spec: SourceSpec, symbols: Sequence[str] | None, known_at: datetime
) -> Examination:
    whole = symbols is None
    return Examination(
        spec.session_calendar,
        known_at=known_at,
        accepted=spec.accept if symbols is None else concerning(spec.accept, symbols),
        whole=whole,
    )


def _wanted(source: Source, spec: SourceSpec, symbols: Sequence[str] | None) -> tuple[str, ...]:
    wanted = tuple(sorted(set(source.symbols() if symbols is None else symbols)))
    if not wanted:
        raise SourceError(f"source {spec.name!r} has no symbols; see what it is configured to read")
    return wanted


def _parts(
    source: Source,
    spec: SourceSpec,
    wanted: Sequence[str],
    known_at: datetime,
    on_progress: Progress | None,
) -> Iterator[tuple[pl.DataFrame, list[Finding]]]:
    """Return a source's bars and what it found, some symbols at a time, as they were at once."""
    report = on_progress or (lambda _done, _all: None)
    report(0, len(wanted))
    before = _state(source)
    taken, size, longest = 0, _FIRST_CHUNK, 1
    while taken < len(wanted):
        chunk = wanted[taken : taken + size]
        bars, noted = _loaded(source, spec, chunk)
        bars = complete_bars(bars, source, spec, known_at)
        yield bars, noted
        taken += len(chunk)
        longest = max(longest, 1, *bars.get_column("symbol").value_counts().get_column("count"))
        # Those that follow may be longer than all before, as where the short ones sort first.
        size = max(1, min(_ROWS_AIMED_AT // longest, _GROWTH * len(chunk)))
        report(taken, len(wanted))
    if _state(source) != before:
        raise SourceError(
            f"source {spec.name!r} changed while it was read, so that its bars may not belong "
            "together; ingest it again once it is whole"
        )


def _loaded(
    source: Source, spec: SourceSpec, chunk: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Return all bars of some symbols but those that sources cannot agree on, and why not."""
    if not isinstance(source, ComparesSources):
        bars = source.load(chunk)
        _refuse_others(spec.name, chunk, bars)
        return bars, []
    found = source.compare(chunk)
    if found.failed:
        raise PartialSourceError(spec.name, found.failed, again_at=found.again_at)
    _refuse_others(spec.name, sorted(set(chunk) - set(found.stopped)), found.bars)
    return found.bars, findings_of(found.said)


def _state(source: Source) -> object:
    """Return what changes when the source does, if it can tell."""
    state = getattr(source, "state", None)
    return state() if callable(state) else None


def _refuse_others(source: str, asked: Sequence[str], bars: pl.DataFrame) -> None:
    """Refuse bars that are not of the symbols that were asked for: of fewer, or of more."""
    given = bars.get_column("symbol").drop_nulls().unique() if "symbol" in bars.columns else ()
    absent = sorted(set(asked) - set(given))
    if absent:
        raise SourceError(
            f"source {source!r} gave no bars of {', '.join(absent[:10])}; correct the symbols"
        )
    more = sorted(set(given) - set(asked))
    if more:  # they would be stored again with the chunk that asks for them
        raise SourceError(
            f"source {source!r} gave bars of {', '.join(more[:10])}, which it was not asked for; "
            "its load(symbols) must return those symbols alone"
        )

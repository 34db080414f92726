"""From a source that gives what is new alone into the store, some symbols at a time.

A daily refresh of thousands of symbols must not fail for one of them, nor begin anew when it is
killed. So each chunk is judged and stored by itself, in one commit. A symbol that cannot be had, or
whose bars break a rule, is named and left as it is stored; the next try asks for it again, and for
no symbol that is up to date. Where a correction reaches into the older half of what is compared,
the symbol's whole history is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from tradewind.errors import PartialSourceError
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.calendar import latest_possible_session
from tradewind.market.ingest_result import IngestResult, Progress
from tradewind.market.sources.offers import (
    ComparesSources,
    IncrementalSource,
    Promise,
    promise_of,
    takes_since,
)
from tradewind.market.sources.source import Source, SourceSpec
from tradewind.market.store.bar_store import Appended, BarStore, Reach
from tradewind.market.validation import disagreements
from tradewind.market.validation.accepted import concerning
from tradewind.market.validation.findings import Finding
from tradewind.market.validation.validate import validate

__all__ = ["complete_bars", "refresh"]

_AT_ONCE: Final = 100  # symbols: what a kill has fetched in vain, and rows enough for a commit


def refresh(
    source: IncrementalSource,
    spec: SourceSpec,
    store: BarStore,
    wanted: Sequence[str],
    *,
    known_at: datetime,
    backdate: bool,
    on_progress: Progress | None,
) -> IngestResult:
    """Store what is new of some symbols, of each by itself.

    Parameters
    ----------
    source, spec, store, known_at, backdate, on_progress
        As of `tradewind.market.ingest.ingest`.
    wanted : sequence of str
        Sorted, each once.

    Raises
    ------
    PartialSourceError
        If nothing could be had of any symbol that was asked for.
    SourceError
        If the source cannot be read at all.
    StoreError
        If bars contradict what is stored, or cannot be stored. What was stored before stays.
    """
    promise = promise_of(source)
    reach = store.reach(spec.name, wanted, overlap=promise.overlap)
    last = _last_complete(spec, promise, known_at)
    behind = [one for one in wanted if one not in reach or reach[one].last < last]
    report = on_progress or (lambda _done, _all: None)
    report(len(wanted) - len(behind), len(wanted))
    taken = _Taken()

    def judged(
        symbols: Sequence[str], known: Mapping[str, Reach]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Load bars, and what sources say of them; symbols that fail are left out, and noted."""
        found = _loaded(source, spec, symbols, known)
        bars = complete_bars(found.bars, source, spec, known_at)
        wrong = {**found.failed, **_unconnected(bars, reach)}
        bars = bars.filter(~pl.col("symbol").is_in(list(wrong)))
        said = found.said.filter(pl.col("symbol").is_in(bars["symbol"].unique().to_list()))
        bars, warnings, broken = _judged(bars, spec, known_at, said)
        if not said.is_empty():  # before the bars, so that no kill parts them from what was said
            said = said.filter(~pl.col("symbol").is_in(list(broken)))
            store.said(spec.name).add(said, known_at=known_at)
        taken.failed |= wrong | broken
        taken.again_at = found.again_at or taken.again_at
        taken.findings += warnings
        return bars, said

    for start in range(0, len(behind), _AT_ONCE):
        chunk = behind[start : start + _AT_ONCE]
        known = {one: reach[one] for one in chunk if one in reach}
        bars, said = judged(chunk, known)
        compared = known if promise.prices == "raw" else {}  # of others all was asked for
        if restated := _restated(store, spec, bars, compared, known_at):
            # Nothing of them is stored before all is there, else the next try would not know.
            again, of_these = judged(restated, {})
            others = ~pl.col("symbol").is_in(restated)
            bars = pl.concat([bars.filter(others), again]).sort(KEY)
            said = pl.concat([said.filter(others), of_these])
        if not bars.is_empty():
            done = store.append(
                spec.name, bars, known_at=known_at, calendar=spec.session_calendar,
                backdate=backdate,
            )  # fmt: skip
            taken.add(done)
            if isinstance(source, ComparesSources):
                store.said(spec.name).settle(bars, said, known_at=known_at)
        report(len(wanted) - len(behind) + start + len(chunk), len(wanted))
    if behind and len(taken.failed) == len(behind):
        raise PartialSourceError(spec.name, taken.failed, again_at=taken.again_at)
    return taken.result(wanted)


@dataclass
class _Taken:
    """What became of the chunks so far."""

    new: int = 0
    revised: int = 0
    unchanged: int = 0
    findings: list[Finding] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    again_at: datetime | None = None

    def add(self, done: Appended) -> None:
        self.new += done.new
        self.revised += done.revised
        self.unchanged += done.unchanged
        self.findings += done.findings

    def result(self, wanted: Sequence[str]) -> IngestResult:
        return IngestResult(
            tuple(wanted), self.new, self.revised, self.unchanged, tuple(self.findings),
            dict(sorted(self.failed.items())), self.again_at,
        )  # fmt: skip


def _restated(
    store: BarStore,
    spec: SourceSpec,
    bars: pl.DataFrame,
    known: Mapping[str, Reach],
    known_at: datetime,
) -> list[str]:
    """Return the symbols with a correction in the older half of the overlap, sorted.

    It may reach further back than was asked for. The corrections of a usual day are of the days
    before.
    """
    held = bars.filter(pl.col("symbol").is_in(list(known)))
    if held.is_empty():
        return []
    with store.stage(spec.name, known_at=known_at, calendar=spec.session_calendar) as staged:
        staged.add(held)
        findings = staged.compare().findings
    middle = {one: each.since + (each.last - each.since) / 2 for one, each in known.items()}
    return sorted(
        {
            each.symbol
            for each in findings
            if each.symbol is not None
            and each.session is not None
            and each.session < middle[each.symbol]
        }
    )


def complete_bars(
    bars: pl.DataFrame, source: Source | IncrementalSource, spec: SourceSpec, known_at: datetime
) -> pl.DataFrame:
    """Leave out the bars of sessions that the vendor does not yet call complete.

    A bar of a day that is still to come stays: a rule names it. So does that of a session that goes
    on, of a source that neither promises anything nor gives what is new alone.

    Raises
    ------
    MarketDataError
        If the source's calendar does not know that time.
    """
    promise = promise_of(source)
    if "session" not in bars.columns or not (_wait(spec, promise) or takes_since(source)):
        return bars
    last = _last_complete(spec, promise, known_at)
    tomorrow = known_at.astimezone(UTC).date() + timedelta(days=1)  # it may be today elsewhere
    return bars.filter((pl.col("session") <= last) | (pl.col("session") > tomorrow))


def _wait(spec: SourceSpec, promise: Promise) -> timedelta:
    return max(promise.complete_after, timedelta(hours=spec.complete_after or 0.0))


def _last_complete(spec: SourceSpec, promise: Promise, known_at: datetime) -> date:
    return latest_possible_session(spec.session_calendar, known_at - _wait(spec, promise))


@dataclass(frozen=True)
class _Loaded:
    """The bars that can be had, why others cannot, until when nothing can, and who differs."""

    bars: pl.DataFrame
    failed: Mapping[str, str]
    again_at: datetime | None
    said: pl.DataFrame


def _loaded(
    source: IncrementalSource, spec: SourceSpec, chunk: Sequence[str], known: Mapping[str, Reach]
) -> _Loaded:
    # Each split and dividend changes all adjusted prices, those that are stored among them.
    whole = promise_of(source).prices == "adjusted"
    since = {} if whole else {symbol: each.since for symbol, each in known.items()}
    failed: dict[str, str] = {}
    again_at, said = None, pl.DataFrame(schema=disagreements.SCHEMA)
    try:
        if isinstance(source, ComparesSources):
            found = source.compare(chunk, since)
            bars, said, again_at = found.bars, found.said, found.again_at
            failed = {**found.failed, **found.stopped}
        else:
            bars = source.load(chunk, since)
    except PartialSourceError as error:
        failed, again_at = dict(error.failed), error.again_at
        bars = pl.DataFrame(schema=SCHEMA) if error.bars is None else error.bars
    given = set(bars.get_column("symbol").drop_nulls()) if "symbol" in bars.columns else set()
    for symbol in set(chunk) - given - set(failed):
        failed[symbol] = f"source {spec.name!r} gave no bars, and no reason; ask it again"
    return _Loaded(bars.filter(pl.col("symbol").is_in(chunk)), failed, again_at, said)


def _unconnected(bars: pl.DataFrame, known: Mapping[str, Reach]) -> dict[str, str]:
    """Return symbols whose bars lack a stored session that was asked for, and what that means.

    A split or dividend between what is stored and what is new would be lost; and an answer that
    ends before what is stored is cut short, and is no symbol without a new session.
    """
    if not known or "session" not in bars.columns:
        return {}
    spans = bars.group_by("symbol").agg(begin=pl.min("session"), end=pl.max("session"))
    found = {}
    for symbol, begin, end in spans.iter_rows():
        each = known.get(symbol)
        if each is None or begin is None:
            continue
        if begin > each.since:
            found[symbol] = (
                f"the bars begin on {begin}, and not on {each.since}, which is stored and was "
                "asked for; a vendor that took back a session must be asked why"
            )
        elif end < each.last:
            found[symbol] = (
                f"the bars end on {end}, and that of {each.last} is stored: the answer is cut "
                "short, or the vendor took back a session. Ask again later; if it stays so, ask "
                "the vendor why"
            )
    return found


def _judged(
    bars: pl.DataFrame, spec: SourceSpec, known_at: datetime, said: pl.DataFrame
) -> tuple[pl.DataFrame, list[Finding], dict[str, str]]:
    """Return the bars of symbols that pass every rule, warnings about them, and what others broke.

    Errors that name no symbol, such as those beyond a thousand of a kind, are looked for in each
    symbol by itself.
    """
    if bars.is_empty():
        return bars, [], {}

    def found_in(some: pl.DataFrame) -> list[Finding]:
        days = some.get_column("session").drop_nulls().sort().to_list() or [date.min, date.max]
        symbols = some.get_column("symbol").unique().to_list()
        accepted = concerning(spec.accept, symbols, start=days[0], end=days[-1])
        noted = disagreements.findings_of(said.filter(pl.col("symbol").is_in(symbols)))
        return validate(
            some, spec.session_calendar, known_at=known_at, accepted=accepted, noted=noted
        )

    found = found_in(bars)
    errors = [each for each in found if each.severity == "error"]
    if any(each.symbol is None for each in errors):
        alone = (found_in(part) for _, part in bars.group_by("symbol", maintain_order=True))
        parts = zip(bars.get_column("symbol").unique(maintain_order=True), alone, strict=True)
        broken = {
            symbol: str(wrong[0])
            for symbol, each in parts
            if (wrong := [one for one in each if one.severity == "error"])
        }
        broken |= {each.symbol: str(each) for each in errors if each.symbol is not None}
    else:
        broken = {}
        for each in errors:
            broken.setdefault(str(each.symbol), str(each))
            if each.rule == "copied_symbol":  # which of the two is right, nobody can tell
                broken.setdefault(str(each.value), str(each))
    warnings = [each for each in found if each.severity == "warning" and each.symbol not in broken]
    return bars.filter(~pl.col("symbol").is_in(list(broken))), warnings, broken

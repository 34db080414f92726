"""Bars from their source into the store, and a strategy's bars out of it under a name for ever.

One function a use case, the same for commands, notebooks and the tasks of Airflow's workers. What
a function needs it is given: the folders and the store stand in the settings, which are the same
in all three. Airflow reads the steps that call this with every DAG file, so heavy parts are
imported when a function runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tradewind.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from tradewind.market.ingest import IngestResult
    from tradewind.market.sessions import SessionCalendar
    from tradewind.market.sources.source import SourceSpec
    from tradewind.market.store.bar_store import BarStore
    from tradewind.market.validation.findings import Finding
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.research.strategy.universe import Universe

__all__ = [
    "CheckedBars",
    "NewestBars",
    "bar_store",
    "checked_bars",
    "newest_bars",
    "snapshot_of_universe",
    "store_new_bars",
    "store_universe",
]


@dataclass(frozen=True)
class CheckedBars:
    """Bars of a snapshot that passed every rule.

    Attributes
    ----------
    snapshot_id : str
    bars : DataFrame of shape (n_bars, 9)
    findings : tuple of Finding
        Warnings of validation.
    """

    snapshot_id: str
    bars: "pl.DataFrame"
    findings: "tuple[Finding, ...]"


@dataclass(frozen=True)
class NewestBars:
    """All that is stored of some symbols.

    Attributes
    ----------
    snapshot_id : str
    bars : DataFrame of shape (n_bars, 9)
    calendar : SessionCalendar
        Whose sessions they are.
    """

    snapshot_id: str
    bars: "pl.DataFrame"
    calendar: "SessionCalendar"


def bar_store(settings: Settings) -> "BarStore":
    """Return the store of bars."""
    from tradewind.market.store.bar_store import BarStore

    return BarStore(settings.market_store)


def store_new_bars(
    settings: Settings,
    spec: "SourceSpec",
    symbols: Sequence[str] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> "IngestResult":
    """Bring the store up to date with a source: with all that is asked for, or not at all.

    Of a source that gives what is new alone, that holds of each symbol by itself: the result names
    those that failed.

    Parameters
    ----------
    settings : Settings
    spec : SourceSpec
    symbols : sequence of str, optional
        All that the source has if not given.
    on_progress : callable, optional
        Called with (symbols done, symbols in all).

    Raises
    ------
    MarketDataError
        If the source cannot give the bars, they break a rule, or they cannot be stored.
    """
    from tradewind.market.ingest import ingest
    from tradewind.market.sources.source import open_source

    return ingest(
        open_source(spec),
        spec,
        bar_store(settings),
        symbols=symbols,
        known_at=datetime.now(UTC),
        backdate=spec.backdate,
        on_progress=on_progress,
    )


def store_universe(
    settings: Settings,
    strategy: "Strategy",
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> "IngestResult":
    """Store what is new among a strategy's bars.

    Raises
    ------
    MarketDataError
        If the source has not the calendar that the strategy names, which is looked at before
        anything is read; and as `store_new_bars` does.
    PartialSourceError
        If some of the symbols could not be had; the others are stored.
    """
    spec, _ = _source_of(settings, strategy.universe)
    stored = store_new_bars(settings, spec, strategy.bar_symbols, on_progress=on_progress)
    stored.refuse_failed(spec.name)
    return stored


def snapshot_of_universe(
    settings: Settings,
    strategy: "Strategy",
    *,
    as_of: datetime | None = None,
    until: date | None = None,
) -> str:
    """Return the id of a snapshot of a strategy's bars, as they are stored.

    Parameters
    ----------
    settings : Settings
    strategy : Strategy
    as_of : datetime, optional
        With a time zone; the snapshot leaves out what became known later.
    until : date, optional
        The last session that it has, if the strategy's universe does not end before.

    Raises
    ------
    MarketDataError
        If the source has not the calendar that the strategy names, none of the bars is stored, or
        the store cannot be read or written.
    """
    universe = strategy.universe
    spec, calendar = _source_of(settings, universe)
    ends = [day for day in (universe.end, until) if day is not None]
    return bar_store(settings).snapshot(
        spec.name,
        strategy.bar_symbols,
        calendar=calendar,
        start=universe.start,
        end=min(ends, default=None),
        as_of=as_of,
    )


def checked_bars(settings: Settings, strategy: "Strategy", snapshot_id: str) -> CheckedBars:
    """Read a snapshot of a strategy's bars, and judge them by the rules of today.

    Raises
    ------
    SnapshotError
        If the snapshot is missing or damaged.
    MarketDataError
        If its bars break a rule.
    """
    from tradewind.market.ingest import check_stored
    from tradewind.market.sources.source import find_source
    from tradewind.market.validation.disagreements import findings_of

    store = bar_store(settings)
    bars = store.read(snapshot_id)
    spec = find_source(strategy.universe.source, settings.sources_dir)
    said = store.said_of(snapshot_id, bars)
    findings = check_stored(bars, spec, strategy.bar_symbols, noted=findings_of(said))
    return CheckedBars(snapshot_id, bars, tuple(findings))


def newest_bars(
    settings: Settings, universe: "Universe", symbols: Sequence[str] | None = None
) -> NewestBars:
    """Take a snapshot of all that is stored of some symbols, and read it.

    Parameters
    ----------
    settings : Settings
    universe : Universe
    symbols : sequence of str, optional
        Those of the universe if not given.

    Raises
    ------
    MarketDataError
        If the source has not the calendar that the universe names, none of the bars is stored, or
        the store cannot be read or written.
    """
    spec, calendar = _source_of(settings, universe)
    store = bar_store(settings)
    wanted = universe.symbols if symbols is None else symbols
    snapshot_id = store.snapshot(spec.name, wanted, calendar=calendar)
    return NewestBars(snapshot_id, store.read(snapshot_id), calendar)


def _source_of(settings: Settings, universe: "Universe") -> "tuple[SourceSpec, SessionCalendar]":
    from tradewind.market.sources.source import find_source

    spec = find_source(universe.source, settings.sources_dir)
    return spec, spec.sessions_for(universe.calendar)

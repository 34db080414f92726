"""Sources of bars: what there is, whether it can be trusted, what is stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tradewind.desk._connections import PATIENCE, airflow, trigger_when_known
from tradewind.errors import SourceError
from tradewind.settings import Settings
from tradewind.stack.checks import Check, guarded

if TYPE_CHECKING:
    from tradewind.market.sources.source import SourceSpec
    from tradewind.market.store.bar_store import SnapshotInfo, Stored
    from tradewind.market.validation.findings import Finding
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.research.strategy.universe import Universe

__all__ = [
    "Action",
    "actions",
    "check_bars",
    "ingest",
    "snapshots",
    "sources",
    "stored",
    "validate",
]

_RECENT = timedelta(days=60)


def sources(settings: Settings) -> "list[SourceSpec]":
    """Return the sources of bars, by name.

    Raises
    ------
    SourceError
        If a source file is wrong.
    """
    from tradewind.market.sources.source import load_sources

    found, errors = load_sources(settings.sources_dir)
    for error in errors.values():
        raise error
    return list(found.values())


def ingest(
    settings: Settings,
    source: str,
    on_change: Callable[[Mapping[str, str]], None] | None = None,
    *,
    on_note: Callable[[str], None] | None = None,
    timeout: float = 6 * 3600.0,
) -> dict[str, int]:
    """Bring the store up to date with a source, through Airflow, and wait for the end.

    Parameters
    ----------
    settings : Settings
    source : str
    on_change : callable, optional
        Called with the state of each task, by name, as they change.
    on_note : callable, optional
        Told, in a sentence, what is waited for.
    timeout : float
        Seconds.

    Returns
    -------
    dict of str to int
        Bars that are ``new``, ``revised`` and ``unchanged``; the first two alone, and zero, if
        there was nothing that those who wait for new bars had not been told of. Symbols that
        ``failed`` where any did: the log of the run's task names them.

    Raises
    ------
    SourceError
        If there is no such source, or its file is wrong.
    OrchestrationError
        If the run fails, or Airflow is out of reach or does not know the source.
    """
    from tradewind.market.sources.source import find_source

    find_source(source, settings.sources_dir)
    dag_id = f"ingest_{source}"
    with airflow(settings, patience=PATIENCE, on_note=on_note) as client:
        run_id = trigger_when_known(client, dag_id)
        run = client.wait(dag_id, run_id, on_change=on_change, timeout=timeout)
        if all(task.state == "skipped" for task in run.tasks):
            return {"new": 0, "revised": 0}  # how many are unchanged, the log knows
        counts = client.xcom(dag_id, run_id, "ingest")
    if not isinstance(counts, dict):
        raise TypeError(f"task ingest of {dag_id} returned {counts!r}, not counts")
    told = {what: counts[what] for what in ("new", "revised", "unchanged")}
    return told | ({"failed": counts["failed"]} if counts.get("failed") else {})


def validate(settings: Settings, source: str, symbols: Sequence[str] = ()) -> "list[Finding]":
    """Return everything that is wrong or odd about a source's bars; nothing is stored.

    Parameters
    ----------
    settings : Settings
    source : str
    symbols : sequence of str
        All that the source has if none is named.

    Raises
    ------
    SourceError
        If there is no such source, or it cannot give the bars.
    """
    from tradewind.market.ingest import examine
    from tradewind.market.sources.source import find_source, open_source

    spec = find_source(source, settings.sources_dir)
    return examine(open_source(spec), spec, symbols=symbols or None, known_at=datetime.now(UTC))


@dataclass(frozen=True)
class Action:
    """A corporate action as a source tells it; see `tradewind.market.actions`."""

    symbol: str
    kind: str
    ex_date: date
    announced: date | None
    value: float | None
    other: str | None


def actions(
    settings: Settings, source: str, symbols: Sequence[str] = (), *, since: date | None = None
) -> list[Action]:
    """Return the splits, dividends and other actions that a source tells; nothing is stored.

    Parameters
    ----------
    settings : Settings
    source : str
    symbols : sequence of str
        All that the source has if none is named.
    since : date, optional
        First ex-date; all if not given.

    Raises
    ------
    SourceError
        If there is no such source, it tells no actions, or cannot give them.
    """
    from tradewind.market.sources.offers import OffersActions
    from tradewind.market.sources.source import find_source, open_source

    spec = find_source(source, settings.sources_dir)
    opened = open_source(spec)
    if not isinstance(opened, OffersActions):
        raise SourceError(
            f"source {source!r} is of kind {spec.kind!r}, which tells no corporate actions; those "
            "that its bars have are in their factors"
        )
    found = opened.actions(list(symbols) or opened.symbols(), since)
    return [Action(*row) for row in found.iter_rows()]


def check_bars(settings: Settings) -> list[Check]:
    """Say how old the stored bars are that strategies are to trade on by the clock.

    Old bars are no fault of the stack: orders on them are refused, and this says why.
    """
    from tradewind.desk.research import age_of
    from tradewind.market.store.bar_store import BarStore
    from tradewind.research.strategy.files import load_strategies

    store, now = BarStore(settings.market_store), datetime.now(UTC)
    checks = []
    for name, strategy in load_strategies(settings.strategies_dir, imports=False)[0].items():
        universe = strategy.universe
        if strategy.execution not in {"paper", "live"}:
            continue

        def look(
            name: str = name, strategy: "Strategy" = strategy, universe: "Universe" = universe
        ) -> Check:
            what = f"bars of {name}"
            if store.version(universe.source) is None:
                return Check(f"{what}: none is stored yet")
            recent = (now - _RECENT).date()
            sessions = store.bars(universe.source, universe.symbols, start=recent)["session"]
            if sessions.is_empty():
                return Check(f"{what}: none since {recent}, so that no order leaves")
            old = age_of(settings, strategy, sessions.sort()[-1], now)
            return Check(f"{what}: {old}" if old else what)

        checks.append(guarded(f"bars of {name}", look))
    return checks


def stored(settings: Settings) -> "list[Stored]":
    """Return what is stored of each source, by name; those of which nothing is are left out.

    Looked for are the sources that have a file, and those that a snapshot was taken of.

    Raises
    ------
    SourceError
        If a source file is wrong.
    StoreError, SnapshotError
        If the store is damaged.
    """
    from tradewind.market.store.bar_store import BarStore

    store = BarStore(settings.market_store)
    names = {spec.name for spec in sources(settings)}
    names |= {snapshot.source for snapshot in store.snapshots()}
    found = (store.stored(name) for name in sorted(names))
    return [each for each in found if each is not None]


def snapshots(settings: Settings) -> "list[SnapshotInfo]":
    """Return the snapshots that were taken of the store, newest first.

    Raises
    ------
    SnapshotError
        If one is damaged.
    """
    from tradewind.market.store.bar_store import BarStore

    found = BarStore(settings.market_store).snapshots()
    return sorted(found, key=lambda snapshot: snapshot.created, reverse=True)

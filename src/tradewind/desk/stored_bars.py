"""Stored bars looked at: what there is of a symbol, what changed, and where two sources differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tradewind.errors import StoreError
from tradewind.settings import Settings
from tradewind.stack.checks import Check, guarded

if TYPE_CHECKING:
    import polars as pl

    from tradewind.market.sources.source import SourceSpec
    from tradewind.market.store.bar_store import BarStore

__all__ = ["ChangedValue", "Difference", "Said", "Shown", "Step", "compare", "diagnose", "show"]

_A_STEP: Final = 1e-6  # of a factor; what is less is arithmetic
_RECENT: Final = timedelta(days=30)
_NAMED: Final = 20  # symbols in a message
_OLD: Final = 5  # sessions behind, from which on a source is said to be old


@dataclass(frozen=True)
class Step:
    """A split, as shares for each one before, or a dividend, as a share of the price."""

    session: date
    kind: str
    value: float


@dataclass(frozen=True)
class ChangedValue:
    """A stored value that replaced another; the store keeps both."""

    symbol: str
    session: date
    field: str
    was: float
    known_since: datetime
    became: float
    known_at: datetime


@dataclass(frozen=True)
class Said:
    """What sources of a quorum said differently of a bar, in words, and when."""

    symbol: str
    session: date
    rule: str
    what: str
    known_at: datetime


@dataclass(frozen=True)
class Shown:
    """What is stored of one symbol.

    Attributes
    ----------
    source, symbol : str
    first, last : date
        Sessions.
    bars : int
    close : float
        Of the last session, as it was traded.
    behind : int
        Sessions of the exchange that have closed since the last one.
    missing : tuple of date
        Sessions of the exchange between the first and the last without a bar.
    steps : tuple of Step
        Splits and dividends, oldest first.
    changed : tuple of ChangedValue
        Revisions, in the order in which they became known.
    said : tuple of Said
        Of a quorum.
    """

    source: str
    symbol: str
    first: date
    last: date
    bars: int
    close: float
    behind: int
    missing: tuple[date, ...]
    steps: tuple[Step, ...]
    changed: tuple[ChangedValue, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Difference:
    """How the stored bars of one symbol differ between two sources.

    Attributes
    ----------
    symbol : str
    common : int
        Sessions that both have.
    only_one, only_other : int
        Sessions between the first and last common one that one of them lacks.
    prices, volumes, actions : int
        Bars that differ by more than the tolerances of a quorum.
    first : str
        The first of all that differs, in words; empty if nothing does.
    """

    symbol: str
    common: int
    only_one: int
    only_other: int
    prices: int
    volumes: int
    actions: int
    first: str


def show(settings: Settings, source: str, symbol: str, *, plot: Path | None = None) -> Shown:
    """Return what is stored of a symbol, and draw it if a file is named.

    Parameters
    ----------
    settings : Settings
    source, symbol : str
    plot : Path, optional
        A picture: .png, .svg or .pdf.

    Raises
    ------
    SourceError
        If there is no such source.
    StoreError
        If nothing of the symbol is stored, the store is damaged, or the picture cannot be written.
    """
    from tradewind.market.age import sessions_behind
    from tradewind.market.calendar import sessions_between
    from tradewind.market.sources.source import find_source

    spec, store = find_source(source, settings.sources_dir), _store(settings)
    bars = _bars_of(store, spec, symbol)
    first, last = bars["session"][0], bars["session"][-1]
    held = set(bars["session"])
    shown = Shown(
        source=source,
        symbol=symbol,
        first=first,
        last=last,
        bars=bars.height,
        close=bars["close"][-1],
        behind=sessions_behind(spec.session_calendar, last, datetime.now(UTC)),
        missing=tuple(
            day for day in sessions_between(spec.session_calendar, first, last) if day not in held
        ),
        steps=tuple(_steps(bars)),
        changed=tuple(ChangedValue(*row) for row in store.revisions(source, [symbol]).iter_rows()),
        said=tuple(_said(store, source, [symbol])),
    )
    if plot is not None:
        _draw(bars, shown, plot)
    return shown


def compare(
    settings: Settings, one: str, other: str, symbols: Sequence[str] = ()
) -> list[Difference]:
    """Hold what is stored of two sources against each other, as a quorum of both would.

    Parameters
    ----------
    settings : Settings
    one, other : str
        Sources.
    symbols : sequence of str
        Those that both have, if none is named.

    Raises
    ------
    SourceError
        If there is no such source, or it cannot be opened.
    StoreError
        If nothing is stored of one of them, they have no symbol in common, or a symbol is missing.
    """
    from tradewind.market.sources.offers import promise_of
    from tradewind.market.sources.source import find_source, open_source

    store = _store(settings)
    specs = [find_source(name, settings.sources_dir) for name in (one, other)]
    silent = frozenset(  # of dividends, of which they contradict nobody
        spec.name for spec in specs if not promise_of(open_source(spec)).dividends
    )
    both = {name: _stored_symbols(store, name) for name in (one, other)}
    wanted = sorted(set(symbols) or both[one] & both[other])
    for name, there in both.items():
        if missing := sorted(set(wanted) - there):
            raise StoreError(
                f"source {name!r} has nothing stored of {', '.join(missing[:10])}; see tradewind "
                "data stored"
            )
    if not wanted:
        raise StoreError(
            f"{one} and {other} have no symbol in common; where they name one company in two "
            "ways, write names into the file of one of them"
        )
    return [_difference(store, one, other, symbol, silent) for symbol in wanted]


def diagnose(settings: Settings) -> list[Check]:
    """Say of each source what is stored, since when, how fresh it is, and what changed lately."""
    from tradewind.market.sources.source import load_sources

    store, now = _store(settings), datetime.now(UTC)
    specs, errors = load_sources(settings.sources_dir)
    checks = [Check(str(file), str(error), "correct the file") for file, error in errors.items()]
    for name, spec in specs.items():

        def look(name: str = name, spec: "SourceSpec" = spec) -> Check:
            return _looked_at(store, name, spec, now)

        checks.append(guarded(f"source {name}", look))
    return checks


def _looked_at(store: "BarStore", name: str, spec: "SourceSpec", now: datetime) -> Check:
    from tradewind.market.age import said_of_age, sessions_behind

    held = store.stored(name)
    if held is None:
        return Check(f"source {name}", note="nothing is stored yet")
    calendar = spec.session_calendar
    behind = sessions_behind(calendar, held.last, now)
    since = f"{len(held.symbols):,} symbols from {held.first} to {held.last}"
    notes = [since, f"stored last on {held.stored:%Y-%m-%d %H:%M} UTC"]
    changed = store.revisions(name)
    recent = changed.filter(changed["known_at"] >= now - _RECENT).height
    if changed.height:
        notes.append(f"{changed.height:,} values revised, {recent:,} of them in 30 days")
    said = store.said(name).rows()
    if said.height:
        count = said.select("symbol", "session", "rule").unique().height
        notes.append(f"{count:,} bars that its sources did not agree on")
    ended = _ended(store, name, held.symbols, held.last)
    if ended:
        names = ", ".join(ended[:10]) + (f" and {len(ended) - 10} more" if ended[10:] else "")
        notes.append(f"ended before the others: {names}")
    if behind > _OLD and spec.schedule is not None:
        return Check(
            f"source {name}: {'; '.join(notes)}",
            said_of_age(behind, held.last, calendar),
            f"tradewind data ingest {name} says why nothing new comes; if the source has ended, "
            "write schedule: null into its file",
        )
    if age := said_of_age(behind, held.last, calendar):
        notes.append(age)
    return Check(f"source {name}", note="; ".join(notes))


def _draw(bars: "pl.DataFrame", shown: Shown, file: Path) -> None:
    from tradewind.research.tearsheet.bar_chart import bar_chart

    figure = bar_chart(
        bars,
        f"{shown.symbol} of {shown.source}",
        splits=[each.session for each in shown.steps if each.kind == "split"],
        dividends=[each.session for each in shown.steps if each.kind == "dividend"],
        revised=sorted({each.session for each in shown.changed}),
        disputed=sorted({each.session for each in shown.said}),
        missing=shown.missing,
    )
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the picture cannot be written to {file}: {error}; name a file that ends in .png, "
            ".svg or .pdf, in a folder that can be written"
        ) from error


def _ended(store: "BarStore", source: str, symbols: Sequence[str], last: date) -> list[str]:
    reach = store.reach(source, symbols, overlap=0)
    return sorted(one for one, each in reach.items() if each.last < last - timedelta(days=10))


def _store(settings: Settings) -> "BarStore":
    from tradewind.market.store.bar_store import BarStore

    return BarStore(settings.market_store)


def _stored_symbols(store: "BarStore", source: str) -> set[str]:
    held = store.stored(source)
    if held is None:
        raise StoreError(
            f"nothing of source {source!r} is stored; ingest it: tradewind data ingest {source}"
        )
    return set(held.symbols)


def _bars_of(store: "BarStore", spec: "SourceSpec", symbol: str) -> "pl.DataFrame":
    bars = store.bars(spec.name, [symbol])
    if bars.is_empty():
        from tradewind.suggestions import did_you_mean

        there = sorted(_stored_symbols(store, spec.name))
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        raise StoreError(
            f"nothing of {symbol} is stored of source {spec.name!r}. "
            + did_you_mean(symbol, there[:_NAMED] if more else there)
            + more
        )
    return bars


def _steps(bars: "pl.DataFrame") -> list[Step]:
    import polars as pl

    split = pl.col("split_factor") / pl.col("split_factor").shift(1)
    both = pl.col("adjustment_factor") / pl.col("adjustment_factor").shift(1)
    told = bars.select("session", split.alias("split"), (both / split - 1.0).alias("dividend"))
    return [
        Step(session, kind, value)
        for session, ratio, dividend in told.drop_nulls().iter_rows()
        for kind, value, there in (
            ("split", ratio, abs(ratio - 1.0) > _A_STEP),
            ("dividend", dividend, dividend > _A_STEP),
        )
        if there
    ]


def _said(store: "BarStore", source: str, symbols: Sequence[str]) -> list[Said]:
    from tradewind.market.validation.disagreements import findings_of

    rows = store.said(source).rows(symbols)
    when = {
        (symbol, session, rule): known_at
        for symbol, session, rule, known_at in rows.select(
            "symbol", "session", "rule", "known_at"
        ).iter_rows()
    }
    return [
        Said(
            each.symbol, each.session, each.rule, f"{each.value}: {each.message}",
            when[each.symbol, each.session, each.rule],
        )
        for each in findings_of(rows)
        if each.symbol is not None and each.session is not None
    ]  # fmt: skip


def _difference(
    store: "BarStore", one: str, other: str, symbol: str, no_dividends: frozenset[str]
) -> Difference:
    import polars as pl

    from tradewind.market.sources.agreement import Tolerance, agree
    from tradewind.market.sources.quorum_options import QuorumTolerance
    from tradewind.market.validation.disagreements import findings_of

    given = {name: store.bars(name, [symbol]) for name in (one, other)}
    days = {name: set(bars["session"]) for name, bars in given.items()}
    common = days[one] & days[other]
    if not common:
        return Difference(symbol, 0, len(days[one]), len(days[other]), 0, 0, 0, "")
    inside = pl.col("session").is_between(min(common), max(common))
    given = {name: bars.filter(inside) for name, bars in given.items()}
    agreed = agree(
        given,
        rule="nobody",
        at_least=1,
        tolerance=Tolerance(**QuorumTolerance().model_dump()),
        no_dividends=no_dividends,
    )
    said = agreed.said.filter(pl.col("rule") != "quorum_start")
    bars = said.select("session", "rule").unique().group_by("rule").len()
    counts = dict(bars.iter_rows())
    found = findings_of(said)
    first = min(found, key=lambda each: each.session or date.max, default=None)
    spans = {
        name: {day for day in held if min(common) <= day <= max(common)}
        for name, held in days.items()
    }
    return Difference(
        symbol=symbol,
        common=len(common),
        only_one=len(spans[one] - common),
        only_other=len(spans[other] - common),
        prices=counts.get("quorum_price", 0),
        volumes=counts.get("quorum_volume", 0),
        actions=counts.get("quorum_action", 0),
        first="" if first is None else f"{first.session} {first.value}",
    )

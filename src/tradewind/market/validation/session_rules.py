"""Rules about which sessions a symbol has: order, repetition, gaps, the end and the future."""

from collections.abc import Collection, Iterator
from datetime import date, datetime
from typing import Final

import polars as pl

from tradewind.market.bars import KEY
from tradewind.market.calendar import (
    closes_between,
    latest_possible_session,
    opens_between,
    sessions_between,
)
from tradewind.market.exchange import known
from tradewind.market.sessions import Opened, SessionCalendar
from tradewind.market.validation.findings import AT_ONCE, Finding, the_rest

__all__ = [
    "ENDED_EARLY",
    "Ends",
    "calendar_findings",
    "exception_findings",
    "future_findings",
    "order_findings",
]

ENDED_EARLY: Final = 5
"""Sessions without a symbol, while others go on, that are worth a warning."""

_SATURDAY: Final = 6


def order_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each repeated bar, and one for each symbol that is not sorted.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    repeated = bars.group_by(*KEY).len().filter(pl.col("len") > 1).sort(KEY)
    findings = [
        Finding("error", symbol, session, "duplicate", count, f"the bar is there {count} times")
        for symbol, session, count in repeated.head(AT_ONCE).iter_rows()
    ] + the_rest("duplicate", repeated.height)
    symbol, session = pl.col("symbol"), pl.col("session")
    earlier = (symbol < symbol.shift(1)) | (
        (symbol == symbol.shift(1)) & (session < session.shift(1))
    )
    back = (
        bars.select(*KEY, earlier.alias("back"))
        .filter("back")
        .unique("symbol", keep="first", maintain_order=True)
    )
    return findings + [
        Finding(
            "error",
            symbol,
            session,
            "unsorted",
            str(session),
            "bars must be sorted by symbol, then session; this one stands after a later one",
        )
        for symbol, session in back.select(KEY).iter_rows()
    ]


def calendar_findings(bars: pl.DataFrame, calendar: str | SessionCalendar) -> Iterator[Finding]:
    """Yield a finding for each run of missing sessions, and each bar outside the calendar.

    A symbol is held to the calendar between its own first and last session: a listing or
    a delisting is not a gap.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    calendar : str or SessionCalendar
        Name in exchange_calendars, or a source's calendar.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or it does not know the days of the bars.
    """
    held = bars.select(KEY).drop_nulls().unique()
    if held.is_empty():
        return
    first, last = held.select(pl.min("session").alias("a"), pl.max("session").alias("b")).row(0)
    open_days = sessions_between(calendar, first, last).to_frame().with_row_index("number")
    yield from _missing(held, open_days, calendar)
    yield from _extra(held, open_days, calendar)


def _missing(
    held: pl.DataFrame, open_days: pl.DataFrame, calendar: str | SessionCalendar
) -> Iterator[Finding]:
    """Yield a finding for every run, for each may be one that is accepted."""
    days = open_days.get_column("session")
    spans = (
        held.join(open_days, on="session")
        .group_by("symbol")
        .agg(pl.len().alias("held"), pl.min("number").alias("a"), pl.max("number").alias("b"))
        .filter(pl.col("held") <= pl.col("b") - pl.col("a"))
    )
    gaps = (
        spans.select("symbol", number=pl.int_ranges("a", pl.col("b") + 1, dtype=pl.UInt32))
        .explode("number", empty_as_null=False)
        .join(open_days, on="number")
        .join(held, on=KEY, how="anti")
        .sort("symbol", "number")
        # Adjoining sessions have the same difference between their number and their place in the
        # list.
        .with_columns(
            (pl.col("number").cast(pl.Int64) - pl.int_range(pl.len())).over("symbol").alias("run")
        )
        .group_by("symbol", "run", maintain_order=True)
        .agg(pl.first("number").alias("first"), pl.last("number").alias("last"))
    )
    for symbol, _, a, b in gaps.iter_rows():
        first, last = days[a], days[b]
        several = f" to {last}" if b > a else ""
        yield Finding(
            "error",
            symbol,
            first,
            "missing_session",
            f"{first}{several}",
            f"{calendar} was open on the {b - a + 1} sessions there; ask the source again"
            if several
            else f"{calendar} was open that day; ask the source again",
        )


def _extra(
    held: pl.DataFrame, open_days: pl.DataFrame, calendar: str | SessionCalendar
) -> list[Finding]:
    closed = frozenset(SessionCalendar.of(calendar).closed)
    extra = held.join(open_days, on="session", how="anti").sort(KEY)
    return [
        Finding(
            "error",
            symbol,
            day,
            "extra_session",
            str(day),
            f"{calendar} was closed that day, {_why_closed(day, closed)}",
        )
        for symbol, day in extra.head(AT_ONCE).iter_rows()
    ] + the_rest("extra_session", extra.height)


def _why_closed(day: date, closed: frozenset[date]) -> str:
    if day in closed:
        return "as sessions.closed in the source's file says; take the entry out, or the bar"
    kind = f"a {day:%A}" if day.isoweekday() >= _SATURDAY else "a holiday"
    return (
        f"{kind}; if it was open, say so once in the source's file: sessions: "
        f"{{open: [{{days: {day}, reason: what happened}}]}}"
    )


def exception_findings(calendar: SessionCalendar) -> list[Finding]:
    """Return a warning for each exception that does not change the calendar.

    Later releases of a calendar know closures and special sessions themselves; a mistyped day looks
    the same.

    Days beyond those that the calendar knows do not change it either, but get no warning: a closure
    may be announced before the calendar knows the year.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    said = {
        **dict.fromkeys(calendar.closed, "closed"),
        **{one.session: "open" for one in calendar.opened},
        **{one.session: "hours" for one in calendar.hours},
    }
    if not said:
        return []
    limits = known(calendar.name)
    beyond = {day: kind for day, kind in said.items() if not limits.first <= day <= limits.last}
    told = [day for day in said if day not in beyond]
    there = set(sessions_between(calendar.name, min(told), max(told))) if told else set()
    return (
        [
            Finding(
                "warning",
                None,
                day,
                "sessions",
                kind,
                f"{calendar} knows sessions from {limits.first} to {limits.last}, so the entry "
                f"changes nothing yet; if the year is mistyped, correct it in sessions.{kind} of "
                "the source's file",
            )
            for day, kind in sorted(beyond.items())
        ]
        + [
            _useless(day, "closed", f"{calendar} has no session that day in any case")
            for day in calendar.closed
            if day not in there and day not in beyond
        ]
        + [
            _useless(one.session, "open", f"{calendar} has a session that day in any case")
            for one in calendar.opened
            if one.session in there
        ]
        + [
            _useless(one.session, "hours", f"{calendar} has {_none_or_same(one, there)}")
            for one in calendar.hours
            if one.session not in beyond
            and (one.session not in there or _changes_nothing(calendar.name, one))
        ]
    )


def _changes_nothing(calendar: str, hours: Opened) -> bool:
    """Tell whether a session begins and ends as the calendar has it in any case."""
    day = hours.session
    corrected = SessionCalendar(name=calendar, hours=(hours,))
    return closes_between(calendar, day, day).equals(
        closes_between(corrected, day, day)
    ) and opens_between(calendar, day, day).equals(opens_between(corrected, day, day))


def _none_or_same(hours: Opened, there: Collection[date]) -> str:
    return "these hours that day in any case" if hours.session in there else "no session that day"


def _useless(day: date, kind: str, reason: str) -> Finding:
    return Finding(
        "warning",
        None,
        day,
        "sessions",
        kind,
        f"{reason}, a {day:%A}; take it out of sessions.{kind} in the source's file, or correct it",
    )


def future_findings(
    bars: pl.DataFrame, calendar: str | SessionCalendar, known_at: datetime
) -> list[Finding]:
    """Return a finding for each bar of a session that had not closed when it was known.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    calendar : str or SessionCalendar
        Name in exchange_calendars, or a source's calendar.
    known_at : datetime
        When the bars were obtained, with a time zone.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or `known_at` has no time zone.
    """
    closed = latest_possible_session(calendar, known_at)
    later = bars.select(KEY).filter(pl.col("session") > closed).unique().sort(KEY)
    return [
        Finding(
            "error",
            symbol,
            session,
            "future_session",
            str(session),
            f"at {known_at:%Y-%m-%d %H:%M %Z} {calendar} had closed no session after {closed}; "
            "the bar is not final, or its date or time zone is wrong",
        )
        for symbol, session in later.head(AT_ONCE).iter_rows()
    ] + the_rest("future_session", later.height)


class Ends:
    """Collects, part by part, where each symbol ends, and which sessions have any bar."""

    def __init__(self) -> None:
        self._days: set[date] = set()
        self._last: dict[str, date] = {}

    def add(self, bars: pl.DataFrame) -> None:
        """Take distinct bars of symbols that were not taken before."""
        self._days.update(bars.get_column("session").unique().to_list())
        self._last.update(bars.group_by("symbol").agg(pl.max("session")).iter_rows())

    def findings(self) -> list[Finding]:
        """Return a warning for each symbol that ends `ENDED_EARLY` sessions before the others."""
        number = {day: place for place, day in enumerate(sorted(self._days))}
        return [
            Finding(
                "warning",
                symbol,
                session,
                "ended_early",
                behind,
                f"the last bar, while others go on for {behind} sessions; delisted, or left out?",
            )
            for symbol, session in sorted(self._last.items())
            if (behind := len(number) - 1 - number[session]) >= ENDED_EARLY
        ]

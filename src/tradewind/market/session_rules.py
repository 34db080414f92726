"""Rules about which sessions a symbol has: order, repetition, gaps against a calendar."""

from datetime import date

import polars as pl

from tradewind.market.bars import KEY
from tradewind.market.calendar import sessions_between
from tradewind.market.findings import Finding

__all__ = ["calendar_findings", "order_findings"]


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
        for symbol, session, count in repeated.iter_rows()
    ]
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


def calendar_findings(bars: pl.DataFrame, calendar: str) -> list[Finding]:
    """Return a finding for each session that a symbol lacks, or that the exchange lacks.

    A symbol is held to the calendar between its own first and last session: a listing or
    a delisting is not a gap.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    calendar : str
        Name in exchange_calendars.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    dated = bars.drop_nulls(KEY)
    if dated.is_empty():
        return []
    first, last = dated.select(pl.min("session").alias("a"), pl.max("session").alias("b")).row(0)
    expected = sessions_between(calendar, first, last)
    findings: list[Finding] = []
    for (symbol,), group in dated.group_by("symbol", maintain_order=True):
        findings += _compare(str(symbol), group.get_column("session"), expected, calendar)
    return findings


def _compare(symbol: str, held: pl.Series, expected: pl.Series, calendar: str) -> list[Finding]:
    days: set[date] = set(held)
    wanted = set(expected.filter(expected.is_between(min(days), max(days))))
    missing = [
        Finding("error", symbol, day, "missing_session", str(day), f"{calendar} was open that day")
        for day in sorted(wanted - days)
    ]
    extra = [
        Finding("error", symbol, day, "extra_session", str(day), f"{calendar} was closed that day")
        for day in sorted(days - wanted)
    ]
    return missing + extra

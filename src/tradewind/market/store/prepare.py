"""Checks that incoming bars can be stored, and derives what is stored with them."""

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from tradewind.errors import StoreError
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.calendar import closes_between
from tradewind.market.rounding import step_rounding
from tradewind.market.sessions import SessionCalendar
from tradewind.market.store.content import refuse_what_are_no_bars
from tradewind.market.store.factor_steps import FACTORS, to_steps
from tradewind.market.store.table import Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["prepared", "refuse_unconnected"]


def prepared(
    bars: pl.DataFrame, calendar: str | SessionCalendar, known_at: datetime
) -> pl.DataFrame:
    """Return sorted bars with steps and ``event_time``, or refuse what cannot be stored.

    Beside them is ``step_rounding``, as `tradewind.market.rounding.step_rounding` returns it.

    Raises
    ------
    SnapshotError
        If columns, types or values are not those of bars.
    StoreError
        If there are no bars, one is there twice, the exchange was closed, or a session closes after
        the time at which the bars became known.
    MarketDataError
        If there is no such calendar.
    """
    refuse_what_are_no_bars(bars)
    if bars.is_empty():
        raise StoreError("there are no bars to store; see what the source gives")
    ordered = bars.select(SCHEMA.names()).sort(KEY)
    repeated = ordered.filter(ordered.select(KEY).is_duplicated())
    if not repeated.is_empty():
        symbol, session = repeated.select(KEY).row(0)
        raise StoreError(f"{symbol} {session}: the bar is there twice; validate the bars first")
    if ordered.select(pl.any_horizontal((pl.col(f) <= 0.0).any() for f in FACTORS)).item():
        raise StoreError("factors must be above zero; validate the bars first")
    sessions = ordered.get_column("session").unique().sort()
    closes = closes_between(calendar, sessions[0], sessions[-1])
    steps = to_steps(ordered).with_columns(step_rounding(ordered).alias("step_rounding"))
    timed = steps.join(closes, on="session", how="left", maintain_order="left")
    closed = timed.filter(pl.col("event_time").is_null())
    if not closed.is_empty():
        symbol, session = closed.select(KEY).row(0)
        raise StoreError(f"{symbol} {session}: {calendar} was closed; validate the bars first")
    early = timed.filter(pl.col("event_time") > known_at)
    if not early.is_empty():
        symbol, session, close = early.select(*KEY, "event_time").row(0)
        raise StoreError(
            f"{symbol} {session}: the session closes at {close.isoformat()}, after known_at "
            f"{known_at.isoformat()}; ingest after the close, or pass the time the bars were read"
        )
    return timed


def refuse_unconnected(
    table: Table, version: "DeltaTable", incoming: pl.DataFrame, stored: pl.DataFrame
) -> list[str]:
    """Return the symbols that are new to the store; refuse bars that do not connect with its own.

    Raises
    ------
    StoreError
        If the step of a session between stored and incoming bars would stay unknown.
    """
    begins = incoming.group_by("symbol").agg(pl.min("session").alias("begin"))
    held = stored.select(*KEY)
    loose = begins.join(
        held, left_on=["symbol", "begin"], right_on=["symbol", "session"], how="anti"
    )
    if loose.is_empty():
        return []
    spans = loose.join(
        table.spans(version, loose.get_column("symbol").to_list()), on="symbol", how="left"
    )
    # A frame may begin before what is stored, if it reaches as far as the first stored session.
    reaching = incoming.select("symbol", first="session").with_columns(
        pl.lit(value=True).alias("in")
    )
    cut_off = (
        spans.drop_nulls("first")
        .join(reaching, on=["symbol", "first"], how="left")
        .filter((pl.col("first") < pl.col("begin")) | pl.col("in").is_null())
        .sort("symbol")
    )
    if not cut_off.is_empty():
        symbol, begin, first = cut_off.select("symbol", "begin", "first").row(0)
        raise StoreError(
            f"{symbol} {begin}: these bars do not connect with those stored from {first} on, so a "
            "split or dividend in between would be lost; hand over bars that begin at a stored "
            "session, or reach back and on to the first one"
        )
    return spans.filter(pl.col("first").is_null()).get_column("symbol").sort().to_list()

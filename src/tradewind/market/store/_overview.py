"""What the store has of a source, found without reading its prices."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from tradewind.market.store.table import Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Stored", "overview"]


@dataclass(frozen=True)
class Stored:
    """What the store has of a source.

    Attributes
    ----------
    source : str
    symbols : tuple of str
        Sorted.
    first, last : date
        Sessions of the oldest and of the newest bar.
    bars : int
    revised : int
        Values that replaced others; the store keeps both.
    stored : datetime
        When something was stored last. An ingestion that finds nothing new stores nothing.
    snapshots : int
        Snapshots of it.
    """

    source: str
    symbols: tuple[str, ...]
    first: date
    last: date
    bars: int
    revised: int
    stored: datetime
    snapshots: int


def last_session(table: Table, opened: "DeltaTable") -> date | None:
    """Return the newest session that a table has a bar of; raises as `overview` does."""
    with table.reading():
        found: date | None = table.scan(opened).select(pl.max("session")).collect().item()
    return found


def overview(table: Table, opened: "DeltaTable", *, source: str, snapshots: int) -> Stored | None:
    """Return what a table has; None if it has no bar.

    Raises
    ------
    StoreError
        If a file is missing or damaged.
    """
    with table.reading():
        kept = (
            table.scan(opened)
            .select("symbol", "session")
            .group_by("symbol")
            .agg(
                pl.min("session").alias("first"),
                pl.max("session").alias("last"),
                pl.len().alias("rows"),
                pl.n_unique("session").alias("bars"),
            )
            .sort("symbol")
            .collect()
        )
        written = table.last_write(opened)
    if kept.is_empty() or written is None:
        return None
    bars = int(kept["bars"].sum())
    return Stored(
        source=source,
        symbols=tuple(kept["symbol"]),
        first=kept["first"].min(),  # type: ignore[arg-type]  # a column of dates
        last=kept["last"].max(),  # type: ignore[arg-type]
        bars=bars,
        revised=int(kept["rows"].sum()) - bars,
        stored=written,
        snapshots=snapshots,
    )

"""How far the store's bars reach, symbol by symbol: where a refresh goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from tradewind.market.store.table import Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Reach", "reach"]


@dataclass(frozen=True)
class Reach:
    """Of a symbol: its last stored session, and the one from which on bars are to be compared."""

    since: date
    last: date


def reach(
    table: Table, opened: "DeltaTable", symbols: Sequence[str], *, overlap: int
) -> dict[str, Reach]:
    """Return how far each symbol reaches; those that are not stored are left out.

    Only what was stored lately is read, but for symbols that ended before: of those the last
    session is all that is compared.

    Raises
    ------
    StoreError
        If a file is missing or damaged.
    """
    years = pl.DataFrame(opened.get_add_actions(flatten=True)).get_column("partition.year")
    if years.is_empty():
        return {}
    found: dict[str, Reach] = {}
    latest = date(int(years.cast(pl.Int32).max()), 1, 1)  # type: ignore[arg-type]  # of integers
    with table.reading():
        start = latest - timedelta(days=2 * overlap + 10)
        recent = (
            table.scan(opened, symbols, start)
            .filter(pl.col("symbol").is_in(list(symbols)), pl.col("session") >= start)
            .group_by("symbol")
            .agg(pl.col("session").unique().sort().tail(overlap + 1))
            .select(
                "symbol",
                pl.col("session").list.first().alias("since"),
                pl.col("session").list.last().alias("last"),
            )
            .collect()
        )
        found |= {symbol: Reach(since, last) for symbol, since, last in recent.iter_rows()}
        others = sorted(set(symbols) - set(found))
        if others:
            ended = (
                table.scan(opened, others)
                .filter(pl.col("symbol").is_in(others))
                .group_by("symbol")
                .agg(pl.max("session").alias("last"))
                .collect()
            )
            found |= {symbol: Reach(last, last) for symbol, last in ended.iter_rows()}
    return found

"""Which stored values replaced others, and when: read off rows that are never overwritten."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from tradewind.market.bars import KEY, PRICES
from tradewind.market.store.factor_steps import STEPS
from tradewind.market.store.table import Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["REVISIONS", "revisions"]

_MOMENT: Final = pl.Datetime("us", "UTC")
REVISIONS: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        "field": pl.String(),
        "was": pl.Float64(),
        "known_since": _MOMENT,
        "became": pl.Float64(),
        "known_at": _MOMENT,
    }
)


def revisions(
    table: Table, opened: "DeltaTable", symbols: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return each value that replaced another, in the order in which they became known.

    Raises
    ------
    StoreError
        If a file is missing or damaged.
    """
    with table.reading():
        rows = table.scan(opened, symbols)
        if symbols is not None:
            rows = rows.filter(pl.col("symbol").is_in(list(symbols)))
        more_than_one = pl.len().over(KEY) > 1
        rows_of_revised = rows.filter(more_than_one).sort(*KEY, "knowledge_time").collect()
    before = rows_of_revised.with_columns(
        pl.col("knowledge_time").shift(1).over(KEY).alias("known_since")
    )
    parts = [
        before.select(
            *KEY,
            pl.lit(field).alias("field"),
            pl.col(field).cast(pl.Float64).shift(1).over(KEY).alias("was"),
            "known_since",
            pl.col(field).cast(pl.Float64).alias("became"),
            pl.col("knowledge_time").alias("known_at"),
        ).filter(pl.col("was") != pl.col("became"))
        for field in (*PRICES, "volume", *STEPS)
    ]
    return pl.concat([pl.DataFrame(schema=REVISIONS), *parts]).sort("known_at", *KEY, "field")

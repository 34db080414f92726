"""Tiingo's end-of-day interface, as its documents describe it, with the bundled real bars."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from tests.vendors.server import Answer, VendorServer

__all__ = ["TiingoServer", "rows_of"]

OVER_QUOTA = Answer(
    b"You have run over your hourly request allocation. Please upgrade to have it increased.",
    content_type="text/plain",
)
"""How it says so: a sentence, with status 200 (hydrosquall/tiingo-python#45)."""


class TiingoServer(VendorServer):
    """Hands out bars up to `today`."""

    def __init__(self, bars: pl.DataFrame, today: date = date.max) -> None:
        super().__init__()
        self.bars = bars
        self.today = today

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:  # noqa: ARG002
        return path.split("/")[3]

    def is_allowed(self, headers: Mapping[str, str]) -> bool:
        return headers.get("Authorization") == f"Token {self.key}"

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        parts = path.strip("/").split("/")
        if parts[:2] != ["tiingo", "daily"] or len(parts) not in {3, 4}:
            return Answer({"detail": "Not found."}, 404)
        mine = self.bars.filter(pl.col("symbol") == parts[2], pl.col("session") <= self.today)
        if mine.is_empty():
            return Answer({"detail": f"Error: Ticker '{parts[2]}' not found"}, 404)
        if parts[3:] == ["prices"]:
            begin = date.fromisoformat(params["startDate"])
            return Answer([row for row in rows_of(mine) if str(row["date"]) >= begin.isoformat()])
        days = mine["session"]
        return Answer(
            {
                "ticker": parts[2], "name": parts[2], "exchangeCode": "NYSE", "description": "",
                "startDate": days[0].isoformat(), "endDate": days[-1].isoformat(),
            }
        )  # fmt: skip


def rows_of(bars: pl.DataFrame) -> list[dict[str, object]]:
    """Bars of one symbol as the vendor writes them, with what the factors say of each session."""
    split = pl.col("split_factor") / pl.col("split_factor").shift(1)
    both = pl.col("adjustment_factor") / pl.col("adjustment_factor").shift(1)
    paid = pl.col("close") * (both / split - 1.0)
    adjusted = [
        (pl.col(name) * pl.col("adjustment_factor")).alias(f"adj{name.capitalize()}")
        for name in ("open", "high", "low", "close")
    ]
    return bars.select(
        (pl.col("session").dt.strftime("%Y-%m-%d") + "T00:00:00.000Z").alias("date"),
        "open",
        "high",
        "low",
        "close",
        "volume",
        *adjusted,
        (pl.col("volume") / pl.col("split_factor")).round().cast(pl.Int64).alias("adjVolume"),
        pl.when(paid > 1e-9).then(paid).otherwise(0.0).alias("divCash"),
        split.fill_null(1.0).alias("splitFactor"),
    ).to_dicts()  # fmt: skip

"""The splits and dividends that factors of bars stand for, as a vendor knows them."""

from datetime import date

import polars as pl

__all__ = ["told_of"]


def told_of(bars: pl.DataFrame) -> list[tuple[str, str, date, float]]:
    """Return symbol, kind, ex-date and value of each action of bars, which are sorted."""
    split = pl.col("split_factor") / pl.col("split_factor").shift(1)
    both = pl.col("adjustment_factor") / pl.col("adjustment_factor").shift(1)
    steps = bars.with_columns(split.over("symbol").alias("split")).with_columns(
        (pl.col("close") * (both.over("symbol") / pl.col("split") - 1.0)).alias("paid")
    )
    splits = steps.filter((pl.col("split") - 1.0).abs() > 1e-9)
    dividends = steps.filter(pl.col("paid") > 1e-9)
    return [
        *((symbol, "split", day, value) for symbol, day, value in _rows(splits, "split")),
        *((symbol, "dividend", day, value) for symbol, day, value in _rows(dividends, "paid")),
    ]


def _rows(steps: pl.DataFrame, value: str) -> list[tuple[str, date, float]]:
    return steps.select("symbol", "session", value).rows()

"""Symbols with closes alone: funds, indices and other series with one price a session."""

from typing import Final

import polars as pl

from tradewind.market.validation.findings import Finding

__all__ = ["closes_findings", "is_closes_only", "is_uncounted"]

_LEAST: Final = 2  # a single bar with one price says nothing


def is_closes_only() -> pl.Expr:
    """Return whether all bars of a row's symbol have one price: high and low are the same.

    For bars with the columns of `tradewind.market.bars.SCHEMA`.
    """
    flat = (pl.col("high") == pl.col("low")).all() & (pl.len() >= _LEAST)
    return flat.over("symbol")


def is_uncounted() -> pl.Expr:
    """Return whether a row's symbol has closes alone, and no volume on any session."""
    return is_closes_only() & (pl.col("volume") == 0).all().over("symbol")


def closes_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a warning for each symbol whose bars all have one price.

    Their open is the close of the same session, hours after the exchange has opened. So an order
    for the next open trades at the next close, a gap over night is the move of a whole session, and
    nothing within a session (a range, a gap, a stop) can be known or tested. Where the volume is
    unknown, too, no order can be compared with it: trading refuses every order for its size.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    closes = (
        bars.lazy()
        .filter(is_closes_only())
        .group_by("symbol", maintain_order=True)
        .agg(pl.min("session"), pl.len().alias("bars"), (pl.col("volume") > 0).any().alias("sold"))
        .collect()
    )
    return [
        Finding(
            "warning",
            symbol,
            session,
            "closes_only",
            held,
            f"each of the {held} bars has one price: an order for the next open trades at the next "
            "close, and no range, gap or stop within a session can be tested"
            + ("" if sold else "; no volume is known, so that each order is refused for its size"),
        )
        for symbol, session, held, sold in closes.iter_rows()
    ]

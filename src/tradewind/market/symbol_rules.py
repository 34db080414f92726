"""Rules about symbols: how they are spelled, and whether two of them are the same instrument."""

import unicodedata
from typing import Final

import polars as pl

from tradewind.market.bars import PRICES
from tradewind.market.findings import Finding

__all__ = ["COPIED_SESSIONS", "copy_findings", "spelling_findings"]

COPIED_SESSIONS: Final = 5
"""Sessions with equal prices and volume that make one symbol the copy of another."""


def spelling_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each symbol that is spelled so that it may be taken for another.

    Space around it, control characters and characters that only look like others are errors; so
    are symbols that differ in nothing but case, which are one instrument to most vendors.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    symbols = sorted(bars.get_column("symbol").drop_nulls().unique())
    findings = [
        Finding(
            "error",
            symbol,
            None,
            "symbol_spelling",
            repr(symbol),
            "a symbol is not empty and has no space around it, control or look-alike characters",
        )
        for symbol in symbols
        if not symbol
        or symbol != symbol.strip()
        or not symbol.isprintable()
        or symbol != unicodedata.normalize("NFKC", symbol)
    ]
    same: dict[str, list[str]] = {}
    for symbol in symbols:
        same.setdefault(symbol.casefold(), []).append(symbol)
    return findings + [
        Finding(
            "error",
            variants[0],
            None,
            "symbol_spelling",
            ", ".join(variants),
            "these differ in nothing but case; give the instrument one spelling",
        )
        for variants in same.values()
        if len(variants) > 1
    ]


def copy_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each symbol whose bars are, for some sessions, those of another.

    Two instruments never agree in four prices and the volume on `COPIED_SESSIONS` sessions; a
    vendor that mapped both names to one instrument makes them.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    # Most sessions differ in the hash already, which spares grouping by six columns.
    hashed = bars.lazy().select(
        "symbol", "session", pl.struct("session", *PRICES, "volume").hash().alias("content"),
        traded=(pl.col("volume") > 0) & (pl.col("high") > pl.col("low")),
    )  # fmt: skip
    pairs = (
        hashed.filter("traded")
        .filter(pl.col("content").is_duplicated())
        .sort("symbol")
        .with_columns(pl.col("symbol").first().over("content").alias("original"))
        .filter(pl.col("symbol") != pl.col("original"))
        .group_by("symbol", "original")
        .agg(pl.len().alias("sessions"), pl.min("session"))
        .filter(pl.col("sessions") >= COPIED_SESSIONS)
        .sort("symbol", "original")
        .collect()
    )
    return [
        Finding(
            "error",
            symbol,
            session,
            "copied_symbol",
            original,
            f"prices and volume equal those of {original} on {sessions} sessions; ask the vendor "
            "which instrument it is, and leave the other out",
        )
        for symbol, original, sessions, session in pairs.iter_rows()
    ]

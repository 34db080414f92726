"""Rules about symbols: how they are spelled, and whether two of them are the same instrument."""

from collections.abc import Iterable
from typing import Final

import polars as pl

from tradewind.market.symbols import plainly, why_no_symbol
from tradewind.market.validation._copies import Copies
from tradewind.market.validation.findings import Finding

__all__ = ["COPIED_SESSIONS", "copy_findings", "spelling_findings"]

COPIED_SESSIONS: Final = 5
"""Sessions with equal prices and volume that make one symbol the copy of another."""

_WITHOUT_VOLUME: Final = 20
# Stocks at a dollar have few prices: about one session in 200 agrees by chance.
_SHARES: Final = {"four": 0.1, "range": 0.5, "closes": 0.5}


def spelling_findings(symbols: Iterable[str]) -> list[Finding]:
    """Return a finding for each symbol whose spelling may be taken for another.

    A text that is no symbol (`tradewind.market.symbols.why_no_symbol`) is an error. So are symbols
    that differ only in case, or in the sign before a share class, which are one instrument to most
    vendors.

    Parameters
    ----------
    symbols : iterable of str
        All of them: any two may differ only so.
    """
    symbols = sorted(set(symbols))
    findings = [
        Finding(
            "error",
            symbol,
            None,
            "symbol_spelling",
            repr(symbol),
            problem,
        )
        for symbol in symbols
        if (problem := why_no_symbol(symbol))
    ]
    same: dict[str, list[str]] = {}
    for symbol in symbols:
        same.setdefault(plainly(symbol), []).append(symbol)
    return findings + [
        Finding(
            "error",
            variants[0],
            None,
            "symbol_spelling",
            ", ".join(variants),
            "these differ in nothing but case or the sign before a share class; give the "
            "instrument one spelling",
        )
        for variants in same.values()
        if len(variants) > 1
    ]


def copy_findings(copies: Copies) -> list[Finding]:
    """Return a finding for each symbol whose bars equal those of another for some sessions.

    Two instruments never agree in four prices and the volume on `COPIED_SESSIONS` sessions; a
    vendor that mapped both names to one instrument makes such bars. Where the volume differs, as it
    may between two feeds of one instrument, more sessions must agree: half of all, or a tenth of
    those on which no two of the four prices are equal. For symbols with closes alone, half of the
    sessions on which the close has changed must agree, whatever the volume.

    Parameters
    ----------
    copies : Copies
        With the bars of all symbols.

    Raises
    ------
    StoreError
        If their records cannot be read.
    """
    pairs = copies.pairs()
    kind, sessions = pl.col("kind"), pl.col("sessions")
    exact = pairs.filter(kind == "volume", sessions >= COPIED_SESSIONS)
    enough = pl.col("share") >= kind.replace_strict(_SHARES, default=None, return_dtype=pl.Float64)
    alike = (
        pairs.filter(enough, sessions >= _WITHOUT_VOLUME)
        .join(exact, on=["symbol", "original"], how="anti")
        .sort("sessions")
        .unique(["symbol", "original"], keep="last", maintain_order=True)
    )
    found = pl.concat([exact, alike]).sort("symbol", "original")
    return [
        Finding(
            "error",
            symbol,
            session,
            "copied_symbol",
            original,
            f"prices {'and volume ' * (of_kind == 'volume')}equal those of {original} on {count} "
            "sessions; ask the vendor which instrument it is, and leave the other out",
        )
        for symbol, original, of_kind, count, session in found.select(
            "symbol", "original", "kind", "sessions", "session"
        ).iter_rows()
    ]

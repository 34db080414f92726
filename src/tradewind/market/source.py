"""Where bars come from, as far as ingesting them needs to know."""

from collections.abc import Sequence
from typing import Protocol

import polars as pl

__all__ = ["Source", "SourceSpec"]


class Source(Protocol):
    """One configured source of bars."""

    def symbols(self) -> tuple[str, ...]:
        """Return all symbols it has, sorted."""
        ...

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Return bars of `tradewind.market.bars.SCHEMA`, not yet validated.

        Raises
        ------
        SourceError
            If it cannot give one of the symbols.
        """
        ...


class SourceSpec(Protocol):
    """What a source's file says."""

    @property
    def name(self) -> str:
        """Name of the source, and of its table."""
        ...

    @property
    def calendar(self) -> str:
        """Exchange calendar of its sessions, such as ``"XNYS"``."""
        ...

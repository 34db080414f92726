"""A source of the symbols that its file lists, of which a vendor is asked for what is new."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from tradewind.market.sources.vendor_bars import VendorOptions, all_or_partial, wanted_of
from tradewind.market.sources.vendor_tries import Fetched

__all__ = ["ListedSource", "by_first_day"]


class ListedSource(ABC):
    """What all kinds that ask a vendor are alike in; each says how the vendor is asked.

    Parameters
    ----------
    name : str
        Of the source.
    options : VendorOptions
        With the symbols that the file lists.
    """

    def __init__(self, name: str, options: VendorOptions) -> None:
        self._name = name
        self._listed = options.symbols

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that the source's file lists, sorted."""
        return self._listed

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        """Return the bars of some symbols, of each from a session on.

        See `tradewind.market.sources.offers.IncrementalSource.load`.

        Raises
        ------
        PartialSourceError
            If some of the symbols cannot be given. It has the bars of all others.
        SourceError
            If a symbol is not listed in the file, or the vendor answers nobody.
        """
        return all_or_partial(self._name, self._fetched(self._wanted(symbols), since or {}))

    def _wanted(self, symbols: Sequence[str]) -> list[str]:
        return wanted_of(self._name, symbols, self._listed)

    @abstractmethod
    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        """Return the bars of each symbol, or why they cannot be had.

        Parameters
        ----------
        wanted : list of str
            Listed ones, sorted.
        begins : mapping of str to date
            By symbol, a session that was given before, to begin with.
        """


def by_first_day(
    wanted: Sequence[str], begins: Mapping[str, date], start: date
) -> dict[date, list[str]]:
    """Return some symbols by the day that each begins with; `start` for those that are new."""
    groups: dict[date, list[str]] = {}
    for symbol in wanted:
        groups.setdefault(begins.get(symbol, start), []).append(symbol)
    return groups

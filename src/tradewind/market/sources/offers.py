"""What a source may offer beyond its two methods, and what it promises of its bars.

A source offers something by having the method; nobody need derive from the protocols here. A daily
refresh of thousands of symbols needs `load` with ``since``: whoever has it is asked for what is new
alone, and a symbol that fails does not stop the others (`tradewind.market.refresh`).

Importing this module loads no polars: Airflow reads it with every DAG file.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol, TypeGuard, runtime_checkable

from tradewind.market.sources.source import Source

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Compared",
    "ComparesSources",
    "IncrementalSource",
    "OffersActions",
    "OffersMembers",
    "OffersStatus",
    "Promise",
    "promise_of",
    "takes_since",
]


@dataclass(frozen=True)
class Promise:
    """What a source promises of its bars; an attribute ``promise`` of the source.

    Attributes
    ----------
    prices : {"raw", "adjusted"}
        Whether prices are as they were traded. Of adjusted ones the whole history is asked for each
        time, since every split and dividend changes it.
    point_in_time : bool
        Whether the vendor hands out what was known at the time, and never corrects it.
    complete_after : timedelta
        How long after its close the vendor calls a session complete. Until then its bar is left
        out: it may be one that was taken during the session, or lack corrections.
    overlap : int
        Sessions before the last stored one that are asked for again: those in which the vendor
        still corrects bars.
    quota : str
        How many requests are allowed, in words.
    dividends : bool
        Whether dividends are in the adjustment factors, or in adjusted prices.
    closes_only : bool
        Whether open, high and low are no prices of their own, but the close again.
    """

    prices: Literal["raw", "adjusted"] = "raw"
    point_in_time: bool = False
    complete_after: timedelta = timedelta(0)
    overlap: int = 30
    quota: str = ""
    dividends: bool = True
    closes_only: bool = False

    def __str__(self) -> str:
        hours = self.complete_after / timedelta(hours=1)
        parts = (
            f"{self.prices} prices" + ("" if self.dividends else " without dividends"),
            "never corrected" if self.point_in_time else "corrected later where they were wrong",
            f"complete {hours:g} h after the close" if hours else "",
            self.quota,
        )
        return ", ".join(part for part in parts if part)


class IncrementalSource(Protocol):
    """A source that gives what is new alone."""

    def symbols(self) -> tuple[str, ...]:
        """Return every symbol the source has bars of, sorted."""
        ...

    def load(
        self, symbols: Sequence[str], since: Mapping[str, date] | None = None
    ) -> "pl.DataFrame":
        """Return the bars of some symbols, not yet validated.

        Parameters
        ----------
        symbols : sequence of str
            One or more; order and repetition do not matter.
        since : mapping of str to date, optional
            By symbol, the session to begin with: one that the source has given before. The whole
            history of symbols that are not in it.

        Returns
        -------
        DataFrame of shape (n_bars, 9)
            As in `tradewind.market.bars`, sorted by symbol and session. Factors are 1.0 on each
            symbol's last session; their ratios are those of the whole history.

        Raises
        ------
        PartialSourceError
            If some of the symbols cannot be given. It has the bars of all others.
        SourceError
            If the source cannot be read at all.
        """
        ...


@dataclass(frozen=True)
class Compared:
    """Bars of several sources that were held against each other.

    Attributes
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Of the symbols that everything is decided of.
    said : DataFrame
        What each source says where they differ, as
        `tradewind.market.validation.disagreements.SCHEMA` has it.
    stopped : mapping of str to str
        What nobody has decided, by symbol.
    failed : mapping of str to str
        Why too few sources could give a symbol.
    again_at : datetime, optional
        Before it a source answers nothing.
    """

    bars: "pl.DataFrame"
    said: "pl.DataFrame"
    stopped: Mapping[str, str]
    failed: Mapping[str, str]
    again_at: datetime | None = None


@runtime_checkable
class ComparesSources(Protocol):
    """A source that is made of others, and tells where they differ."""

    def compare(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> Compared:
        """Return what `IncrementalSource.load` would, and what the sources say differently.

        Raises
        ------
        SourceError
            If none of them can be read at all.
        """
        ...


@runtime_checkable
class OffersActions(Protocol):
    """A source that knows corporate actions."""

    def actions(self, symbols: Sequence[str], since: date | None = None) -> "pl.DataFrame":
        """Return the actions of some symbols from a day on.

        Returns
        -------
        DataFrame of shape (n_actions, 6)
            As in `tradewind.market.actions`, sorted by symbol, ex-date and kind.

        Raises
        ------
        PartialSourceError
            If those of some of the symbols cannot be given.
        SourceError
            If the source cannot be read at all.
        """
        ...


@runtime_checkable
class OffersMembers(Protocol):
    """A source that knows which symbols belonged to it on a day, such as an index."""

    def members(self, day: date) -> tuple[str, ...]:
        """Return the symbols of a day, sorted, those that were delisted since among them.

        Raises
        ------
        SourceError
            If the source cannot be read, or does not know that day.
        """
        ...


@runtime_checkable
class OffersStatus(Protocol):
    """A source that can be asked whether it would answer."""

    def status(self) -> str:
        """Ask one cheap question, and say what is left of the quota; empty if nobody knows.

        Raises
        ------
        SourceError
            If the key is refused, the quota is used up, or the vendor is out of reach.
        """
        ...


def takes_since(source: Source) -> TypeGuard[IncrementalSource]:
    """Tell whether a source can be asked for what is new alone."""
    return "since" in inspect.signature(source.load).parameters


def promise_of(source: object) -> Promise:
    """Return what a source promises; one that says nothing promises raw prices, no more."""
    found = getattr(source, "promise", None)
    return found if isinstance(found, Promise) else Promise()

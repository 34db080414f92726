"""A source whose vendor's symbols are turned into those that strategies use, by a dated map."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from tradewind.errors import PartialSourceError, SourceError
from tradewind.market import actions
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.sources.names import Name, contradiction
from tradewind.market.sources.offers import IncrementalSource, takes_since
from tradewind.market.sources.source import Source

__all__ = ["renamed"]


def renamed(
    source: Source, names: Sequence[Name], where: str, *, all_used: bool = True
) -> "Source":
    """Return a source as strategies name its symbols.

    Parameters
    ----------
    source : Source
        Whose symbols are the vendor's. What it offers besides, the returned one offers, too.
    names : sequence of Name
    where : str
        For messages: the file and the source.
    all_used : bool
        Whether each name must be about a symbol of the source; a long list of many companies'
        names need not.

    Raises
    ------
    SourceError
        If the map contradicts itself.
    """
    if problem := contradiction(names):
        raise SourceError(f"{where}: names: {problem}")
    kind = _Incremental if takes_since(source) else _Renamed
    return kind(source, names, where, all_used=all_used)


class _Renamed:
    """Bars under today's symbols, of a source that is read whole."""

    def __init__(
        self, source: Source, names: Sequence[Name], where: str, *, all_used: bool
    ) -> None:
        self._source = source
        self._names = tuple(names)
        self._where = where
        self._all_used = all_used
        for offered in ("promise", "state", "status"):
            if hasattr(source, offered):
                setattr(self, offered, getattr(source, offered))
        if hasattr(source, "actions"):
            self.actions = self._actions
        if hasattr(source, "members"):
            self.members = self._members

    def symbols(self) -> tuple[str, ...]:
        """Return today's symbols, sorted.

        Raises
        ------
        SourceError
            If the source cannot be read, or the map does not fit its symbols.
        """
        return tuple(sorted(self._pieces()))

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Return the bars of some symbols; see `tradewind.market.sources.source.Source.load`.

        Raises
        ------
        PartialSourceError
            If some of the vendor's symbols cannot be given.
        SourceError
            If the source lacks one of the symbols, or cannot be read.
        """
        return self._load(symbols, {})

    def _load(self, symbols: Sequence[str], since: Mapping[str, date]) -> pl.DataFrame:
        wanted = self._wanted(symbols)
        needed = {
            symbol: [one for one in pieces if one.last >= since.get(symbol, date.min)]
            for symbol, pieces in wanted.items()
        }
        begins: dict[str, date | None] = {}
        for symbol, pieces in needed.items():
            for one in pieces:
                begin = since.get(symbol)
                # The vendor has given that session before only under the name it then had.
                own = begin if begin is not None and begin >= one.first else None
                held = begins.get(one.vendor, own)
                begins[one.vendor] = None if own is None or held is None else min(own, held)
        failed: dict[str, str] = {}
        again_at = None
        given = pl.DataFrame(schema=SCHEMA)
        try:
            if begins:
                given = self._ask(
                    sorted(begins), {one: day for one, day in begins.items() if day is not None}
                )
        except PartialSourceError as error:
            given = pl.DataFrame(schema=SCHEMA) if error.bars is None else error.bars
            failed, again_at = dict(error.failed), error.again_at
        missing: dict[str, str] = {}
        parts = []
        for symbol, pieces in needed.items():
            if not pieces:
                missing[symbol] = (
                    f"names: {wanted[symbol][-1]}, and bars since {since[symbol]} are asked for: "
                    "later ones are stored; correct the name's to:, or give it another symbol"
                )
                continue
            lacking = [one for one in pieces if one.vendor in failed]
            if lacking:
                missing[symbol] = f"{lacking[0]}: {failed[lacking[0].vendor]}"
                continue
            parts.append(_joined(given, symbol, pieces, since.get(symbol)))
        bars = pl.concat(parts).sort(KEY, maintain_order=True) if parts else given.clear()
        if missing:
            raise PartialSourceError(self._where, missing, bars=bars, again_at=again_at)
        return bars

    def _ask(self, vendors: Sequence[str], _since: Mapping[str, date]) -> pl.DataFrame:
        return self._source.load(vendors)

    def _pieces(self) -> dict[str, list[Name]]:
        """Return, by today's symbol, the vendor's symbols in their order.

        Raises
        ------
        SourceError
            If the map names symbols that the source has not, or leaves open which company one is.
        """
        listed = set(self._source.symbols())
        used = [one for one in self._names if one.vendor in listed]
        companies = {one.symbol for one in used}
        found: dict[str, list[Name]] = {}
        for one in self._names:
            if one.vendor not in listed and (self._all_used or one.symbol in companies):
                raise SourceError(
                    f"{self._where}: names: {one}: the source has no {one.vendor}; list it there, "
                    "or take the name out"
                )
            if one.vendor in listed:
                found.setdefault(one.symbol, []).append(one)
        mapped = {one.vendor for one in used}
        for symbol in sorted(listed - mapped):
            if symbol in found:
                raise SourceError(
                    f"{self._where}: names: {found[symbol][-1]}, and the source has {symbol} "
                    f"itself: is it the same company? Say since when: {{symbol: {symbol}, vendor: "
                    f"{symbol}, from: ...}}, or give the other one a name of its own"
                )
            found[symbol] = [Name(symbol=symbol, vendor=symbol)]
        for pieces in found.values():
            pieces.sort(key=lambda one: one.first)
        return found

    def _wanted(self, symbols: Sequence[str]) -> dict[str, list[Name]]:
        pieces = self._pieces()
        unknown = sorted(set(symbols) - set(pieces))
        if unknown or not symbols:
            raise SourceError(
                f"{self._where} has no symbols {', '.join(unknown[:10]) or 'at all'}; see names, "
                "by which symbols of the vendor are others here"
            )
        return {one: pieces[one] for one in sorted(set(symbols))}

    def _actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        """Return actions under today's symbols; see `offers.OffersActions.actions`."""
        wanted = self._wanted(symbols)
        vendors = sorted({one.vendor for pieces in wanted.values() for one in pieces})
        source: Any = self._source
        told: pl.DataFrame = source.actions(vendors, since)
        parts = [
            told.filter(
                pl.col("symbol") == one.vendor, pl.col("ex_date").is_between(one.first, one.last)
            ).with_columns(symbol=pl.lit(symbol))
            for symbol, pieces in wanted.items()
            for one in pieces
        ]
        return pl.concat([pl.DataFrame(schema=actions.SCHEMA), *parts]).sort(actions.SORTED_BY)

    def _members(self, day: date) -> tuple[str, ...]:
        """Return the members of a day under today's symbols."""
        source: Any = self._source
        today = {
            one.vendor: symbol
            for symbol, pieces in self._pieces().items()
            for one in pieces
            if one.first <= day <= one.last
        }
        return tuple(sorted(today.get(one, one) for one in source.members(day)))


class _Incremental(_Renamed):
    """As `_Renamed`, of a source that gives what is new alone."""

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        """Return bars from a session on; see `offers.IncrementalSource.load`."""
        return self._load(symbols, since or {})

    def _ask(self, vendors: Sequence[str], since: Mapping[str, date]) -> pl.DataFrame:
        source: IncrementalSource = self._source  # type: ignore[assignment]  # as `renamed` saw
        return source.load(vendors, since)


def _joined(
    given: pl.DataFrame, symbol: str, pieces: Sequence[Name], since: date | None
) -> pl.DataFrame:
    """Return one series of a company's bars under all of its names, factors 1.0 at its end."""
    begin = since or date.min
    parts: list[pl.DataFrame] = []
    for one in pieces:
        own = given.filter(
            pl.col("symbol") == one.vendor,
            pl.col("session").is_between(max(one.first, begin), one.last),
        )
        if len(pieces) == 1 and one.to is None:
            return own.with_columns(symbol=pl.lit(symbol))
        step = one.split if parts else 1.0
        parts.append(
            own.with_columns(
                pl.lit(symbol).alias("symbol"),
                *(
                    (pl.col(factor) / pl.col(factor).shift(1)).fill_null(step).alias(factor)
                    for factor in ("split_factor", "adjustment_factor")
                ),
            )
        )
        if own.is_empty():
            parts.pop()
    if not parts:
        return given.clear()
    return pl.concat(parts).with_columns(
        (1.0 / pl.col(factor).shift(-1, fill_value=1.0).cum_prod(reverse=True)).alias(factor)
        for factor in ("split_factor", "adjustment_factor")
    )

"""Bars on their way into a table: set aside part by part, then stored in one commit."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from tradewind.errors import StoreError
from tradewind.market.sessions import SessionCalendar
from tradewind.market.spool import Spool
from tradewind.market.store.merge import merge
from tradewind.market.store.prepare import prepared, refuse_unconnected
from tradewind.market.store.table import ConflictError, Table
from tradewind.market.validation.findings import Finding, Tally

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Appended", "Staged"]

_ATTEMPTS: Final = 50
_STEP: Final = 0.02  # seconds by which the wait grows with each conflict
_LONGEST_WAIT: Final = 0.5  # seconds


@dataclass(frozen=True)
class Appended:
    """How many of the bars that were handed to the store were new, revised and unchanged.

    Attributes
    ----------
    new : int
        Bars that the store did not have, and first bars whose step it did not know.
    revised, unchanged : int
        Bars whose values differ from the stored ones, and bars whose values do not.
    findings : tuple of Finding
        A warning, rule ``revision``, for each value that was revised; beyond a thousand, one for
        the rest.
    """

    new: int
    revised: int
    unchanged: int
    findings: tuple[Finding, ...]


class Staged:
    """Bars that shall be stored all together, or none of them.

    Memory holds one part at a time; the others are set aside on disk. Whatever happens before
    `commit` has returned, even a kill, the table is unchanged or has all of the bars.

    Parameters
    ----------
    table : Table
    calendar : str or SessionCalendar
    known_at : datetime
        In UTC.
    backdate : bool
        As of `tradewind.market.store.bar_store.BarStore.append`.
    """

    def __init__(
        self, table: Table, calendar: str | SessionCalendar, known_at: datetime, *, backdate: bool
    ) -> None:
        self._table = table
        self._calendar = calendar
        self._known_at = known_at
        self._backdate = backdate
        self._incoming = Spool()

    def add(self, bars: pl.DataFrame) -> None:
        """Set aside all bars of symbols of which none were set aside before.

        Raises
        ------
        StoreError, SnapshotError, MarketDataError
            If they cannot be stored.
        """
        self._incoming.add(prepared(bars, self._calendar, self._known_at))

    def compare(self) -> Appended:
        """Return what `commit` would store now, and store nothing.

        Raises
        ------
        StoreError
            As of `commit`.
        """
        version = self._table.open()
        with Spool() as rows:
            return Appended(0, 0, 0, ()) if version is None else self._new_to(version, rows)

    def commit(self) -> Appended:
        """Store the bars that the table does not have, in one commit.

        Raises
        ------
        StoreError
            If the bars do not connect with what is stored, are known before what they revise, or
            cannot be written.
        """
        from tenacity import (
            Retrying,
            retry_if_exception_type,
            stop_after_attempt,
            wait_incrementing,
        )

        tries = Retrying(
            retry=retry_if_exception_type(ConflictError),
            wait=wait_incrementing(start=0.0, increment=_STEP, max=_LONGEST_WAIT),
            stop=stop_after_attempt(_ATTEMPTS),
            reraise=True,
        )
        try:
            return tries(self._try)
        except ConflictError as error:
            raise StoreError(
                f"other processes wrote to {self._table.uri} {_ATTEMPTS} times before this one "
                "could; ingest a source from one place at a time"
            ) from error

    def _try(self) -> Appended:
        """Store the bars that are new to the newest version of the table.

        Raises
        ------
        ConflictError
            If another process stored something meanwhile: some of these bars may not be new any
            more.
        """
        version = self._table.open_or_create(str(self._calendar))
        with Spool() as rows:
            done = self._new_to(version, rows)
            if len(rows):
                self._table.append(version, rows)
                self._table.compact(version)
        return done

    def _new_to(self, version: "DeltaTable", rows: Spool) -> Appended:
        """Add the rows that a version of the table lacks to some others."""
        new = revised = unchanged = 0
        findings = Tally()
        for incoming in self._incoming:
            stored = self._stored(version, incoming)
            unseen = refuse_unconnected(self._table, version, incoming, stored)
            backdated = unseen if self._backdate else []
            done = merge(incoming, stored, known_at=self._known_at, backdated=backdated)
            new, revised = new + done.new, revised + done.revised
            unchanged += done.unchanged
            findings.add(0, done.findings)
            if not done.rows.is_empty():
                rows.add(done.rows)
        return Appended(new, revised, unchanged, tuple(findings.all()))

    def _stored(self, version: "DeltaTable", incoming: pl.DataFrame) -> pl.DataFrame:
        first, last = incoming.select(
            pl.min("session").alias("a"), pl.max("session").alias("b")
        ).row(0)
        symbols = incoming.get_column("symbol").unique().sort().to_list()
        return self._table.rows(version, symbols, start=first, end=last)

    def close(self) -> None:
        """Free the memory and the disk space."""
        self._incoming.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

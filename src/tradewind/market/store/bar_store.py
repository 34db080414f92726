"""Bars as they became known, in tables that only grow, and snapshots of them.

Each source has a Delta table. A row is a raw bar, the step of its adjustment factors, and two
times: ``event_time``, the close of its session, and ``knowledge_time``, when these values became
known. A revision is another row with a later ``knowledge_time``; nothing is ever overwritten, so
what was known at any time can be read for ever.

A snapshot names bars for ever: the version of a table, what was read of it, and the hash of
the content. Its id is a hash of source and content, so the same bars have the same name
whenever they are read, in whatever increments they were stored.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from tradewind.errors import SnapshotError, StoreError
from tradewind.market.sessions import SessionCalendar
from tradewind.market.store._history import REVISIONS, revisions
from tradewind.market.store._overview import Stored, last_session, overview
from tradewind.market.store._reach import Reach, reach
from tradewind.market.store._staging import Appended, Staged
from tradewind.market.store._tidied import Tidied, bytes_below
from tradewind.market.store.content import content_hash
from tradewind.market.store.disagreements import Disagreements
from tradewind.market.store.factor_steps import to_factors
from tradewind.market.store.manifests import Manifests, SnapshotInfo, name_of
from tradewind.market.store.moments import utc
from tradewind.market.store.table import Table, storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = [
    "Appended", "BarStore", "Reach", "SnapshotInfo", "Stored", "Tidied", "content_hash",
]  # fmt: skip

_FILES_A_YEAR = 30  # where there is time to join them, as at night


class BarStore:
    """Every source's bars, and the snapshots of them.

    Any number of processes may read and append at the same time.

    Parameters
    ----------
    root : str or Path
        A directory, made when something is stored, or ``s3://bucket/prefix``.
    storage_options : mapping of str to str, optional
        How to reach an object store: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ... It must
        support conditional puts (S3 and MinIO do), by which writers exclude each other.
    """

    def __init__(self, root: str | Path, storage_options: Mapping[str, str] | None = None) -> None:
        self.root, self._options = storage(root, storage_options)
        self._manifests = Manifests(self.root, self._options)

    def append(
        self,
        source: str,
        bars: pl.DataFrame,
        *,
        known_at: datetime,
        calendar: str | SessionCalendar,
        backdate: bool = False,
    ) -> Appended:
        """Store what is new or different in some bars; all of it or nothing.

        Bars that are stored already, with values that differ by no more than a vendor's rounding
        (see `tradewind.market.rounding`), are not stored again: appending twice makes no new
        version of the table.

        Parameters
        ----------
        source : str
            Letters, digits, ``-`` and ``_``.
        bars : DataFrame of shape (n_bars, 9)
            Validated bars. Of a symbol that is stored already, the frame must begin at a
            stored session, so that the step of each new one is known.
        known_at : datetime
            With a time zone: when these values became known, no earlier than the last close.
        calendar : str or SessionCalendar
            Exchange calendar of the sessions, such as ``"XNYS"``, or the source's.
        backdate : bool
            Take bars of symbols that the store has never seen as known since their own
            session's close.

        Warnings
        --------
        `backdate` assumes that the vendor's history is what it handed out at the time: never
        restated, and with the symbols delisted since. That holds for raw prices of good vendors,
        and it is the only way to train as of a time before the first load. Leave it off where a
        vendor says otherwise. Revisions, and new bars of known symbols, count from `known_at` in
        either case.

        Raises
        ------
        StoreError
            If the bars do not connect with what is stored, are known before they happened or
            before what they revise, or cannot be written.
        SnapshotError
            If columns, types or values are not those of bars.
        MarketDataError
            If there is no such calendar.
        """
        with self.stage(source, known_at=known_at, calendar=calendar, backdate=backdate) as staged:
            staged.add(bars)
            return staged.commit()

    def stage(
        self,
        source: str,
        *,
        known_at: datetime,
        calendar: str | SessionCalendar,
        backdate: bool = False,
    ) -> Staged:
        """Return a place for bars that come part by part and are then stored in one commit.

        Parameters
        ----------
        source, known_at, calendar, backdate
            As of `append`.

        Raises
        ------
        StoreError
            If the source's name is invalid, or `known_at` has no time zone.
        """
        table = Table(self.root, source, self._options)
        return Staged(table, calendar, utc(known_at, "known_at"), backdate=backdate)

    def bars(
        self,
        source: str,
        symbols: Sequence[str] | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        as_of: datetime | None = None,
    ) -> pl.DataFrame:
        """Return the newest bars, or those known at a time; to look at, not to train on.

        Parameters
        ----------
        source : str
            Which table.
        symbols : sequence of str, optional
            Default: all.
        start, end : date, optional
            First and last session, both included.
        as_of : datetime, optional
            With a time zone; what became known later is left out.

        Returns
        -------
        DataFrame of shape (n_bars, 9)
            Sorted by symbol and session; possibly none.

        Raises
        ------
        StoreError
            If the source is not stored, or its table cannot be read.
        """
        table = Table(self.root, source, self._options)
        version = table.open()
        if version is None:
            raise StoreError(_absent(self.root, source))
        moment = None if as_of is None else utc(as_of, "as_of")
        return to_factors(table.rows(version, symbols, start=start, end=end, as_of=moment))

    def snapshot(
        self,
        source: str,
        symbols: Sequence[str],
        *,
        calendar: str | SessionCalendar,
        start: date | None = None,
        end: date | None = None,
        as_of: datetime | None = None,
    ) -> str:
        """Name the bars of some symbols, so that they can be read again for ever.

        Parameters
        ----------
        source : str
            Which table.
        symbols : sequence of str
            At least one; order and repetition do not matter.
        calendar : str or SessionCalendar
            Exchange calendar that the caller counts sessions by; must be the source's. It is kept
            with the snapshot.
        start, end : date, optional
            First and last session, both included.
        as_of : datetime, optional
            With a time zone; what became known later is left out.

        Returns
        -------
        str
            64 hexadecimal digits; the same for the same source and content. If a snapshot of
            that name exists, it stays as it is, unless it cannot be read any more.

        Raises
        ------
        SnapshotError
            If the source has none of these bars, or has never had one of the symbols.
        StoreError
            If the calendar is not the source's, or the store cannot be read or written.
        """
        wanted = tuple(sorted(set(symbols)))
        if not wanted:
            raise SnapshotError(f"no symbols asked of source {source!r}; name at least one")
        moment = None if as_of is None else utc(as_of, "as_of")
        table = Table(self.root, source, self._options)
        version = table.open()
        if version is None:
            raise SnapshotError(_absent(self.root, source))
        table.check_calendar(version, str(calendar))
        bars = to_factors(table.rows(version, wanted, start=start, end=end, as_of=moment))
        self._refuse_absent(table, version, wanted, bars)
        if bars.is_empty():
            names, known = ", ".join(wanted[:10]), moment or "now"
            raise SnapshotError(
                f"source {source!r} has no bars of {names} from {start or 'the first'} to "
                f"{end or 'the last'} known at {known}; widen the range, or ingest the source"
            )
        digest = content_hash(bars)
        info = SnapshotInfo(
            id=name_of(source, digest),
            source=source,
            table_version=version.version(),
            symbols=wanted,
            start=start,
            end=end,
            as_of=moment,
            created=datetime.now(UTC),
            rows=bars.height,
            content_hash=digest,
            calendar=SessionCalendar.of(calendar),
        )
        if not self._is_readable(info):
            self._manifests.keep(info)
        return info.id

    def read(self, snapshot_id: str) -> pl.DataFrame:
        """Return the bars of a snapshot, after comparing them with its hash.

        Parameters
        ----------
        snapshot_id : str
            As returned by `snapshot`.

        Returns
        -------
        DataFrame of shape (n_bars, 9)
            Bars sorted by symbol and session, both factors 1.0 on each symbol's last session.

        Raises
        ------
        SnapshotError
            If the id is malformed, or manifest or bars are missing or damaged.
        """
        return self._read(self._info(snapshot_id))

    def _info(self, snapshot_id: str) -> SnapshotInfo:
        info = self._manifests.find(snapshot_id)
        if info is None:
            raise SnapshotError(
                f"no snapshot {snapshot_id} in {self.root}; ingest the source and take it again"
            )
        return info

    def said(self, source: str) -> Disagreements:
        """Return what the sources of a quorum said differently; nothing of any other source.

        Parameters
        ----------
        source : str
            The quorum.

        Raises
        ------
        StoreError
            If the name is invalid.
        """
        return Disagreements(self.root, source, self._options)

    def said_of(self, snapshot_id: str, bars: pl.DataFrame) -> pl.DataFrame:
        """Return what the sources of a quorum said differently of a snapshot's bars.

        See `tradewind.market.store.disagreements.Disagreements.of_bars`.

        Parameters
        ----------
        snapshot_id : str
        bars : DataFrame
            As `read` returns them.

        Raises
        ------
        SnapshotError
            If there is no such snapshot.
        StoreError
            If what was said cannot be read.
        """
        info = self._info(snapshot_id)
        return self.said(info.source).of_bars(bars, as_of=info.as_of, taken=info.created)

    def reach(self, source: str, symbols: Sequence[str], *, overlap: int) -> dict[str, Reach]:
        """Return how far the bars of some symbols reach, by symbol; none for what is not stored.

        Parameters
        ----------
        source : str
        symbols : sequence of str
        overlap : int
            Sessions before the last one that are to be compared once more.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        table = Table(self.root, source, self._options)
        opened = table.open()
        if opened is None or not symbols:
            return {}
        return reach(table, opened, symbols, overlap=overlap)

    def version(self, source: str) -> int | None:
        """Return the version of a source's table; None before the first bars are stored.

        It changes whenever bars are stored, and also when files are joined or deleted: what is
        new since a version, `has_new` tells.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        opened = Table(self.root, source, self._options).open()
        return None if opened is None else int(opened.version())

    def last_session(self, source: str) -> date | None:
        """Return the newest session of which a source has a bar; None if it has none.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        table = Table(self.root, source, self._options)
        opened = table.open()
        return None if opened is None else last_session(table, opened)

    def has_new(self, source: str, since: int | None) -> bool:
        """Tell whether rows were stored after some version of a source's table.

        A version may also be newer because files were joined or removed, which changes no row.

        Parameters
        ----------
        source : str
        since : int, optional
            As `version` returned it; None for the time before the first.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        table = Table(self.root, source, self._options)
        opened = table.open()
        written = None if opened is None else table.last_written_version(opened)
        if opened is None or written is None:
            return False
        # A version that is still to come is one of a table that was removed since.
        return since is None or not written <= since <= opened.version()

    def tidy(self, source: str, *, keep_days: int, dry_run: bool = False) -> Tidied | None:
        """Join the small files of a source's table, and delete files that nobody needs.

        Needed are the files of the newest version, and those of each version that a snapshot
        names.

        Parameters
        ----------
        source : str
        keep_days : int
            Days for which a file is kept after it was replaced, for who reads it meanwhile; 0
            for ever.
        dry_run : bool
            Whether nothing is changed.

        Returns
        -------
        Tidied or None
            None if nothing is stored of the source.

        Raises
        ------
        StoreError
            If the table is damaged or cannot be written.
        SnapshotError
            If the manifest of a snapshot cannot be read: nothing is deleted then, for it may name
            any version.
        """
        table = Table(self.root, source, self._options)
        opened = table.open()
        if opened is None:
            return None
        before = len(opened.file_uris())
        if not dry_run:
            table.compact(opened, most=_FILES_A_YEAR)
            opened = table.open() or opened
        removed: list[int] = []
        if keep_days:
            named = {each.table_version for each in self.snapshots() if each.source == source}
            removed = table.remove_unused(opened, versions=named, days=keep_days, dry_run=dry_run)
        return Tidied(before - len(opened.file_uris()), len(removed), sum(removed))

    def bytes_used(self) -> int:
        """Return the bytes of all tables and snapshots.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        return bytes_below(self.root, self._options)

    def stored(self, source: str) -> Stored | None:
        """Return what is stored of a source; None if nothing is.

        Raises
        ------
        StoreError
            If the table is damaged.
        SnapshotError
            If the manifest of a snapshot is.
        """
        table = Table(self.root, source, self._options)
        opened = table.open()
        if opened is None:
            return None
        taken = sum(snapshot.source == source for snapshot in self.snapshots())
        return overview(table, opened, source=source, snapshots=taken)

    def revisions(self, source: str, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return each stored value that replaced another, in the order in which they became known.

        Parameters
        ----------
        source : str
        symbols : sequence of str, optional
            Default: all.

        Returns
        -------
        DataFrame
            symbol, session, field; the value before (``was``, ``known_since``) and the one that
            replaced it (``became``, ``known_at``).

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        table = Table(self.root, source, self._options)
        opened = table.open()
        return (
            pl.DataFrame(schema=REVISIONS) if opened is None else revisions(table, opened, symbols)
        )

    def snapshots(self) -> list[SnapshotInfo]:
        """Return every snapshot, oldest first.

        Raises
        ------
        SnapshotError
            If a manifest is damaged.
        """
        return self._manifests.all()

    def _read(self, info: SnapshotInfo) -> pl.DataFrame:
        table = Table(self.root, info.source, self._options)
        what = f"snapshot {info.id} (version {info.table_version} of {table.uri})"
        try:
            version = table.open(info.table_version)
            if version is None:
                raise SnapshotError(f"{what} is gone with its table. {_MEND}")
            bars = to_factors(
                table.rows(version, info.symbols, start=info.start, end=info.end, as_of=info.as_of)
            )
        except StoreError as error:
            raise SnapshotError(
                f"{what} cannot be read: {error.__cause__ or error}. {_MEND}"
            ) from error
        if content_hash(bars) != info.content_hash:
            raise SnapshotError(f"{what} is damaged: its content has another hash. {_MEND}")
        return bars

    def _is_readable(self, info: SnapshotInfo) -> bool:
        """Whether a snapshot of this name exists and still gives its bars."""
        try:
            held = self._manifests.find(info.id)
            if held is not None and held.table_version != info.table_version:
                self._read(held)
        except SnapshotError:
            return False  # a snapshot of the bars just read has the same name, and replaces it
        return held is not None

    def _refuse_absent(
        self, table: Table, version: "DeltaTable", symbols: Sequence[str], bars: pl.DataFrame
    ) -> None:
        """Refuse symbols that the store never had; one that is not listed yet is no mistake."""
        without = sorted(set(symbols) - set(bars.get_column("symbol").unique()))
        if not without:
            return
        never = sorted(set(without) - set(table.spans(version, without).get_column("symbol")))
        if never:
            raise SnapshotError(
                f"the store has no bars of {', '.join(never[:10])} in {table.uri}; ingest them, or "
                "correct the symbols"
            )


_MEND = (
    "Restore the files from a backup, or ingest the source and take the snapshot again: the same "
    "bars get the same id"
)


def _absent(root: str, source: str) -> str:
    return f"no bars of source {source!r} in {root}; ingest it: tradewind data ingest {source}"

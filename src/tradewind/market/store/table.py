"""One source's bars as a Delta table: rows are appended in whole commits and never change.

The table is partitioned by the year of the session. Within a file, rows are sorted by symbol,
then session; Delta's log has the range of symbols and sessions of each file, and Parquet that
of each row group, so a reader opens only what it asks for.
"""

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import polars as pl

from tradewind.errors import StoreError
from tradewind.host.paths import unusable
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.store.factor_steps import STEPS

if TYPE_CHECKING:
    from deltalake import DeltaTable, PostCommitHookProperties, WriterProperties

__all__ = ["ROWS", "ConflictError", "Table", "is_remote", "storage"]

_MOMENT: Final = pl.Datetime("us", "UTC")
ROWS: Final = pl.Schema(
    {
        **{name: SCHEMA[name] for name in SCHEMA.names()[:-2]},
        **dict.fromkeys(STEPS, pl.Float64()),
        "event_time": _MOMENT,
        "knowledge_time": _MOMENT,
        "year": pl.Int32(),
    }
)
_CALENDAR: Final = "tradewind.calendar"
_FILES_A_YEAR: Final = 100  # more than a first load makes, and few enough to open
_ROW_GROUP: Final = 65_536
_BATCH: Final = 8_192  # rows handed to the writer at a time
_FILE: Final = 8 * 2**20  # bytes; a file being written is held in memory, one for each year
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class ConflictError(Exception):
    """Another writer committed first: read again, then try again."""


class Table:
    """The Delta table of one source.

    Parameters
    ----------
    root : str
        The store: an absolute directory or ``s3://bucket/prefix``.
    source : str
        Letters, digits, ``-`` and ``_``.
    storage_options : mapping of str to str
        As `storage` returns them.
    """

    def __init__(self, root: str, source: str, storage_options: Mapping[str, str]) -> None:
        if not _SOURCE.fullmatch(source):
            raise StoreError(f"{source!r} is no name of a source; use letters, digits, '-' and '_'")
        self.uri = f"{root}/bars/{source}"
        self._source = source
        self._options = dict(storage_options)

    def open(self, version: int | None = None) -> "DeltaTable | None":
        """Return the table at a version (default: the newest), or None if there is no table.

        Raises
        ------
        StoreError
            If its log cannot be read, or has no such version.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with self.reading():
            try:
                return DeltaTable(self.uri, version=version, storage_options=self._options)
            except TableNotFoundError:
                return None

    def open_or_create(self, calendar: str) -> "DeltaTable":
        """Return the newest version of the table, made if it is missing.

        Raises
        ------
        StoreError
            If it cannot be written, or its sessions are those of another calendar.
        ConflictError
            If another process made it meanwhile.
        """
        from deltalake import DeltaTable

        table = self.open()
        if table is None:
            if not is_remote(self.uri):
                with self.writing():
                    Path(self.uri).mkdir(parents=True, exist_ok=True)
            with self.writing():
                return DeltaTable.create(
                    self.uri,
                    pl.DataFrame(schema=ROWS).to_arrow().schema,
                    partition_by="year",
                    name=self._source,
                    description=f"daily bars of source {self._source}, by tradewind",
                    configuration={
                        _CALENDAR: calendar,
                        # Snapshots name versions: their log must never be tidied away.
                        "delta.enableExpiredLogCleanup": "false",
                        "delta.dataSkippingStatsColumns": "symbol,session,knowledge_time",
                    },
                    storage_options=self._options,
                    raise_if_key_not_exists=False,  # the calendar is our own key
                )
        self.check_calendar(table, calendar)
        return table

    def check_calendar(self, table: "DeltaTable", calendar: str) -> None:
        """Raise `StoreError` if the table's sessions are those of another calendar."""
        held = table.metadata().configuration.get(_CALENDAR)
        if held != calendar:
            raise StoreError(
                f"source {self._source!r} is stored with the sessions of {held}, not {calendar}; "
                "name the same calendar, or give the source another name"
            )

    def append(self, table: "DeltaTable", parts: Iterable[pl.DataFrame]) -> None:
        """Commit rows on top of exactly the version that `table` is, all of them at once.

        Parameters
        ----------
        table : DeltaTable
        parts : iterable of DataFrame
            Rows without ``year``, each part of other symbols than those before; one part at a
            time is held.

        Raises
        ------
        ConflictError
            If the table has a newer version meanwhile; nothing is stored.
        StoreError
            If the rows cannot be written.
        """
        import pyarrow as pa  # type: ignore[import-untyped]
        from deltalake import CommitProperties, write_deltalake

        schema = pl.DataFrame(schema=ROWS).to_arrow().schema
        batches = (
            batch
            for rows in parts
            for batch in _by_year(rows).to_arrow().cast(schema).to_batches(_BATCH)
        )
        with self.writing():
            write_deltalake(
                table,
                pa.RecordBatchReader.from_batches(schema, batches),
                mode="append",
                writer_properties=_writer(),
                target_file_size=_FILE,
                # Delta lets two appends pass each other. Ours depend on what was read, so no other
                # may come between.
                commit_properties=CommitProperties(max_commit_retries=0),
                post_commithook_properties=_hooks(),
            )

    def compact(self, table: "DeltaTable", *, most: int | None = None) -> None:
        """Rewrite the years that consist of many files into few, sorted by symbol.

        Earlier versions stay readable, for their files are kept.

        Parameters
        ----------
        table : DeltaTable
            Its newest version.
        most : int, optional
            Files that a year may have; default: as many as a first load makes.
        """
        from deltalake import CommitProperties

        added = pl.DataFrame(table.get_add_actions(flatten=True))
        bound = _FILES_A_YEAR if most is None else most
        counts = added.group_by("partition.year").len().filter(pl.col("len") > bound)
        for year in sorted(counts.get_column("partition.year")):
            try:
                with self.writing():
                    table.optimize.z_order(
                        ["symbol"],
                        partition_filters=[("year", "=", str(year))],
                        max_concurrent_tasks=1,
                        writer_properties=_writer(),
                        commit_properties=CommitProperties(max_commit_retries=0),
                        post_commithook_properties=_hooks(),
                    )
            except ConflictError:
                return  # another writer commits; it will count the files itself

    def rows(
        self,
        table: "DeltaTable",
        symbols: Sequence[str] | None,
        *,
        start: date | None = None,
        end: date | None = None,
        as_of: datetime | None = None,
    ) -> pl.DataFrame:
        """Return each bar as it was known at a time, sorted by symbol and session.

        Parameters
        ----------
        table : DeltaTable
            Which version.
        symbols : sequence of str, optional
            Default: all.
        start, end : date, optional
            First and last session, both included.
        as_of : datetime, optional
            Rows that became known later are left out; default: none are.

        Returns
        -------
        DataFrame of shape (n_bars, 12)
            With the columns of `ROWS` but ``year``.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        with self.reading():
            wanted = self.scan(table, symbols, start, end)
            found = wanted.filter(*_conditions(symbols, start, end, as_of)).collect()
        # The newest row of a bar is the one that counts.
        return found.sort(*KEY, "knowledge_time").unique(KEY, keep="last", maintain_order=True)

    def spans(self, table: "DeltaTable", symbols: Sequence[str]) -> pl.DataFrame:
        """Return symbol, and first stored session (``first``), of those that are stored."""
        with self.reading():
            wanted = self.scan(table, symbols)
            wanted = wanted.filter(*_conditions(symbols, None, None, None))
            return wanted.group_by("symbol").agg(pl.min("session").alias("first")).collect()

    def scan(
        self,
        table: "DeltaTable",
        symbols: Sequence[str] | None = None,
        start: date | None = None,
        end: date | None = None,
    ) -> pl.LazyFrame:
        """Return a query of the files that can hold such rows; without ``year``, unfiltered.

        `polars.scan_delta` opens the files' addresses as if they were paths: below a folder with a
        space, an umlaut or a ``#`` in its name it finds none. The log's own names are relative to
        the table.
        """
        files = pl.DataFrame(table.get_add_actions(flatten=True))
        if symbols is not None:
            files = files.filter(
                (pl.col("min.symbol") <= max(symbols)).fill_null(value=True),
                (pl.col("max.symbol") >= min(symbols)).fill_null(value=True),
            )
        if start is not None:
            files = files.filter(pl.col("partition.year") >= start.year)
        if end is not None:
            files = files.filter(pl.col("partition.year") <= end.year)
        schema = pl.Schema(table.schema())
        del schema["year"]
        if files.is_empty():
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(
            [f"{self.uri}/{path}" for path in files.get_column("path")],
            schema=schema,
            glob=False,
            hive_partitioning=False,
            missing_columns="insert",
            extra_columns="ignore",
            storage_options=self._options or None,
            credential_provider=None,
        )

    def last_write(self, table: "DeltaTable") -> datetime | None:
        """Return when rows were appended last; None if they never were."""
        found = self._last_write(table)
        return None if found is None else found[1]

    def last_written_version(self, table: "DeltaTable") -> int | None:
        """Return the version by which rows were appended last; later ones only moved them."""
        found = self._last_write(table)
        return None if found is None else found[0]

    def _last_write(self, table: "DeltaTable") -> tuple[int, datetime] | None:
        entries: Iterable[tuple[int, dict[str, Any]]]
        if is_remote(self.uri):
            entries = ((int(entry["version"]), entry) for entry in table.history())
        else:  # its own history is empty below a folder with `#` or `?` in its name
            log = sorted(Path(self.uri, "_delta_log").glob("*.json"), reverse=True)
            entries = (
                (int(file.stem), action["commitInfo"])
                for file in log
                for action in map(json.loads, file.read_text().splitlines())
                if "commitInfo" in action
            )
        for version, entry in entries:
            if entry.get("operation") == "WRITE":
                return version, datetime.fromtimestamp(entry["timestamp"] / 1000, tz=UTC)
        return None

    def remove_unused(
        self, table: "DeltaTable", *, versions: Collection[int], days: int, dry_run: bool = False
    ) -> list[int]:
        """Delete files that neither the newest version needs nor one of some others.

        Parameters
        ----------
        table : DeltaTable
            Its newest version.
        versions : collection of int
            Whose files are kept.
        days : int
            Files that were left by a rewrite since then are kept, for who reads them meanwhile.
        dry_run : bool
            Whether nothing is deleted.

        Returns
        -------
        list of int
            The bytes of each file.
        """
        # In full: a checkpoint forgets after a week which files were left, and else they stayed.
        options: dict[str, Any] = {
            "retention_hours": days * 24,
            "enforce_retention_duration": False,
            "keep_versions": sorted(versions),
            "full": True,
        }
        with self.reading():
            unused = table.vacuum(dry_run=True, **options)
            sizes = [self._bytes_of(name) for name in unused]
        if unused and not dry_run:
            try:
                with self.writing():
                    table.vacuum(dry_run=False, post_commithook_properties=_hooks(), **options)
            except ConflictError:
                return []  # another writer commits; the files are found again the next time
        return sizes

    def _bytes_of(self, name: str) -> int:
        if is_remote(self.uri):
            from deltalake.fs import DeltaStorageHandler

            files = DeltaStorageHandler(self.uri, self._options)
            return int(files.get_file_info([name])[0].size or 0)
        return Path(self.uri, unquote(name)).stat().st_size

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn an error of reading into ours, which says where it was and how to mend it.

        Raises
        ------
        StoreError
            In the place of what deltalake and polars raise.
        """
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as e:
            raise StoreError(
                f"the bars in {self.uri} cannot be read: {e}; restore the missing or damaged file "
                "from a backup, or remove the table and ingest the source again"
            ) from e

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tell another writer's commit from a failure, whose error says where and how to mend it.

        Raises
        ------
        ConflictError, StoreError
            In the place of what deltalake raises.
        """
        from deltalake.exceptions import CommitFailedError, DeltaError

        try:
            yield
        except CommitFailedError as error:
            raise ConflictError(str(error)) from error
        except (DeltaError, OSError) as error:
            if "already exists" in str(error):
                raise ConflictError(str(error)) from error
            raise StoreError(
                f"bars cannot be written to {self.uri}: {error}; free space, make it writable, or "
                "see whether the object store is up"
            ) from error


def is_remote(root: str) -> bool:
    """Whether a root is an object store's address and not a directory."""
    return "://" in root


def storage(
    root: str | Path, storage_options: Mapping[str, str] | None
) -> tuple[str, dict[str, str]]:
    """Return where a store is, without a slash at its end, and how to reach it.

    Raises
    ------
    StoreError
        If no table can be kept in a folder of that name.
    """
    options = dict(storage_options or {})
    if not is_remote(str(root)):
        folder = Path(root).absolute()
        if problem := unusable(folder):
            raise StoreError(f"bars cannot be kept there: {problem}; choose another folder")
        return os.fspath(folder), options
    # A commit is a put of a file that must not exist yet: no table of locks is needed.
    if "aws_conditional_put" not in {key.lower() for key in options}:
        options["aws_conditional_put"] = "etag"
    return str(root).rstrip("/"), options


def _conditions(
    symbols: Sequence[str] | None, start: date | None, end: date | None, as_of: datetime | None
) -> Iterator[pl.Expr]:
    yield pl.lit(value=True)
    if symbols is not None:
        # The range lets files and row groups be passed over by their statistics.
        yield pl.col("symbol").is_between(pl.lit(min(symbols)), pl.lit(max(symbols)))
        yield pl.col("symbol").is_in(list(symbols))
    if start is not None:
        yield pl.col("session") >= start
    if end is not None:
        yield pl.col("session") <= end
    if as_of is not None:
        yield pl.col("knowledge_time") <= pl.lit(as_of, _MOMENT)


def _by_year(rows: pl.DataFrame) -> pl.DataFrame:
    year = pl.col("session").dt.year().cast(pl.Int32).alias("year")
    return rows.with_columns(year).select(ROWS.names()).sort("year", *KEY, "knowledge_time")


def _writer() -> "WriterProperties":
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=_ROW_GROUP)


def _hooks() -> "PostCommitHookProperties":
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)

"""Who said what: values that the sources of a quorum do not agree on, kept beside the bars.

A Delta table for each quorum, ``said/<source>``. It only grows; the last word on a bar and rule
counts. It is written before the bars, so that a kill leaves no bar whose making nobody knows; that
the sources agree since is written after them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from tradewind.errors import StoreError
from tradewind.market.store.moments import utc
from tradewind.market.store.table import ConflictError, Table, is_remote
from tradewind.market.validation.accepted import DECIDABLE
from tradewind.market.validation.disagreements import MISSING, SCHEMA

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Disagreements"]

_ROWS: Final = pl.Schema({**SCHEMA, "known_at": pl.Datetime("us", "UTC")})
_OF: Final = ("symbol", "session", "rule")
_TRIES: Final = 10
_AGREED: Final = "agreed"  # as `decided` has it where nothing differs any more


class Disagreements:
    """What the sources of one quorum said differently.

    Parameters
    ----------
    root, source, storage_options
        As of `tradewind.market.store.table.Table`.
    """

    def __init__(self, root: str, source: str, storage_options: Mapping[str, str]) -> None:
        self._bars = Table(root, source, storage_options)  # refuses bad names, wraps errors
        self._uri = f"{root}/said/{source}"
        self._options = dict(storage_options)

    def add(self, said: pl.DataFrame, *, known_at: datetime) -> int:
        """Store what is not the last word already, and return how many rows that were.

        Parameters
        ----------
        said : DataFrame
            With the columns of `tradewind.market.validation.disagreements.SCHEMA`.
        known_at : datetime
            With a time zone: when the sources said so.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        return self._written(lambda: self._fresh(said), known_at)

    def settle(self, bars: pl.DataFrame, said: pl.DataFrame, *, known_at: datetime) -> int:
        """Store on which bars the sources agree since, and return how many words that takes back.

        Parameters
        ----------
        bars : DataFrame
            All that was held against each other now, and is stored: each symbol's without a gap.
        said : DataFrame
            What differed in them.
        known_at : datetime
            With a time zone.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        return self._written(lambda: self._settled(bars, said), known_at)

    def _written(self, made: Callable[[], pl.DataFrame], known_at: datetime) -> int:
        known_at = utc(known_at, "known_at")
        for _ in range(_TRIES):
            with suppress(ConflictError):  # another writer came first: see what it wrote
                return self._append(made(), known_at)
        raise StoreError(
            f"what the sources say differently cannot be written to {self._uri}: other processes "
            "write there all the time; ingest the source in one process"
        )

    def _fresh(self, said: pl.DataFrame) -> pl.DataFrame:
        """Return what is not the last word already."""
        fresh = said.select(SCHEMA.names()).unique(maintain_order=True)
        if fresh.is_empty():
            return fresh
        held = self.rows(fresh["symbol"].unique().to_list()).drop("known_at")
        known = fresh.join(held, on=SCHEMA.names(), how="semi", nulls_equal=True)
        # All that is said of a bar and rule stands together: if some of it is new, all is.
        complete = known.group_by(_OF).len("known").join(fresh.group_by(_OF).len(), on=_OF)
        done = complete.filter(pl.col("known") == pl.col("len"))
        return fresh.join(done, on=_OF, how="anti")

    def _settled(self, bars: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
        """Return a row for each word that the same bars, held against each other, do not repeat."""
        spans = bars.group_by("symbol").agg(
            pl.min("session").alias("first"), pl.max("session").alias("last")
        )
        # Where a source gives nothing now, its silence takes nothing back.
        silent = said.filter(pl.col("rule") == MISSING)
        looked_at = (
            self.rows(spans["symbol"].to_list())
            .join(spans, on="symbol")
            .join(silent, on="symbol", how="anti")
            .filter(
                pl.col("session").is_between("first", "last"),
                pl.col("rule").is_in([*DECIDABLE, MISSING]),
                # What happened on the first one shows from the bar before.
                (pl.col("rule") != "quorum_action") | (pl.col("session") > pl.col("first")),
            )
        )
        gone = looked_at.join(said, on=_OF, how="anti").select(_OF).unique(maintain_order=True)
        return gone.with_columns(
            field=pl.lit(""),
            source=pl.lit(""),
            value=pl.lit(None, pl.Float64),
            taken=pl.lit(value=False),
            decided=pl.lit(_AGREED),
            note=pl.lit(""),
        )

    def _append(self, rows: pl.DataFrame, known_at: datetime) -> int:
        from deltalake import write_deltalake

        if rows.is_empty():
            return 0
        with self._bars.writing():
            if not is_remote(self._uri):
                Path(self._uri).mkdir(parents=True, exist_ok=True)
            write_deltalake(
                self._uri,
                rows.with_columns(known_at=pl.lit(known_at, _ROWS["known_at"])).to_arrow(),
                mode="append",
                storage_options=self._options,
            )
        return rows.height

    def rows(
        self,
        symbols: Sequence[str] | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        as_of: datetime | None = None,
    ) -> pl.DataFrame:
        """Return the last word on each bar and rule; nothing of those that they agree on since.

        Parameters
        ----------
        symbols, start, end, as_of
            As of `tradewind.market.store.bar_store.BarStore.bars`.

        Returns
        -------
        DataFrame
            With the columns of `tradewind.market.validation.disagreements.SCHEMA`, and
            ``known_at``; sorted by symbol and session.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        conditions = [
            *([] if symbols is None else [pl.col("symbol").is_in(list(symbols))]),
            *([] if start is None else [pl.col("session") >= start]),
            *([] if end is None else [pl.col("session") <= end]),
            *([] if as_of is None else [pl.col("known_at") <= utc(as_of, "as_of")]),
        ]
        with self._bars.reading():
            table = self._open()
            if table is None:
                return pl.DataFrame(schema=_ROWS)
            files = pl.DataFrame(table.get_add_actions(flatten=True))
            if files.is_empty():
                return pl.DataFrame(schema=_ROWS)
            found = (
                pl.scan_parquet(
                    [f"{self._uri}/{path}" for path in files.get_column("path")],
                    schema=_ROWS, glob=False, hive_partitioning=False,
                    storage_options=self._options or None, credential_provider=None,
                )
                .filter(pl.lit(value=True), *conditions)
                .collect()
            )  # fmt: skip
        last = found.filter(pl.col("known_at") == pl.col("known_at").max().over(_OF))
        last = last.filter(pl.col("decided") != _AGREED)
        return last.unique(maintain_order=True).sort(*_OF, "field", maintain_order=True)

    def of_bars(
        self, bars: pl.DataFrame, *, as_of: datetime | None, taken: datetime
    ) -> pl.DataFrame:
        """Return what was said differently of the bars of a snapshot.

        What the sources agree on since is among it: the snapshot may hold what was stored before.

        Parameters
        ----------
        bars : DataFrame
            The snapshot's.
        as_of : datetime, optional
            When they were known.
        taken : datetime
            When the snapshot was.

        Returns
        -------
        DataFrame
            As of `rows`.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        days = bars.get_column("session").sort()
        first, last = (days[0], days[-1]) if len(days) else (None, None)
        symbols = bars.get_column("symbol").unique().to_list()
        now, then = (
            self.rows(symbols, start=first, end=last, as_of=moment)
            for moment in (as_of, as_of or taken)
        )
        return pl.concat([now, then.join(now, on=_OF, how="anti")])

    def _open(self) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._uri, storage_options=self._options)
        except TableNotFoundError:
            return None

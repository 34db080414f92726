"""Who said what: values that the sources of a quorum do not agree on, kept beside the bars.

A Delta table for each quorum, ``said/<source>``. It only grows; the last word on a bar and rule
counts. It is written before the bars, so that a kill leaves no bar whose making nobody knows.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from tradewind.errors import StoreError
from tradewind.market.store.table import ConflictError, Table, is_remote
from tradewind.market.validation.disagreements import SCHEMA

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Disagreements"]

_ROWS: Final = pl.Schema({**SCHEMA, "known_at": pl.Datetime("us", "UTC")})
_OF: Final = ("symbol", "session", "rule")
_TRIES: Final = 10


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

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        for _ in range(_TRIES):
            with suppress(ConflictError):  # another writer came first: see what it wrote
                return self._add(said, known_at)
        raise StoreError(
            f"what the sources say differently cannot be written to {self._uri}: other processes "
            "write there all the time; ingest the source in one process"
        )

    def _add(self, said: pl.DataFrame, known_at: datetime) -> int:
        from deltalake import write_deltalake

        fresh = said.select(SCHEMA.names()).unique(maintain_order=True)
        if fresh.is_empty():
            return 0
        held = self.rows(fresh["symbol"].unique().to_list()).drop("known_at")
        known = fresh.join(held, on=SCHEMA.names(), how="semi", nulls_equal=True)
        # All that is said of a bar and rule stands together: if some of it is new, all is.
        complete = known.group_by(_OF).len("known").join(fresh.group_by(_OF).len(), on=_OF)
        done = complete.filter(pl.col("known") == pl.col("len"))
        fresh = fresh.join(done, on=_OF, how="anti")
        if fresh.is_empty():
            return 0
        with self._bars.writing():
            if not is_remote(self._uri):
                Path(self._uri).mkdir(parents=True, exist_ok=True)
            write_deltalake(
                self._uri,
                fresh.with_columns(known_at=pl.lit(known_at, _ROWS["known_at"])).to_arrow(),
                mode="append",
                storage_options=self._options,
            )
        return fresh.height

    def rows(
        self,
        symbols: Sequence[str] | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        as_of: datetime | None = None,
    ) -> pl.DataFrame:
        """Return the last word on each bar and rule, sorted by symbol and session.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        conditions = [
            *([] if symbols is None else [pl.col("symbol").is_in(list(symbols))]),
            *([] if start is None else [pl.col("session") >= start]),
            *([] if end is None else [pl.col("session") <= end]),
            *([] if as_of is None else [pl.col("known_at") <= as_of]),
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
        return last.unique(maintain_order=True).sort(*_OF, "field", maintain_order=True)

    def _open(self) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._uri, storage_options=self._options)
        except TableNotFoundError:
            return None

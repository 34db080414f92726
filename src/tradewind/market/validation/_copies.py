"""Which bars two symbols have in common, found among more bars than memory holds.

For each bar a record of 21 bytes is kept: a hash of session and prices, one of the volume, the
symbol's number and the session. The first hash chooses the file of a record, so that equal records
are in one file. The files are read one after the other. Prices are compared to nine digits: a copy
that went through a computation differs in the last ones.
"""

import tempfile
from contextlib import ExitStack
from typing import Final, Self

import numpy as np
import polars as pl

from tradewind.market.bars import PRICES
from tradewind.market.spool import room
from tradewind.market.validation.closes_rules import is_closes_only

__all__ = ["Copies"]

_FILES: Final = 16
_IN_MEMORY: Final = 2 * 2**20  # bytes of each file
_DIGITS: Final = 9
_VOLUMES: Final = 2**32 - 1
_RECORD: Final = np.dtype(
    [("content", "<u8"), ("volume", "<u4"), ("symbol", "<u4"), ("session", "<i4"), ("kind", "u1")]
)
_RANGE, _FOUR, _CLOSES = range(3)


class Copies:
    """Collects bars part by part, and tells which symbols share any.

    A symbol's bars must come in one part.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files = [
            self._stack.enter_context(
                tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - it is entered
            )
            for _ in range(_FILES)
        ]
        self._symbols: list[str] = []
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, bars: pl.DataFrame) -> None:
        """Take distinct, sorted bars of symbols that were not taken before.

        Bars with one price are left out: those of two symbols agree easily. Of symbols with closes
        alone, bars are taken whose close differs from the session before: many symbols share a
        price that stands still.

        Raises
        ------
        StoreError
            If there is no room for them.
        """
        numbers = {
            symbol: len(self._symbols) + number
            for number, symbol in enumerate(sorted(bars.get_column("symbol").unique()))
        }
        self._symbols += numbers
        inside = [
            pl.col(name).is_between("low", "high", closed="none") for name in ("open", "close")
        ]
        moved = pl.all_horizontal(*inside, pl.col("open") != pl.col("close"))
        ranged, traded = pl.col("high") > pl.col("low"), pl.col("volume") > 0
        changed = (pl.col("close") != pl.col("close").shift(1)).over("symbol") & is_closes_only()
        for kind, where in (("range", ranged), ("four", moved), ("closes", changed)):
            for symbol, count in bars.filter(where).group_by("symbol").len().iter_rows():
                self._counts[symbol, kind] = count
        rounded = [pl.col(name).round_sig_figs(_DIGITS) for name in PRICES]
        volume = pl.when(traded).then(pl.col("volume").hash() % _VOLUMES + 1).otherwise(0)
        records = (
            bars.lazy()
            .filter(ranged | changed)
            .select(
                pl.struct("session", *rounded).hash().alias("content"),
                pl.when(ranged).then(volume).otherwise(0).cast(pl.UInt32).alias("volume"),
                pl.when(moved)
                .then(_FOUR)
                .when(ranged)
                .then(_RANGE)
                .otherwise(_CLOSES)
                .cast(pl.UInt8)
                .alias("kind"),
                pl.col("symbol")
                .replace_strict(numbers, return_dtype=pl.UInt32, default=None)
                .alias("symbol"),
                pl.col("session").to_physical(),
            )
            .collect()
        )
        packed = np.empty(records.height, _RECORD)
        for name in _RECORD.names or ():
            packed[name] = records.get_column(name).to_numpy()
        files = packed["content"] % _FILES
        with room():
            for number, file in enumerate(self._files):
                file.write(packed[files == number].tobytes())

    def pairs(self) -> pl.DataFrame:
        """Return which symbols have bars in common.

        Returns
        -------
        DataFrame of shape (n_pairs, 6)
            ``symbol``; ``original``, the first in order of those that have the bar, too; the
            ``kind`` of bars, which is "volume" if they have that in common as well, "four" if no
            two of the four prices are equal, "range" of all, and "closes" of symbols that have
            closes alone; how many ``sessions``; the first
            ``session``; and their ``share`` of the symbol's bars of the kind, null of "volume".
            Sorted by symbol and original.

        Raises
        ------
        StoreError
            If the records cannot be read.
        """
        rows = [(*key, count) for key, count in self._counts.items()]
        counts = pl.DataFrame(
            rows, {"symbol": pl.String, "kind": pl.String, "all": pl.UInt32}, orient="row"
        )
        return (
            pl.concat(self._of(file) for file in self._files)
            .group_by("symbol", "original", "kind")
            .agg(pl.sum("sessions"), pl.min("session"))
            .join(counts, on=["symbol", "kind"], how="left")
            .with_columns((pl.col("sessions") / pl.col("all")).alias("share"))
            .drop("all")
            .sort("symbol", "original", "kind")
        )

    def close(self) -> None:
        """Free the memory and the disk space."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _of(self, file: "tempfile.SpooledTemporaryFile[bytes]") -> pl.DataFrame:
        with room():
            file.seek(0)
            packed = np.frombuffer(file.read(), _RECORD)
        records = pl.DataFrame({name: packed[name].copy() for name in _RECORD.names or ()})
        kinds = {
            "volume": (records.filter(pl.col("volume") > 0), ["content", "volume"]),
            "four": (records.filter(pl.col("kind") == _FOUR), ["content"]),
            "range": (records.filter(pl.col("kind") != _CLOSES), ["content"]),
            "closes": (records.filter(pl.col("kind") == _CLOSES), ["content"]),
        }
        return pl.concat(
            self._shared(*of_kind).with_columns(pl.lit(kind).alias("kind"))
            for kind, of_kind in kinds.items()
        )

    def _shared(self, records: pl.DataFrame, same: list[str]) -> pl.DataFrame:
        shared = records.filter(pl.struct(same).is_duplicated())
        names = pl.Series("name", self._symbols, pl.String)
        return (
            shared.with_columns(
                names.gather(shared.get_column("symbol")).alias("symbol"),
                pl.col("session").cast(pl.Date),
            )
            .with_columns(pl.col("symbol").min().over(same).alias("original"))
            .filter(pl.col("symbol") != pl.col("original"))
            .group_by("symbol", "original")
            .agg(pl.len().cast(pl.UInt32).alias("sessions"), pl.min("session"))
        )

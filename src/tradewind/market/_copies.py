"""Which bars two symbols have in common, found among more bars than memory holds.

Of each bar a record of 16 bytes is kept: a hash of session, prices and volume, the symbol's
number and the session. Records go to files by their hash, so that equal ones meet in one file,
and the files are looked at one after the other.
"""

import tempfile
from contextlib import ExitStack
from typing import Final, Self

import numpy as np
import polars as pl

from tradewind.market.bars import PRICES

__all__ = ["Copies"]

_FILES: Final = 16
_IN_MEMORY: Final = 2 * 2**20  # bytes of each file
_RECORD: Final = np.dtype([("content", "<u8"), ("symbol", "<u4"), ("session", "<i4")])


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

    def add(self, bars: pl.DataFrame) -> None:
        """Take distinct bars of symbols that were not taken before.

        Bars without a trade, or with one price, are left out: those of two symbols agree easily.
        """
        numbers = {
            symbol: len(self._symbols) + number
            for number, symbol in enumerate(sorted(bars.get_column("symbol").unique()))
        }
        self._symbols += numbers
        records = (
            bars.lazy()
            .filter(pl.col("volume") > 0, pl.col("high") > pl.col("low"))
            .select(
                pl.struct("session", *PRICES, "volume").hash().alias("content"),
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
        for number, file in enumerate(self._files):
            file.write(packed[files == number].tobytes())

    def pairs(self) -> pl.DataFrame:
        """Return which symbols have bars in common.

        Returns
        -------
        DataFrame of shape (n_pairs, 4)
            ``symbol``; ``original``, the first in order of those that have the bar, too; how many
            ``sessions``; and the first ``session``. Sorted by symbol and original.
        """
        found = [pairs for file in self._files if not (pairs := self._of(file)).is_empty()]
        if not found:
            return pl.DataFrame(
                schema={
                    "symbol": pl.String, "original": pl.String,
                    "sessions": pl.UInt32, "session": pl.Date,
                }
            )  # fmt: skip
        return (
            pl.concat(found)
            .group_by("symbol", "original")
            .agg(pl.sum("sessions"), pl.min("session"))
            .sort("symbol", "original")
        )

    def close(self) -> None:
        """Give the room back."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _of(self, file: "tempfile.SpooledTemporaryFile[bytes]") -> pl.DataFrame:
        file.seek(0)
        packed = np.frombuffer(file.read(), _RECORD)
        records = pl.DataFrame({name: packed[name].copy() for name in _RECORD.names or ()})
        shared = records.filter(pl.col("content").is_duplicated())
        names = pl.Series("name", self._symbols, pl.String)
        return (
            shared.with_columns(
                names.gather(shared.get_column("symbol")).alias("symbol"),
                pl.col("session").cast(pl.Date),
            )
            .with_columns(pl.col("symbol").min().over("content").alias("original"))
            .filter(pl.col("symbol") != pl.col("original"))
            .group_by("symbol", "original")
            .agg(pl.len().alias("sessions"), pl.min("session"))
        )

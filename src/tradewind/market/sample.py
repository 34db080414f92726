"""The bundled source: real daily bars of five US stocks, 2000-03-01 to 2013-03-01.

The vendor gives raw prices and an adjusted close. Their quotient is the vendor's factor;
it steps up on the first session after a split or a dividend. A step that equals a simple
ratio (2:1, 3:2, ...) is a split, every other step a dividend. Price moves play no part in
this: AAPL lost 51.9 % on 2000-09-29 without a split, and MSFT's dividend of 2004-11-15 is
a step of 1.1125.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import polars as pl

from tradewind.errors import SourceError
from tradewind.market.bars import KEY, SCHEMA

__all__ = ["METADATA", "SYMBOLS", "DatasetMetadata", "load"]

SYMBOLS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")

_SPLIT_RATIOS: Final = tuple(
    sorted({p / q for p in range(1, 21) for q in (1, 2, 3, 4)} - {1.0}, reverse=True)
)
_SPLIT_TOLERANCE: Final = 1e-4  # relative; the vendor's split steps are exact to 1e-12


@dataclass(frozen=True)
class DatasetMetadata:
    """Where a bundled data set comes from, and the hash of the file that was checked."""

    name: str
    origin: str
    licence: str
    distribution: str
    sha256: str


METADATA: Final = DatasetMetadata(
    name="sample",
    origin="Quandl WIKI Prices, archived copy; GOOG holds the pre-2014 history of GOOGL",
    licence="Public domain (declared by Quandl, recorded in the distribution's licences)",
    distribution="bokeh_sampledata 2026.1, _data/stocks.csv.gz",
    sha256="5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd",
)


def load(symbols: Sequence[str]) -> pl.DataFrame:
    """Load the bundled bars of some symbols.

    Parameters
    ----------
    symbols : sequence of str
        Among `SYMBOLS`; order and repetition do not matter.

    Returns
    -------
    DataFrame of shape (n_bars, 9)
        Bars as in `tradewind.market.bars`, sorted by symbol and session.

    Raises
    ------
    SourceError
        If a symbol is not in the data set, none is asked for, or the packaged file is
        missing or not the one that was checked.
    """
    unknown = sorted(set(symbols) - set(SYMBOLS))
    if unknown or not symbols:
        raise SourceError(
            f"source 'sample' has no symbols {unknown}; available are {', '.join(SYMBOLS)}"
            if unknown
            else f"no symbols asked of source 'sample'; available are {', '.join(SYMBOLS)}"
        )
    vendor = pl.read_csv(
        _read_packaged_file(),
        schema_overrides={"Date": pl.Date, "Volume": pl.Int64},
    ).rename(lambda column: column.lower().replace(" ", "_"))
    return (
        vendor.rename({"ticker": "symbol", "date": "session"})
        .filter(pl.col("symbol").is_in(list(symbols)))
        .sort(KEY)
        .pipe(_with_factors)
        .select(SCHEMA.names())
        .cast(dict(SCHEMA.items()))
    )


def _read_packaged_file() -> bytes:
    try:
        content = files("bokeh_sampledata").joinpath("_data", "stocks.csv.gz").read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise SourceError(
            f"the file of source 'sample' ({METADATA.distribution}) cannot be read: {error}; "
            "install it with: uv sync --all-extras"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != METADATA.sha256:
        raise SourceError(
            f"the file of source 'sample' ({METADATA.distribution}) has sha256 {digest}, "
            f"expected {METADATA.sha256}; reinstall it with: uv sync --all-extras --reinstall"
        )
    return content


def _with_factors(vendor: pl.DataFrame) -> pl.DataFrame:
    """Derive both factors from the steps of adj_close / close."""
    factor = pl.col("adj_close") / pl.col("close")
    stepped = vendor.with_columns(
        (factor / factor.shift(1)).over("symbol").fill_null(1.0).alias("step"),
        (factor / factor.last()).over("symbol").alias("adjustment_factor"),
    )
    split = pl.lit(1.0)
    for ratio in _SPLIT_RATIOS:
        near = (pl.col("step") / ratio - 1.0).abs() < _SPLIT_TOLERANCE
        split = pl.when(near).then(ratio).otherwise(split)
    # A raw price is divided by every split that comes after its session.
    since_start = stepped.with_columns(split.alias("split")).with_columns(
        pl.col("split").cum_prod().over("symbol")
    )
    return since_start.with_columns(
        (pl.col("split") / pl.col("split").last()).over("symbol").alias("split_factor")
    )

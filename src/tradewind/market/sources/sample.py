"""The bundled source: real daily bars of five US stocks, 2000-03-01 to 2013-03-01.

The vendor gives raw prices and an adjusted close, from which `tradewind.market.sources.factors`
derives the factors: AAPL lost 51.9 % on 2000-09-29 without a split; MSFT's dividend of 2004-11-15
is a step of 1.1125.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from tradewind.errors import SourceError
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.sources.factors import adjustment_factor_from, split_factor_from
from tradewind.market.sources.source import SourceSpec

__all__ = ["METADATA", "SYMBOLS", "DatasetMetadata", "Sample", "load"]

SYMBOLS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


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


class _NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sample:
    """The bundled bars as a source; it takes no options."""

    Options = _NoOptions

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:  # noqa: ARG002 - as all kinds
        _NoOptions.model_validate(spec.options)

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols there are, sorted."""
        return SYMBOLS

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        """Return the bars of some symbols; see `load`."""
        return load(symbols)


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
        .with_columns(split_factor_from("adj_close"), adjustment_factor_from("adj_close"))
        .select(SCHEMA.names())
        .cast(dict(SCHEMA.items()))
    )


def _read_packaged_file() -> bytes:
    try:
        content = files("bokeh_sampledata").joinpath("_data", "stocks.csv.gz").read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise SourceError(
            f"the file of source 'sample' ({METADATA.distribution}) cannot be read: {error}; "
            "install it with: pip install 'tradewind[research]'"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != METADATA.sha256:
        raise SourceError(
            f"the file of source 'sample' ({METADATA.distribution}) has sha256 {digest}, "
            f"expected {METADATA.sha256}; install it again: pip install --force-reinstall "
            f"--no-deps {METADATA.distribution.partition(',')[0].replace(' ', '==')}"
        )
    return content

"""Sources of bars by name."""

from collections.abc import Callable, Sequence

import polars as pl

from tradewind.errors import SourceError
from tradewind.market import sample

__all__ = ["SOURCES", "load_bars"]

SOURCES: dict[str, Callable[[Sequence[str]], pl.DataFrame]] = {"sample": sample.load}


def load_bars(source: str, symbols: Sequence[str]) -> pl.DataFrame:
    """Load the bars of some symbols from a named source.

    Parameters
    ----------
    source : str
        A key of `SOURCES`.
    symbols : sequence of str
        What to load.

    Returns
    -------
    DataFrame of shape (n_bars, 9)
        Bars as in `tradewind.market.bars`; not yet validated.

    Raises
    ------
    SourceError
        If the source is unknown, or cannot give one of the symbols.
    """
    load = SOURCES.get(source)
    if load is None:
        raise SourceError(f"no source named {source!r}; available are {', '.join(sorted(SOURCES))}")
    return load(symbols)

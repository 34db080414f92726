"""A strategy on the bundled bars, for contracts that need one."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import polars as pl

from tradewind.market.sources import sample
from tradewind.research.strategy.strategy import Strategy

__all__ = ["bundled_bars", "strategy_of"]

SYMBOLS: Final = ("AAPL", "IBM", "MSFT")


@cache
def bundled_bars() -> pl.DataFrame:
    """Return real daily bars of three shares, 2000 to 2013."""
    return sample.load(SYMBOLS)


def strategy_of(*, features: Sequence[Any], model: Mapping[str, Any], seed: int = 7) -> Strategy:
    """Return a strategy that trades those three by a model, from some features."""
    return Strategy.model_validate(
        {
            "name": "contract",
            "description": "Tries what somebody's own code promises.",
            "universe": {"source": "sample", "symbols": list(SYMBOLS)},
            "horizon": 5,
            "features": list(features),
            "model": dict(model),
            "walk_forward": {"train": 756, "test": 504},
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            "seed": seed,
        }
    )

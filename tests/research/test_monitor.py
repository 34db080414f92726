import datetime as dt

import numpy as np
import polars as pl

from tests.models import fitted
from tradewind.research.monitoring.monitor import inspect
from tradewind.research.strategy.strategy import Strategy


class Always:
    """Expects all prices to rise, so that every symbol is held."""

    def predict(self, data: np.ndarray, **_: object) -> np.ndarray:
        return np.ones(len(data))


def test_the_watch_goes_on_when_a_symbol_that_is_held_was_delisted(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    trained_until, last = dt.date(2012, 6, 29), dt.date(2012, 10, 1)
    ended = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") <= last))
    free = strategy.backtest.model_copy(update={"commission_bps": 0.0, "slippage_bps": 0.0})
    found = {}
    for paid in (0.0, -0.3):
        rules = free.model_copy(update={"delisting_return": paid})
        report = inspect(
            fitted(Always()),
            ended,
            strategy.model_copy(update={"backtest": rules}),
            trained_until=trained_until,
            expected=np.full(500, 0.001),
        )
        found[paid] = report.live_sharpe
        assert report.live_sessions == int(
            (bars.get_column("session").unique() > trained_until).sum()
        )
    assert found[-0.3] < found[0.0]

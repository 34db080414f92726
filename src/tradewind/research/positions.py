"""From predictions to target weights."""

import polars as pl

from tradewind.market.bars import KEY
from tradewind.research.strategy import Backtest

__all__ = ["target_weights"]


def target_weights(predictions: pl.DataFrame, rules: Backtest, *, horizon: int) -> pl.DataFrame:
    """Return the weights wanted after each session's close.

    A prediction is about the next `horizon` sessions, so each session's signal is held that
    long: the target is the mean of the last `horizon` signals, as if capital were split into
    that many tranches of which one is renewed each session. The first signals find the other
    tranches empty.

    Parameters
    ----------
    predictions : DataFrame of shape (n_rows, 3) or wider
        symbol, session, prediction.
    rules : Backtest
        `positions` says how a session's predictions become a signal; see there.
    horizon : int
        Sessions a signal is held.

    Returns
    -------
    DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight (fraction of equity, negative for a short position); sorted by
        session and symbol, every symbol in every session.

    References
    ----------
    Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers (overlapping
    tranches).
    """
    prediction = pl.col("prediction")
    if rules.positions == "long_flat":
        signal = (prediction > 0.0).cast(pl.Float64) / pl.len()
    else:
        centred = prediction.rank() - (pl.len() + 1) / 2
        gross = centred.abs().sum()
        signal = pl.when(gross > 0.0).then(centred / gross).otherwise(0.0)
    signals = predictions.select(
        *KEY, signal.over("session").clip(-rules.max_weight, rules.max_weight).alias("signal")
    )
    sessions = signals.select(pl.col("session").unique().sort())
    symbols = signals.select(pl.col("symbol").unique().sort())
    filled = sessions.join(symbols, how="cross").join(signals, on=["session", "symbol"], how="left")
    held = pl.col("signal").fill_null(0.0).rolling_sum(horizon, min_samples=1) / horizon
    return filled.select(*KEY, held.over("symbol", order_by="session").alias("weight")).sort(
        "session", "symbol"
    )

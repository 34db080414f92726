"""From predictions to target weights."""

from typing import Final

import polars as pl

from tradewind.errors import BacktestError
from tradewind.market.bars import KEY
from tradewind.research.strategy import Backtest

__all__ = ["target_weights"]

_RESIDUE: Final = 1e-12  # what a running sum leaves of nothing; it is no position


def target_weights(predictions: pl.DataFrame, rules: Backtest, *, horizon: int) -> pl.DataFrame:
    """Return the weights wanted after each session's close.

    The predictions of each session become its signal in three steps, in this order:

    1. `rules.positions` shares out equity, 1.0 of it at most, long and short together.
    2. `rules.max_weight` cuts each share, long or short, that is larger. What is cut off stays
       in cash; it is not given to the other symbols.
    3. `rules.max_gross` scales all shares down by one factor if their absolute sum is larger
       still. It never scales up, so that it says something only below 1.0.

    A prediction is about the next `horizon` sessions, so each session's signal is held that
    long: the target is the mean of the last `horizon` signals, as if capital were split into
    that many tranches of which one is renewed each session. The first signals find the other
    tranches empty. A mean of signals within the limits is within them, too.

    Parameters
    ----------
    predictions : DataFrame of shape (n_rows, 3) or wider
        symbol, session, prediction.
    rules : Backtest
        See there for what each kind of `positions` means.
    horizon : int
        Sessions a signal is held.

    Returns
    -------
    DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight (fraction of equity, negative for a short position); sorted by
        session and symbol, every symbol in every session.

    Raises
    ------
    BacktestError
        If a prediction is missing or no finite number.

    References
    ----------
    Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers (overlapping
    tranches).
    """
    _refuse_no_numbers(predictions)
    share = _share(rules).over("session").clip(-rules.max_weight, rules.max_weight)
    gross = pl.col("signal").abs().sum().over("session")
    signals = predictions.select(*KEY, share.alias("signal")).with_columns(
        pl.col("signal") * (rules.max_gross / gross).clip(upper_bound=1.0).fill_nan(1.0)
    )
    sessions = signals.select(pl.col("session").unique().sort())
    symbols = signals.select(pl.col("symbol").unique().sort())
    filled = sessions.join(symbols, how="cross").join(signals, on=["session", "symbol"], how="left")
    held = pl.col("signal").fill_null(0.0).rolling_sum(horizon, min_samples=1) / horizon
    weight = held.over("symbol", order_by="session")
    return filled.select(
        *KEY, pl.when(weight.abs() > _RESIDUE).then(weight).otherwise(0.0).alias("weight")
    ).sort("session", "symbol")


def _share(rules: Backtest) -> pl.Expr:
    """Return one session's predictions as shares of equity, before any limit."""
    prediction = pl.col("prediction").cast(pl.Float64)
    if rules.positions == "long_flat":
        return (prediction > 0.0).cast(pl.Float64) / pl.len()
    if rules.positions == "sign":
        return prediction.sign() / pl.len()
    if rules.positions == "long_short":
        return _in_proportion(prediction.rank() - (pl.len() + 1) / 2)
    return _in_proportion(prediction)


def _in_proportion(score: pl.Expr) -> pl.Expr:
    gross = score.abs().sum()
    return pl.when(gross > 0.0).then(score / gross).otherwise(0.0)


def _refuse_no_numbers(predictions: pl.DataFrame) -> None:
    broken = predictions.filter(~pl.col("prediction").is_finite().fill_null(value=False))
    if not broken.is_empty():
        symbol, session, value = broken.select(*KEY, "prediction").row(0)
        raise BacktestError(
            f"the prediction of {symbol} {session} is {value}, not a number to trade on "
            f"({broken.height} in all): look at the features of that row"
        )

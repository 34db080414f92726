"""From predictions to target weights."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import BacktestError
from tradewind.market.bars import KEY
from tradewind.research.strategy.judging import Backtest

__all__ = ["target_weights"]

_RESIDUE: Final = 1e-12  # what rounding leaves of zero in a running sum; it is no position


def target_weights(
    predictions: pl.DataFrame,
    rules: Backtest,
    *,
    horizon: int,
    sessions: pl.Series | None = None,
    hold: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return the weights wanted after each session's close.

    The predictions of each session become its signal in three steps, in this order:

    1. `rules.positions` divides equity among symbols, at most 1.0 of it, long and short together.
    2. `rules.max_weight` cuts each share, long or short, that is larger. The rest stays in cash; it
       is not given to other symbols.
    3. `rules.max_gross` scales all shares down by one factor if their absolute sum is larger still.
       It never scales up, so that it has an effect only below 1.0.

    A prediction is about the next `horizon` sessions, so each session's signal is held that long:
    the target is the mean of the last `horizon` signals, as if capital were split into that many
    tranches of which one is renewed each session. At first the other tranches are empty. A mean of
    signals within the limits is within them, too.

    A symbol without a prediction in a session has no signal there, and the others get all of the
    equity; in a session without any prediction the tranche is cash. A symbol to `hold` keeps the
    signal that the session would have renewed, which is that of `horizon` sessions before. The
    session's other signals are scaled down by one factor if the equity is not enough for both.

    Parameters
    ----------
    predictions : DataFrame of shape (n_rows, 3) or wider
        symbol, session, prediction.
    rules : Backtest
        See there for what each kind of `positions` means.
    horizon : int
        Sessions a signal is held.
    sessions : Series of Date, optional
        All sessions to cover, sorted, among them those of the predictions. Tranches are counted
        on them. Those of the predictions alone if not given.
    hold : DataFrame of shape (n_held, 2) or wider, optional
        symbol and session of signals that are kept; other sessions are ignored.

    Returns
    -------
    DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight (fraction of equity, negative for a short position); sorted by
        session and symbol, every symbol in every session.

    Raises
    ------
    BacktestError
        If a prediction is missing or not finite, is of a session that is not covered, or of a
        symbol to hold in that session.

    References
    ----------
    Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers (overlapping
    tranches).
    """
    _refuse_no_numbers(predictions)
    covered = _covered(predictions, sessions)
    kept = _kept(predictions, hold, covered)
    count = kept.group_by("session").agg(pl.len().alias("kept"))
    present = predictions.join(count, on="session", how="left", maintain_order="left")
    share = _share(rules).over("session").clip(-rules.max_weight, rules.max_weight)
    gross = pl.col("signal").abs().sum().over("session")
    signals = present.select(*KEY, share.alias("signal")).with_columns(
        pl.col("signal") * (rules.max_gross / gross).clip(upper_bound=1.0).fill_nan(1.0)
    )
    if not kept.is_empty():
        signals = _with_kept(signals, kept, covered, horizon, limit=min(1.0, rules.max_gross))
    symbols = signals.select(pl.col("symbol").unique().sort())
    filled = covered.join(symbols, how="cross").join(signals, on=["session", "symbol"], how="left")
    held = pl.col("signal").fill_null(0.0).rolling_sum(horizon, min_samples=1) / horizon
    weight = held.over("symbol", order_by="session")
    return filled.select(
        *KEY, pl.when(weight.abs() > _RESIDUE).then(weight).otherwise(0.0).alias("weight")
    ).sort("session", "symbol")


def _covered(predictions: pl.DataFrame, sessions: pl.Series | None) -> pl.DataFrame:
    """Return the sessions to cover, each once and sorted, as the column of a frame."""
    predicted = predictions.get_column("session").unique().sort()
    if sessions is None:
        return predicted.to_frame("session")
    covered = sessions.unique().sort()
    outside = predicted.filter(~predicted.is_in(covered.implode()))
    if outside.len():
        raise BacktestError(
            f"there are predictions for {outside[0]} ({outside.len()} such sessions in all), and "
            f"it is none of the {covered.len()} sessions to trade"
        )
    return covered.to_frame("session")


def _kept(
    predictions: pl.DataFrame, hold: pl.DataFrame | None, covered: pl.DataFrame
) -> pl.DataFrame:
    """Return the symbols and sessions covered in which a signal is kept."""
    if hold is None:
        return predictions.select(KEY).clear()
    kept = hold.select(KEY).unique().join(covered, on="session", how="semi")
    twice = kept.join(predictions, on=KEY, how="semi")
    if not twice.is_empty():
        symbol, session = twice.sort(KEY).row(0)
        raise BacktestError(f"{symbol} {session} is to be held, and has a prediction as well")
    return kept


def _with_kept(
    signals: pl.DataFrame, kept: pl.DataFrame, covered: pl.DataFrame, horizon: int, *, limit: float
) -> pl.DataFrame:
    """Add the signals that are kept, and make room for them among those of the same session."""
    days = covered.get_column("session")
    symbols = pl.concat([signals.select("symbol"), kept.select("symbol")])["symbol"].unique().sort()
    signal = np.zeros((days.len(), symbols.len()))
    keep = np.zeros(signal.shape, dtype=bool)
    signal[_places(signals, days, symbols)] = signals.get_column("signal").to_numpy()
    keep[_places(kept, days, symbols)] = True
    for row in np.flatnonzero(keep.any(axis=1)):  # in order: one may have been kept before
        if row >= horizon:
            signal[row, keep[row]] = signal[row - horizon, keep[row]]
        gross = np.abs(signal[row])
        # Rounding may take a sum of shares beyond the limit: then nothing is left.
        others, left = gross[~keep[row]].sum(), max(limit - gross[keep[row]].sum(), 0.0)
        if others > left:  # so it is above zero
            signal[row, ~keep[row]] *= left / others
    return covered.join(symbols.to_frame("symbol"), how="cross").with_columns(
        pl.Series("signal", signal.ravel())
    )


def _places(
    frame: pl.DataFrame, days: pl.Series, symbols: pl.Series
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where a frame's keys are in a matrix of sessions by symbols."""
    rows = days.search_sorted(frame.get_column("session")).to_numpy()
    columns = frame.get_column("symbol").cast(pl.Enum(symbols)).to_physical().to_numpy()
    return rows.astype(np.int64), columns.astype(np.int64)


def _share(rules: Backtest) -> pl.Expr:
    """Return one session's predictions as shares of equity, before any limit."""
    prediction = pl.col("prediction").cast(pl.Float64)
    equal = pl.len() + pl.col("kept").first().fill_null(0)
    if rules.positions == "long_flat":
        return (prediction > 0.0).cast(pl.Float64) / equal
    if rules.positions == "sign":
        return prediction.sign() / equal
    if rules.positions == "weights":
        return prediction / prediction.abs().sum().clip(lower_bound=1.0)
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

"""Predictions for the latest sessions: the same code in training and with a fetched model."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from tradewind.errors import ResearchError
from tradewind.market.bars import KEY
from tradewind.research.backtest.positions import target_weights
from tradewind.research.features.compute import Features, compute_features, find_features
from tradewind.research.features.undefined import refuse_undefined
from tradewind.research.features.universe import select_bars
from tradewind.research.models.model import FittedModel, predict_rows, without_unpredicted
from tradewind.research.strategy.strategy import Strategy

__all__ = ["predict", "predict_defined", "wanted_weights"]


def predict(
    model: FittedModel, bars: pl.DataFrame, strategy: Strategy, *, sessions: int = 1
) -> pl.DataFrame:
    """Predict for the last sessions of the bars.

    Parameters
    ----------
    model : FittedModel
        A model from training, or the same fetched from a registry.
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
        The one the model was trained for. Its `missing` says what happens to a symbol with an
        undefined feature.
    sessions : int
        How many of the last sessions to predict for. Counted on the strategy's bars: a session in
        which nothing can be predicted counts, and no earlier one takes its place.

    Returns
    -------
    DataFrame of shape (n_rows, 3)
        symbol, session, prediction (Float64, in the units of the label); sorted by session and
        symbol. The last session is that of the bars. A symbol has no row while it is in its
        warm-up, has no bar, or has an undefined feature that `missing` allows.

    Raises
    ------
    StrategyError
        If a symbol has no bars, or a feature is undefined in one of the sessions and the strategy
        says ``missing: refuse``.
    ResearchError
        If `sessions` is below one, or no symbol can be predicted for the last session.
    """
    _refuse_none(sessions)
    known = _Known.of(bars, strategy)
    _refuse_no_row(known, strategy)
    return known.predicted(model, strategy, sessions)


def predict_defined(
    model: FittedModel, bars: pl.DataFrame, strategy: Strategy, *, sessions: int
) -> pl.DataFrame:
    """Predict wherever all features are defined, whatever the strategy says of other rows.

    For comparing a model with its earlier predictions; `predict` is for trading.

    Parameters
    ----------
    model, bars, strategy
        As for `predict`.
    sessions : int
        How many of the last sessions that have a row of features.

    Returns
    -------
    DataFrame of shape (n_rows, 3)
        As `predict` returns it.

    Raises
    ------
    StrategyError
        If a symbol has no bars.
    ResearchError
        If `sessions` is below one, or the bars are too few for any row of features.
    """
    _refuse_none(sessions)
    features = compute_features(bars, strategy)
    if features.is_empty():
        raise _too_few(bars, strategy)
    latest = features.get_column("session").unique().sort().tail(sessions)
    return _predicted(model, features.filter(pl.col("session") >= latest.min()), strategy)


def wanted_weights(
    model: FittedModel,
    bars: pl.DataFrame,
    strategy: Strategy,
    *,
    sessions: int,
    last_is_asked: bool = True,
) -> pl.DataFrame:
    """Return the weights that a model wants after each of the last sessions of the bars.

    They are those that the backtest would trade from the first of these sessions on. Each mixes the
    tranches of `horizon` sessions, so that the last one is complete if `sessions` is at least that.
    Without a signal a tranche is cash, or unchanged if the strategy says ``missing: hold``.

    Parameters
    ----------
    model, bars, strategy
        As for `predict`.
    sessions : int
        How many of the last sessions of the strategy's bars.
    last_is_asked : bool
        Whether it is an error if no symbol can be predicted for the last session.

    Returns
    -------
    DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight, as `tradewind.research.backtest.positions.target_weights` returns
        them. A symbol without any signal is left out; fewer sessions where the bars have fewer.

    Raises
    ------
    StrategyError, ResearchError
        As `predict` does; also if none of the sessions can be predicted.
    BacktestError
        If a prediction is no finite number.
    """
    _refuse_none(sessions)
    known = _Known.of(bars, strategy)
    if last_is_asked:
        _refuse_no_row(known, strategy)
    reach = known.reach(sessions, strategy)
    predictions = known.predicted(model, strategy, reach)
    covered = known.sessions.tail(reach)
    if predictions.is_empty():
        return _nothing_wanted(known, covered.tail(sessions), strategy)
    weights = target_weights(
        predictions,
        strategy.backtest,
        horizon=strategy.horizon,
        sessions=covered,
        hold=known.undefined_since(covered[0]) if strategy.missing == "hold" else None,
    )
    return weights.filter(pl.col("session") >= known.sessions.tail(sessions)[0])


@dataclass(frozen=True)
class _Known:
    """A strategy's features, and the sessions of its bars, sorted."""

    features: Features
    sessions: pl.Series

    @classmethod
    def of(cls, bars: pl.DataFrame, strategy: Strategy) -> "_Known":
        used = select_bars(bars, strategy)
        return cls(find_features(used, strategy), used.get_column("session").unique().sort())

    def predicted(self, model: FittedModel, strategy: Strategy, sessions: int) -> pl.DataFrame:
        """Predict for the last sessions, if their undefined features are allowed."""
        asked = pl.col("session") >= self.sessions.tail(sessions)[0]
        refuse_undefined(self.features.undefined.where(asked), strategy)
        return _predicted(model, self.features.rows.filter(asked), strategy)

    def undefined_since(self, session: date) -> pl.DataFrame:
        return self.features.undefined.rows.filter(pl.col("session") >= session)

    def reach(self, sessions: int, strategy: Strategy) -> int:
        """Return how many sessions back the signals lie that are held in the last sessions.

        A held signal is as old as its tranche. The signal before it may be held, too, and other
        signals of its session were scaled down for it. So the reach is a whole round of tranches
        without a held signal.
        """
        if strategy.missing != "hold":
            return sessions
        held = self.sessions.is_in(self.features.undefined.rows.get_column("session").implode())
        reach = min(sessions, held.len())
        while reach < held.len() and held.tail(reach).head(strategy.horizon).any():
            reach = min(reach + strategy.horizon, held.len())
        return reach


def _predicted(model: FittedModel, features: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    rows = features.sort("session", "symbol")
    if rows.is_empty():  # LightGBM refuses to predict for none
        return rows.select(*KEY, pl.lit(None, pl.Float64).alias("prediction"))
    found = predict_rows(model, rows, strategy)
    predicted = rows.select(KEY).with_columns(pl.Series("prediction", found, dtype=pl.Float64))
    return without_unpredicted(predicted, strategy)


def _refuse_no_row(known: _Known, strategy: Strategy) -> None:
    """Refuse a last session in which no symbol can be predicted, for any value of `missing`."""
    last = known.sessions[-1]
    if not known.features.rows.filter(session=last).is_empty():
        return
    holes = known.features.undefined.where(pl.col("session") == last)
    refuse_undefined(holes, strategy)
    if holes.values.is_empty():
        raise ResearchError(
            f"strategy {strategy.name}: nothing can be predicted for {last}, the last session: "
            f"every symbol with a bar is still in its warm-up. {known.sessions.len()} sessions are "
            "fewer than its features look back"
        )
    symbol, _, feature = holes.values.row(0)
    raise ResearchError(
        f"strategy {strategy.name}: nothing can be predicted for {last}, the last session: feature "
        f"{feature} of {symbol} is undefined"
        + (f", and {holes.values.height - 1} more values" if holes.values.height > 1 else "")
        + ". `missing` says what becomes of a symbol among others, but here is none to predict"
    )


def _nothing_wanted(known: _Known, covered: pl.Series, strategy: Strategy) -> pl.DataFrame:
    """Return weights of zero, for sessions in which every symbol has an undefined feature."""
    holes = known.undefined_since(covered[0]).select(pl.col("symbol").unique().sort())
    if holes.is_empty():
        raise ResearchError(
            f"strategy {strategy.name}: no symbol has warmed up in the {covered.len()} sessions "
            f"since {covered[0]}"
        )
    return (
        holes.join(covered.to_frame("session"), how="cross")
        .select(*KEY, pl.lit(0.0).alias("weight"))
        .sort("session", "symbol")
    )


def _refuse_none(sessions: int) -> None:
    if sessions < 1:
        raise ResearchError(f"cannot predict for {sessions} sessions; ask for one or more")


def _too_few(bars: pl.DataFrame, strategy: Strategy) -> ResearchError:
    return ResearchError(
        f"strategy {strategy.name}: {bars.height} bars are fewer than its features look back"
    )

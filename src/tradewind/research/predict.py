"""Predictions for the latest sessions: one path, in training and after the registry."""

import polars as pl

from tradewind.errors import ResearchError
from tradewind.market.bars import KEY
from tradewind.research.features import compute_features
from tradewind.research.model import Predictor, matrix, predict_rows
from tradewind.research.strategy import Strategy

__all__ = ["predict"]


def predict(
    model: Predictor, bars: pl.DataFrame, strategy: Strategy, *, sessions: int = 1
) -> pl.DataFrame:
    """Predict for the last sessions of the bars.

    Parameters
    ----------
    model : Predictor
        A model from training, or the same fetched from a registry.
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
        The one the model was trained for.
    sessions : int
        How many of the last sessions to predict for.

    Returns
    -------
    DataFrame of shape (n_rows, 3)
        symbol, session, prediction (Float64, in the units of the label); sorted by session
        and symbol. A symbol still in its warm-up, or without a bar, has no row.

    Raises
    ------
    StrategyError
        If a symbol has no bars.
    ResearchError
        If `sessions` is below one, or the bars are too few for any row of features.
    """
    if sessions < 1:
        raise ResearchError(f"cannot predict for {sessions} sessions; ask for one or more")
    features = compute_features(bars, strategy)
    if features.is_empty():
        raise ResearchError(
            f"strategy {strategy.name}: {bars.height} bars are fewer than its features look back"
        )
    latest = features.get_column("session").unique().sort().tail(sessions)
    rows = features.filter(pl.col("session") >= latest.min()).sort("session", "symbol")
    return rows.select(KEY).with_columns(
        pl.Series("prediction", predict_rows(model, matrix(rows, strategy)), dtype=pl.Float64)
    )

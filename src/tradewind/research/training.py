"""Walk-forward training: what a strategy would have predicted, earned, and its final model."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from tradewind.errors import SplitError
from tradewind.market.bars import KEY
from tradewind.research import inference, statistics
from tradewind.research.backtest import run_backtest
from tradewind.research.features import compute_features
from tradewind.research.labels import compute_labels
from tradewind.research.leaks import refuse_lookahead
from tradewind.research.model import Predictor, fit, matrix, predict_rows
from tradewind.research.positions import target_weights
from tradewind.research.predict import predict
from tradewind.research.splits import purged_walk_forward
from tradewind.research.strategy import Strategy
from tradewind.research.universe import select_bars

__all__ = ["LEAST_FOLDS", "REFERENCE_SESSIONS", "FoldResult", "TrainingResult", "train"]

LEAST_FOLDS: Final = 3
REFERENCE_SESSIONS: Final = 20
_EXAMPLE_ROWS: Final = 5


@dataclass(frozen=True)
class FoldResult:
    """One fold: when it was trained and tested, on how many rows, and how it did.

    Attributes
    ----------
    index : int
        From 0, oldest first.
    train_start, train_end, test_start, test_end : date
        First and last session of each window.
    n_train, n_test : int
        Rows, that is sessions times symbols.
    metrics : dict of str to float
        Out of sample; see `tradewind.research.statistics` for units.
    """

    index: int
    train_start: date
    train_end: date
    test_start: date
    test_end: date
    n_train: int
    n_test: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrainingResult:
    """Everything a training leaves behind.

    Attributes
    ----------
    strategy : Strategy
    data_start, data_end : date
        First and last session of the bars used.
    folds : tuple of FoldResult
    metrics : dict of str to float
        Over all test windows in a row: one strategy, traded through the refits.
    predictions : DataFrame of shape (n_rows, 5)
        Out of sample: symbol, session, fold, prediction, label (null where the future is
        not known yet); sorted by session and symbol.
    equity : DataFrame of shape (n_sessions, 8)
        As returned by `tradewind.research.backtest.run_backtest`.
    model : Predictor
        The final model, fitted on the latest `walk_forward.train` sessions whose labels
        are known. It is none of the models that were judged, but their successor.
    feature_names : tuple of str
        Columns of the model's input, in order.
    input_example : DataFrame of shape (5, n_features)
        The latest rows of features, Float64.
    reference : DataFrame of shape (n_rows, 3)
        symbol, session, prediction of `model` for the latest 20 sessions: what the same
        model must predict again after it was fetched from a registry. Partly in sample.
    """

    strategy: Strategy
    data_start: date
    data_end: date
    folds: tuple[FoldResult, ...]
    metrics: dict[str, float]
    predictions: pl.DataFrame
    equity: pl.DataFrame
    model: Predictor
    feature_names: tuple[str, ...]
    input_example: pl.DataFrame
    reference: pl.DataFrame


@dataclass(frozen=True)
class _Window:
    """Positions of a fold and what its model predicted."""

    train: pl.DataFrame
    test: pl.DataFrame


def train(
    bars: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int = 1,
    on_fold: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Judge a strategy by purged walk-forward, then fit its final model.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
    num_threads : int
        Cores used for fitting. Results do not depend on it.
    on_fold : callable, optional
        Called with (folds done, folds in all) after each fold.

    Returns
    -------
    TrainingResult

    Raises
    ------
    StrategyError
        If a symbol has no bars, or a feature of the user's own cannot be computed.
    LeakError
        If a feature of a session changes with what comes after it.
    SplitError
        If the bars are too few for three folds, or a label would reach into a test window.
    BacktestError
        If the predictions cannot be traded.
    """
    used = select_bars(bars, strategy)
    refuse_lookahead(used, strategy, seed=strategy.seed)
    labels = compute_labels(used, strategy)
    rows = (
        compute_features(used, strategy).join(labels, on=KEY, how="left").sort("session", "symbol")
    )
    windows = _windows(rows, strategy)
    tested = []
    for index, window in enumerate(windows):
        model = fit(window.train, strategy, num_threads=num_threads)
        prediction = predict_rows(model, matrix(window.test, strategy), num_threads=num_threads)
        tested.append(
            window.test.select(
                *KEY,
                pl.lit(index, dtype=pl.Int64).alias("fold"),
                pl.Series("prediction", prediction, dtype=pl.Float64),
                "label",
            )
        )
        if on_fold is not None:
            on_fold(index + 1, len(windows))
    predictions = pl.concat(tested)
    rules = strategy.backtest
    equity = run_backtest(
        target_weights(predictions, rules, horizon=strategy.horizon),
        used,
        cost_bps=rules.commission_bps + rules.slippage_bps,
    )
    final = fit(_latest(rows, strategy), strategy, num_threads=num_threads)
    first, last = used.select(pl.min("session"), pl.max("session").alias("last")).row(0)
    return TrainingResult(
        strategy=strategy,
        data_start=first,
        data_end=last,
        folds=tuple(
            _fold_result(index, window, predictions, equity) for index, window in enumerate(windows)
        ),
        metrics=_metrics(predictions, equity)
        | _belief(equity)
        | _benchmark(equity)
        | {"n_folds": float(len(windows)), "n_test_rows": float(predictions.height)},
        predictions=predictions,
        equity=equity,
        model=final,
        feature_names=strategy.feature_names,
        input_example=rows.select(strategy.feature_names).tail(_EXAMPLE_ROWS),
        reference=predict(final, used, strategy, sessions=REFERENCE_SESSIONS),
    )


def _windows(rows: pl.DataFrame, strategy: Strategy) -> list[_Window]:
    """Cut rows into folds on sessions, never on rows."""
    sessions = rows.get_column("session").unique().sort()
    lengths = strategy.walk_forward
    folds = purged_walk_forward(
        sessions.to_numpy(), train=lengths.train, test=lengths.test, purge=strategy.purge
    )
    if len(folds) < LEAST_FOLDS:
        needed = lengths.train + strategy.purge + LEAST_FOLDS * lengths.test
        raise SplitError(
            f"strategy {strategy.name}: {sessions.len()} sessions give {len(folds)} folds, and "
            f"{LEAST_FOLDS} are the least that say anything; {needed} sessions would do, or "
            "shorter windows in walk_forward"
        )
    windows = []
    for train_at, test_at in folds:
        test = rows.filter(pl.col("session").is_in(sessions.gather(test_at).implode()))
        known = rows.filter(
            pl.col("session").is_in(sessions.gather(train_at).implode()),
            pl.col("label").is_not_null(),
        )
        _refuse_leak(known, test, strategy)
        windows.append(_Window(known, test))
    return windows


def _refuse_leak(known: pl.DataFrame, test: pl.DataFrame, strategy: Strategy) -> None:
    """Hold the promise of the purge against the prices the labels were really made of."""
    first_tested: date = test.get_column("session")[0]  # rows are sorted by session
    leaking = known.filter(pl.col("label_end") >= first_tested)
    if not leaking.is_empty():
        symbol, session, label_end = leaking.select(*KEY, "label_end").row(0)
        raise SplitError(
            f"strategy {strategy.name}: the label of {symbol} {session} is made of prices up to "
            f"{label_end}, inside the test window that starts on {first_tested}"
        )
    if known.is_empty():
        raise SplitError(
            f"strategy {strategy.name}: no label is known before the test window that starts on "
            f"{first_tested}"
        )


def _latest(rows: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    known = rows.filter(pl.col("label").is_not_null())
    sessions = known.get_column("session").unique().sort().tail(strategy.walk_forward.train)
    return known.filter(pl.col("session") >= sessions.min())


def _fold_result(
    index: int, window: _Window, predictions: pl.DataFrame, equity: pl.DataFrame
) -> FoldResult:
    trained, tested = window.train.get_column("session"), window.test.get_column("session")
    start, end = tested[0], tested[-1]
    return FoldResult(
        index=index,
        train_start=trained[0],
        train_end=trained[-1],
        test_start=start,
        test_end=end,
        n_train=trained.len(),
        n_test=tested.len(),
        metrics=_metrics(
            predictions.filter(pl.col("fold") == index),
            equity.filter(pl.col("session").is_between(start, end)),
        ),
    )


def _metrics(predictions: pl.DataFrame, equity: pl.DataFrame) -> dict[str, float]:
    known = predictions.drop_nulls("label")
    predicted, label = (
        known.get_column("prediction").to_numpy(),
        known.get_column("label").to_numpy(),
    )
    return statistics.summarise(equity) | {
        "information_coefficient": statistics.information_coefficient(known),
        "hit_rate": statistics.hit_rate(predicted, label),
    }


def _belief(equity: pl.DataFrame) -> dict[str, float]:
    """Return how far the Sharpe ratio can be believed: its 95 % interval, and P(true ratio > 0)."""
    net = equity.get_column("net_return").to_numpy()
    low, high = inference.sharpe_interval(net)
    return {
        "sharpe_low_95": low,
        "sharpe_high_95": high,
        "sharpe_probability": inference.probabilistic_sharpe(net),
    }


def _benchmark(equity: pl.DataFrame) -> dict[str, float]:
    """Return the figures of buying and holding, for comparison; none without a benchmark."""
    held = equity.get_column("benchmark")
    if held.null_count():
        return {}
    returns = (held / held.shift(1, fill_value=1.0) - 1.0).to_numpy()
    return {
        "benchmark_annual_return": statistics.annualised_return(returns),
        "benchmark_sharpe": statistics.sharpe(returns),
        "benchmark_max_drawdown": statistics.max_drawdown(returns),
    }

"""Purged walk-forward: a strategy's predictions and returns out of sample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import ResearchError
from tradewind.market.bars import KEY
from tradewind.market.calendar import sessions_per_year
from tradewind.research.backtest.benchmark import benchmark_returns, mix_returns
from tradewind.research.backtest.positions import target_weights
from tradewind.research.backtest.run import run_backtest
from tradewind.research.evaluation.dataset import Dataset, Window
from tradewind.research.models.model import fit, predict_rows, without_unpredicted
from tradewind.research.statistics import inference, performance
from tradewind.research.statistics.alpha import alpha_figures
from tradewind.research.strategy.strategy import Strategy

__all__ = ["FoldResult", "Judgement", "Score", "judge", "predict_fold", "score"]

OnFold = Callable[[int, int], None]


@dataclass(frozen=True)
class FoldResult:
    """One fold: its windows, its numbers of rows, and its figures.

    Attributes
    ----------
    index : int
        From 0, oldest first.
    train_start, train_end, test_start, test_end : date
        First and last session of each window.
    n_train, n_test : int
        Rows, that is sessions times symbols.
    metrics : dict of str to float
        Out of sample; see `tradewind.research.statistics.performance` for units.
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
class Score:
    """The result of one trial, and no more than a sweep needs.

    Attributes
    ----------
    metrics : dict of str to float
        Over all test windows in a row; see `tradewind.research.statistics.performance` for units.
    predictions : DataFrame of shape (n_rows, 5)
        Out of sample: symbol, session, fold, prediction, label (null where the future is
        not known yet); sorted by session and symbol.
    equity : DataFrame, a row a session
        As returned by `tradewind.research.backtest.run.run_backtest`.
    """

    metrics: dict[str, float]
    predictions: pl.DataFrame
    equity: pl.DataFrame

    @property
    def net_returns(self) -> NDArray[np.float64]:
        """Simple returns a session after costs, as fractions, shape (n_sessions,)."""
        return self.equity.get_column("net_return").to_numpy()

    @property
    def sessions(self) -> pl.Series:
        """The sessions of `net_returns`."""
        return self.equity.get_column("session")


@dataclass(frozen=True)
class Judgement(Score):
    """A `Score` with its confidence, and with the figures of each fold.

    Attributes
    ----------
    strategy : Strategy
    data_start, data_end : date
        First and last session of the bars used.
    folds : tuple of FoldResult
    equity : DataFrame, a row a session
        As in a `Score`, with two more columns: benchmark_return and mix_return, the returns of the
        strategy's benchmark and of its own average position; see
        `tradewind.research.backtest.benchmark`.
    """

    strategy: Strategy
    data_start: date
    data_end: date
    folds: tuple[FoldResult, ...]

    @property
    def benchmark_returns(self) -> NDArray[np.float64]:
        """What the benchmark earned in each session of `net_returns`."""
        return self.equity.get_column("benchmark_return").to_numpy()

    @property
    def mix_returns(self) -> NDArray[np.float64]:
        """What its average position earned in each session of `net_returns`."""
        return self.equity.get_column("mix_return").to_numpy()


def score(
    dataset: Dataset,
    strategy: Strategy,
    *,
    num_threads: int = 1,
    on_fold: OnFold | None = None,
    shared: Sequence[object] | None = None,
    predicted: Mapping[int, NDArray[np.float64]] | None = None,
) -> Score:
    """Fit, predict and trade every fold; a trial of a sweep is this.

    Parameters
    ----------
    dataset : Dataset
        Prepared for this strategy, or for one that differs in parameters of its model only.
    strategy : Strategy
    num_threads : int
        Cores used for fitting. Results do not depend on it.
    on_fold : callable, optional
        Called with (folds done, folds in all) after each fold.
    shared : sequence, optional
        One for each fold, shared by all trials on this dataset: see
        `tradewind.research.models.model.fit`.
    predicted : mapping of int to ndarray, optional
        By fold, what `predict_fold` has returned elsewhere; only the other folds are fitted here.

    Raises
    ------
    ResearchError
        If the dataset, or what is known of a fold, was prepared for something else.
    BacktestError
        If the predictions cannot be traded.
    """
    _refuse_unsuited(dataset, strategy)
    known = predicted or {}
    tested = []
    for index, window in enumerate(dataset.windows):
        test = dataset.test_rows(window)
        prediction = known.get(index)
        if prediction is None:
            prediction = predict_fold(
                dataset,
                strategy,
                index,
                num_threads=num_threads,
                shared=None if shared is None else shared[index],
            )
        elif prediction.shape != (test.height,):
            raise ResearchError(
                f"strategy {strategy.name}: {prediction.size} predictions were handed over for the "
                f"{test.height} rows of fold {index}: they are another dataset's; fit it again"
            )
        tested.append(
            test.select(
                *KEY,
                pl.lit(index, dtype=pl.Int64).alias("fold"),
                pl.Series("prediction", prediction, dtype=pl.Float64),
                "label",
            )
        )
        if on_fold is not None:
            on_fold(index + 1, len(dataset.windows))
    predictions = without_unpredicted(pl.concat(tested), strategy)
    weights = _wanted(predictions, dataset, strategy)
    equity = run_backtest(weights, dataset.bars, strategy.backtest)
    return Score(_metrics(predictions, equity, strategy), predictions, equity)


def predict_fold(
    dataset: Dataset,
    strategy: Strategy,
    index: int,
    *,
    num_threads: int = 1,
    shared: object = None,
) -> NDArray[np.float64]:
    """Fit the model of one fold and ask it for the fold's test; depends on no other fold.

    Parameters
    ----------
    dataset, strategy, num_threads
        As for `score`.
    index : int
        Of the fold, from 0.
    shared : optional
        That of the fold: see `score`.

    Returns
    -------
    ndarray of shape (n_test,)
        One prediction for each of the fold's `Dataset.test_rows`.

    Raises
    ------
    ResearchError
        If the dataset was prepared for something else.
    FitError
        If the model cannot be fitted or asked.
    """
    _refuse_unsuited(dataset, strategy)
    window = dataset.windows[index]
    rows = dataset.train_rows(window)
    model = fit(rows, strategy, num_threads=num_threads, shared=shared)
    return predict_rows(model, dataset.test_rows(window), strategy, num_threads=num_threads)


def judge(
    dataset: Dataset,
    strategy: Strategy,
    *,
    num_threads: int = 1,
    on_fold: OnFold | None = None,
    shared: Sequence[object] | None = None,
    predicted: Mapping[int, NDArray[np.float64]] | None = None,
) -> Judgement:
    """Judge a strategy by purged walk-forward: `score`, with folds and confidence.

    Parameters and errors are those of `score`.
    """
    scored = score(
        dataset,
        strategy,
        num_threads=num_threads,
        on_fold=on_fold,
        shared=shared,
        predicted=predicted,
    )
    predictions, equity = scored.predictions, scored.equity
    per_year = sessions_per_year(strategy.universe.calendar)
    held = benchmark_returns(dataset.benchmark, strategy, scored.sessions)
    weights = _wanted(predictions, dataset, strategy)
    mix = mix_returns(dataset.bars, weights, predictions, strategy)
    return Judgement(
        metrics=scored.metrics
        | _belief(scored.net_returns, per_year)
        | _benchmark(equity, per_year)
        | alpha_figures(scored.net_returns, held, mix, per_year=per_year)
        | {
            "n_folds": float(len(dataset.windows)),
            "n_test_rows": float(predictions.height),
            "untested_sessions": float(dataset.untested_sessions),
            "undefined_rows": float(dataset.undefined.rows.height),
        },
        predictions=predictions,
        equity=equity.with_columns(
            pl.Series("benchmark_return", held, dtype=pl.Float64),
            pl.Series("mix_return", mix, dtype=pl.Float64),
        ),
        strategy=strategy,
        data_start=dataset.data_start,
        data_end=dataset.data_end,
        folds=tuple(
            _fold_result(index, window, dataset, scored)
            for index, window in enumerate(dataset.windows)
        ),
    )


def _refuse_unsuited(dataset: Dataset, strategy: Strategy) -> None:
    if not dataset.suits(strategy):
        raise ResearchError(
            f"strategy {strategy.name}: the dataset was prepared for other features, labels or "
            "windows; prepare it from this strategy"
        )


def _wanted(predictions: pl.DataFrame, dataset: Dataset, strategy: Strategy) -> pl.DataFrame:
    return target_weights(
        predictions,
        strategy.backtest,
        horizon=strategy.horizon,
        sessions=dataset.traded(predictions),
        hold=dataset.held,
    )


def _fold_result(index: int, window: Window, dataset: Dataset, scored: Score) -> FoldResult:
    trained = dataset.train_rows(window).get_column("session")
    tested = dataset.test_rows(window).get_column("session")
    start, end = tested[0], tested[-1]
    predicted = scored.predictions.filter(fold=index)
    return FoldResult(
        index=index,
        train_start=trained[0],
        train_end=trained[-1],
        test_start=start,
        test_end=end,
        n_train=trained.len(),
        n_test=predicted.height,
        metrics=_metrics(
            predicted,
            scored.equity.filter(pl.col("session").is_between(start, end)),
            dataset.strategy,
        ),
    )


def _metrics(
    predictions: pl.DataFrame, equity: pl.DataFrame, strategy: Strategy
) -> dict[str, float]:
    known = predictions.drop_nulls("label")
    predicted, label = known.get_column("prediction"), known.get_column("label")
    per_year = sessions_per_year(strategy.universe.calendar)
    return performance.summarise(equity, per_year=per_year) | {
        "information_coefficient": performance.information_coefficient(known),
        "hit_rate": performance.hit_rate(predicted.to_numpy(), label.to_numpy()),
    }


def _belief(net: NDArray[np.float64], per_year: float) -> dict[str, float]:
    """Return how far the Sharpe ratio can be believed: its 95 % interval, and P(true ratio > 0)."""
    low, high = inference.sharpe_interval(net, per_year=per_year)
    return {
        "sharpe_low_95": low,
        "sharpe_high_95": high,
        "sharpe_probability": inference.probabilistic_sharpe(net),
    }


def _benchmark(equity: pl.DataFrame, per_year: float) -> dict[str, float]:
    """Return the figures of buying and holding, for comparison; none without a benchmark."""
    held = equity.get_column("benchmark")
    if held.null_count():
        return {}
    returns = (held / held.shift(1, fill_value=1.0) - 1.0).to_numpy()
    return {
        "benchmark_annual_return": performance.annualised_return(returns, per_year=per_year),
        "benchmark_sharpe": performance.sharpe(returns, per_year=per_year),
        "benchmark_max_drawdown": performance.max_drawdown(returns),
    }

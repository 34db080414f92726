"""Training: a strategy judged by walk-forward, its final model, and what both are worth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.backtest.positions import target_weights
from tradewind.research.evaluation.asked_again import comes_out_again
from tradewind.research.evaluation.combinatorial import judge_histories
from tradewind.research.evaluation.dataset import Dataset, prepare
from tradewind.research.evaluation.permutation import permutation_importance
from tradewind.research.evaluation.predict import predict_defined
from tradewind.research.evaluation.walk_forward import FoldResult, Judgement, judge
from tradewind.research.features.leaks import refuse_lookahead
from tradewind.research.features.undefined import Undefined
from tradewind.research.features.universe import select_bars
from tradewind.research.models.external import HandedIn
from tradewind.research.models.model import FittedModel, fit, importance, rounds_taken
from tradewind.research.models.rows import example
from tradewind.research.statistics import inference
from tradewind.research.statistics.alpha import alpha_probability
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.ledger import TrialSummary

__all__ = ["REFERENCE_SESSIONS", "TrainingResult", "train"]

REFERENCE_SESSIONS: Final = 20
_EXAMPLE_ROWS: Final = 5


@dataclass(frozen=True)
class TrainingResult:
    """Everything a training leaves behind.

    Attributes
    ----------
    strategy : Strategy
        With the parameters the final model was fitted with.
    data_start, data_end : date
        First and last session of the bars used.
    folds : tuple of FoldResult
    metrics : dict of str to float
        Over all test windows in a row: one strategy, traded through the refits. Among them
        ``trials``, how many were ever tried, and ``trials_variance``, the variance of their
        Sharpe ratios a session; ``deflated_sharpe_probability``, the probability that the true
        Sharpe ratio beats the best of as many worthless trials; ``alpha`` (fraction a year) and
        ``beta`` against the strategy's benchmark, ``alpha_probability`` and
        ``deflated_alpha_probability``, the same two probabilities of what is left without it, and
        ``trials_alpha_variance``; ``mix_alpha`` and the two probabilities of it, against what it
        held on average; ``pbo`` where there was a sweep;
        ``leakage``, 1.0 where training labels reach into a test window, of models that are fitted
        here; ``untested_sessions``, the newest sessions, too few for another test window;
        ``undefined_rows``, rows left out since a feature is undefined after its warm-up;
        ``reproducible``, 1.0 if two fits on the same rows predict the same, of kinds of models that
        are not our own; ``rounds``, of boosting, of a final model that stopped early.
    predictions : DataFrame of shape (n_rows, 5)
        Out of sample: symbol, session, fold, prediction, label (null where the future is
        not known yet); sorted by session and symbol.
    equity : DataFrame, a row a session
        As returned by `tradewind.research.backtest.run.run_backtest`, with the columns
        benchmark_return and mix_return.
    model : FittedModel
        The final model, fitted on the latest training window whose labels are known. It is
        none of the models that were judged, but their successor.
    feature_names : tuple of str
        Columns of the model's input, in order.
    input_example : DataFrame of 5 rows
        The latest rows, as whoever fetches the model has to give them: the features, Float64; for
        code of the desk's own also symbol, session, and history if it looks back.
    reference : DataFrame of shape (n_rows, 3)
        symbol, session, prediction of `model` for the latest 20 sessions with any: what the same
        model must predict again after it was fetched from a registry. Partly in sample.
    importance : dict of str to float
        How much the model makes of each feature.
    importance_shuffled : bool
        Whether a model that does not say was asked by shuffling each feature: see
        `tradewind.research.evaluation.permutation`.
    undefined : Undefined
        Features that are undefined after their warm-up.
    trials : TrialSummary, optional
        What the ledger knows of the strategy; None where no ledger was asked.
    combinatorial : DataFrame, optional
        Combinatorial purged cross-validation, where the strategy asks for it.
    """

    strategy: Strategy
    data_start: date
    data_end: date
    folds: tuple[FoldResult, ...]
    metrics: dict[str, float]
    predictions: pl.DataFrame
    equity: pl.DataFrame
    model: FittedModel
    feature_names: tuple[str, ...]
    input_example: pl.DataFrame
    reference: pl.DataFrame
    importance: dict[str, float]
    undefined: Undefined
    trials: TrialSummary | None = None
    combinatorial: pl.DataFrame | None = None
    importance_shuffled: bool = False

    @property
    def leaks(self) -> bool:
        """Whether training labels reach into a test window; such models are never promoted."""
        return self.strategy.leaks

    def wanted_weights(self) -> pl.DataFrame:
        """Return the weights wanted after each session's close, out of sample.

        Returns
        -------
        DataFrame of shape (n_sessions * n_symbols, 3)
            As returned by `tradewind.research.backtest.positions.target_weights`.
        """
        # The backtest has sessions in which nothing was predicted.
        sessions = pl.concat([self.predictions["session"], self.equity["session"]])
        return target_weights(
            self.predictions,
            self.strategy.backtest,
            horizon=self.strategy.horizon,
            sessions=sessions,
            hold=self.undefined.rows if self.strategy.missing == "hold" else None,
        )


def train(
    bars: pl.DataFrame,
    strategy: Strategy,
    *,
    trials: TrialSummary | Callable[[Judgement], TrialSummary] | None = None,
    num_threads: int = 1,
    on_fold: Callable[[int, int], None] | None = None,
    predicted: Mapping[int, NDArray[np.float64]] | None = None,
    handed_in: HandedIn | None = None,
) -> TrainingResult:
    """Judge a strategy by purged walk-forward, then fit its final model.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
        After a sweep: with the best parameters.
    trials : TrialSummary or callable, optional
        What was tried before the strategy came to be as it is. A callable is given the judgement
        once it is made, so that it can enter this training first: see
        `tradewind.research.trials.ledger.counted_in`. Without it this training counts as the only
        trial.
    num_threads : int
        Cores used for fitting. Results do not depend on it.
    on_fold : callable, optional
        Called with (folds done, folds in all) after each fold.
    predicted : mapping of int to ndarray, optional
        By fold, what was predicted elsewhere on the same bars: see
        `tradewind.research.evaluation.walk_forward.predict_fold`.
    handed_in : HandedIn, optional
        The predictions of an external model, which stand for all its fits.

    Raises
    ------
    PredictionsError
        If what was handed in cannot be judged.
    StrategyError
        If a symbol has no bars, a feature is undefined after its warm-up and the strategy says
        ``missing: refuse``, or the model's code cannot be used.
    LeakError
        If a feature or the model looks ahead, or remembers.
    SplitError
        If the bars are too few for three folds, or a label would reach into a test window.
    BacktestError
        If the predictions cannot be traded.
    """
    if handed_in is None:
        strategy.model.check_code(strategy.name)
    else:
        handed_in.refuse_unfit(select_bars(bars, strategy), strategy)
    # Before all else: what looks ahead has no value at the end, the lesser thing to say of it.
    refuse_lookahead(bars, strategy, seed=strategy.seed)
    dataset = prepare(bars, strategy)
    if handed_in is not None:
        handed_in.refuse_holes(dataset.rows.slice(dataset.windows[0].test_start), strategy)
    judgement = judge(
        dataset,
        strategy,
        num_threads=num_threads,
        on_fold=on_fold,
        shared=None if handed_in is None else [handed_in] * len(dataset.windows),
        predicted=predicted,
    )
    summary = trials(judgement) if callable(trials) else trials
    # After it was counted: what is refused here was tried.
    again = _comes_out_again(dataset, judgement, strategy, num_threads)
    histories = None
    if strategy.combinatorial is not None:
        histories = judge_histories(
            dataset.rows, dataset.bars, strategy, hold=dataset.held, num_threads=num_threads
        )
    model = fit(dataset.latest_rows(), strategy, num_threads=num_threads, shared=handed_in)
    said = importance(model, strategy.feature_names)
    shuffled = (
        {}
        if said or handed_in is not None
        else permutation_importance(dataset, strategy, num_threads=num_threads)
    )
    return TrainingResult(
        strategy=strategy,
        data_start=judgement.data_start,
        data_end=judgement.data_end,
        folds=judgement.folds,
        metrics=judgement.metrics
        | _deflated(judgement, summary)
        | _spread(histories)
        | again
        | _rounds(model),
        predictions=judgement.predictions,
        equity=judgement.equity,
        model=model,
        feature_names=strategy.feature_names,
        input_example=example(dataset.rows.tail(_EXAMPLE_ROWS), strategy),
        reference=predict_defined(model, dataset.bars, strategy, sessions=REFERENCE_SESSIONS),
        importance=said or shuffled,
        importance_shuffled=bool(shuffled),
        undefined=dataset.undefined,
        trials=summary,
        combinatorial=histories,
    )


def _comes_out_again(
    dataset: Dataset, judgement: Judgement, strategy: Strategy, num_threads: int
) -> dict[str, float]:
    """Return whether two fits on the same rows predict the same.

    Nothing where tests hold it, and where nothing is fitted here, so that nobody can know.
    """
    if strategy.model.tried_here or strategy.model.external:
        return {}
    found = comes_out_again(dataset, judgement.predictions, strategy, num_threads=num_threads)
    return {"reproducible": float(found)}


def _rounds(model: FittedModel) -> dict[str, float]:
    taken = rounds_taken(model)
    return {} if taken is None else {"rounds": float(taken)}


def _deflated(judgement: Judgement, trials: TrialSummary | None) -> dict[str, float]:
    """Return what is left of the Sharpe ratio once every trial is counted."""
    n_trials, variance = (1, 0.0) if trials is None else (trials.n_trials, trials.variance)
    beside = 0.0 if trials is None else trials.alpha_variance
    figures = {
        "trials": float(n_trials),
        "trials_variance": variance,
        "deflated_sharpe_probability": inference.deflated_sharpe(
            judgement.net_returns, n_trials, variance
        ),
        "trials_alpha_variance": beside,
        "deflated_alpha_probability": alpha_probability(
            judgement.net_returns, judgement.benchmark_returns, n_trials=n_trials, variance=beside
        ),
        # What other trials held on average is not kept, so their spread beside the benchmark has
        # to do.
        "deflated_mix_alpha_probability": alpha_probability(
            judgement.net_returns, judgement.mix_returns, n_trials=n_trials, variance=beside
        ),
    }
    if not judgement.strategy.model.external:  # of which nobody here knows how it was trained
        figures["leakage"] = float(judgement.strategy.leaks)
    if trials is not None and trials.pbo is not None:
        figures["pbo"] = trials.pbo
    return figures


def _spread(histories: pl.DataFrame | None) -> dict[str, float]:
    """Return the middle and the worst of the histories' Sharpe ratios; none without histories."""
    if histories is None:
        return {}
    sharpes = histories.get_column("sharpe").to_numpy()
    return {
        "combinatorial_sharpe_median": float(np.median(sharpes)),
        "combinatorial_sharpe_worst": float(sharpes.min()),
    }

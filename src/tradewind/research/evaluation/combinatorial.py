"""Combinatorial purged cross-validation: a strategy judged on many histories, not on one."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import SplitError
from tradewind.market.bars import KEY
from tradewind.market.calendar import sessions_per_year
from tradewind.research.backtest.positions import target_weights
from tradewind.research.backtest.run import run_backtest
from tradewind.research.evaluation.splits import combinatorial_purged
from tradewind.research.models.model import fit, predict_rows
from tradewind.research.statistics import performance
from tradewind.research.strategy.judging import Combinatorial
from tradewind.research.strategy.strategy import Strategy

__all__ = ["FIGURES", "Choice", "choices", "judge_histories"]

FIGURES: Final = ("sharpe", "annual_return", "max_drawdown")
"""What each history is judged by, as in `tradewind.research.statistics.performance.summarise`."""


@dataclass(frozen=True)
class Choice:
    """Rows to fit a model on, and rows of each test fold with the history it belongs to."""

    train: pl.DataFrame
    tests: tuple[tuple[int, pl.DataFrame], ...]


def judge_histories(
    rows: pl.DataFrame,
    bars: pl.DataFrame,
    strategy: Strategy,
    *,
    hold: pl.DataFrame | None = None,
    num_threads: int = 1,
    on_fold: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Judge a strategy on every history that its choices of test folds form.

    For each choice, a model is fitted on the other folds, without the purged and embargoed
    sessions, and predicts the chosen folds. The predictions of one history cover every session
    once; they are traded from the first to the last, as the walk-forward's are.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_features + 4) or wider
        symbol, session, the strategy's features, label and label_end (both null where the future
        is not known yet).
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols. In a session without rows nothing is
        predicted.
    strategy : Strategy
        With `combinatorial` set.
    hold : DataFrame of shape (n_held, 2), optional
        symbol and session of signals that are kept, as in
        `tradewind.research.backtest.positions.target_weights`.
    num_threads : int
        Cores used for fitting. Results do not depend on it.
    on_fold : callable, optional
        Called with (choices done, choices in all) after each choice.

    Returns
    -------
    DataFrame of shape (n_histories, 4)
        path (Int64, from 0); sharpe (annualised), annual_return and max_drawdown (fractions), all
        after costs. With `folds` 6 and `test_folds` 2 there are 5 histories from 15 fits.

    Raises
    ------
    SplitError
        If the strategy does not set `combinatorial`, the folds are too short, or a label would
        reach from training into a test or from a test into training.
    BacktestError
        If the predictions cannot be traded.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, ch. 12.
    """
    asked = _asked(strategy)
    total = math.comb(asked.folds, asked.test_folds)
    predicted = []
    for done, choice in enumerate(choices(rows, strategy), start=1):
        model = fit(choice.train, strategy, num_threads=num_threads)
        for path, test in choice.tests:
            prediction = predict_rows(model, test, strategy, num_threads=num_threads)
            predicted.append(
                test.select(
                    pl.lit(path, dtype=pl.Int64).alias("path"),
                    *KEY,
                    pl.Series("prediction", prediction, dtype=pl.Float64),
                )
            )
        if on_fold is not None:
            on_fold(done, total)
    histories = pl.concat(predicted).partition_by("path", as_dict=True, include_key=False)
    traded = bars.get_column("session").unique().sort()
    judged = []
    per_year = sessions_per_year(strategy.universe.calendar)
    for (path,), history in sorted(histories.items()):
        tested = history.get_column("session")
        weights = target_weights(
            history,
            strategy.backtest,
            horizon=strategy.horizon,
            sessions=traded.filter(traded.is_between(tested.min(), tested.max())),
            hold=hold,
        )
        figures = performance.summarise(
            run_backtest(weights, bars, strategy.backtest), per_year=per_year
        )
        judged.append({"path": path} | {name: figures[name] for name in FIGURES})
    return pl.DataFrame(judged)


def choices(rows: pl.DataFrame, strategy: Strategy) -> Iterator[Choice]:
    """Yield every choice of test folds, cut on sessions and never on rows.

    Parameters
    ----------
    rows : DataFrame
        As for `judge_histories`.
    strategy : Strategy
        With `combinatorial` set.

    Raises
    ------
    SplitError
        As `judge_histories` does.
    """
    asked = _asked(strategy)
    rows = rows.sort("session", "symbol")
    sessions = rows.get_column("session").unique().sort()
    folds = combinatorial_purged(
        sessions.to_numpy(),
        folds=asked.folds,
        test_folds=asked.test_folds,
        purge=strategy.purge,
        embargo=asked.embargo,
    )
    # Where the rows of each session end, and those of the next begin.
    ends = np.append(0, rows.get_column("session").rle().struct.field("len").cum_sum().to_numpy())
    for fold in folds:
        known = rows[_rows_of(fold.train, ends)].filter(pl.col("label").is_not_null())
        tests = tuple((path, rows[_rows_of(at, ends)]) for path, at in fold.tests)
        choice = Choice(known, tests)
        _refuse_leak(choice, strategy)
        yield choice


def _asked(strategy: Strategy) -> Combinatorial:
    if strategy.combinatorial is None:
        raise SplitError(
            f"strategy {strategy.name} asks for no combinatorial cross-validation; "
            "add to its file: combinatorial: {folds: 6, test_folds: 2}"
        )
    return strategy.combinatorial


def _rows_of(at: NDArray[np.intp], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of all rows of the sessions at some positions."""
    return np.concatenate([np.arange(ends[position], ends[position + 1]) for position in at])


def _refuse_leak(choice: Choice, strategy: Strategy) -> None:
    """Check the purge against the prices from which the labels were really made."""
    if choice.train.is_empty():
        raise SplitError(f"strategy {strategy.name}: no label is known to train on beside a test")
    if strategy.leaks and strategy.allow_leakage:  # which bars it from promotion
        return
    for _, test in choice.tests:
        first = test.get_column("session")[0]
        last = test.select(pl.max_horizontal(pl.max("session"), pl.max("label_end"))).item()
        # A label is made of prices after its session, up to label_end.
        shared = choice.train.filter(pl.col("session") < last, pl.col("label_end") >= first)
        if not shared.is_empty():
            symbol, session, label_end = shared.select(*KEY, "label_end").row(0)
            raise SplitError(
                f"strategy {strategy.name}: the label of {symbol} {session}, up to {label_end}, "
                f"shares prices with a test from {first} whose labels end on {last}"
            )

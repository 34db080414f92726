"""Bars prepared for evaluation: rows of features and labels, cut into folds on sessions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import SplitError
from tradewind.market.bars import KEY
from tradewind.research.backtest.benchmark import benchmark_bars, refuse_holes
from tradewind.research.evaluation.splits import purged_walk_forward
from tradewind.research.features.compute import compute_features, find_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.features.undefined import Undefined, refuse_undefined
from tradewind.research.features.universe import select_bars, within
from tradewind.research.strategy.strategy import Strategy

__all__ = ["LEAST_FOLDS", "Dataset", "Window", "prepare"]

LEAST_FOLDS: Final = 3


@dataclass(frozen=True)
class Window:
    """A fold, as the rows of a `Dataset` from `start` up to, not including, `stop`.

    Rows are sorted by session, so that a window is a slice, and folds copy no rows.
    """

    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


@dataclass(frozen=True)
class Dataset:
    """The data that all trials of a strategy on the same bars share.

    Attributes
    ----------
    strategy : Strategy
        The one it was prepared for; see `suits`.
    bars : DataFrame of shape (n_bars, 9)
        The strategy's symbols and days, sorted by symbol and session.
    rows : DataFrame of shape (n_rows, 4 + n_features)
        symbol, session, the strategy's feature columns, label and label_end (null where the
        future is not known yet); sorted by session and symbol.
    windows : tuple of Window
        Oldest first, three or more. Windows are counted in sessions that have rows.
    undefined : Undefined
        Values that are undefined after the warm-up of their feature.
    benchmark : DataFrame of shape (n_benchmark_bars, 9)
        Bars of the strategy's benchmark, of the same days.
    """

    strategy: Strategy
    bars: pl.DataFrame
    rows: pl.DataFrame
    windows: tuple[Window, ...]
    undefined: Undefined
    benchmark: pl.DataFrame

    @property
    def data_start(self) -> date:
        """First session of the bars."""
        return self.bars.select(pl.min("session")).item()  # type: ignore[no-any-return]

    @property
    def data_end(self) -> date:
        """Last session of the bars."""
        return self.bars.select(pl.max("session")).item()  # type: ignore[no-any-return]

    @property
    def held(self) -> pl.DataFrame | None:
        """Symbols and sessions that keep their signal; None if the strategy holds none."""
        return self.undefined.rows if self.strategy.missing == "hold" else None

    @property
    def untested_sessions(self) -> int:
        """Sessions of the bars after the last test window: too few to fill another one."""
        last = self.rows.item(self.windows[-1].test_stop - 1, "session")
        return self.bars.filter(pl.col("session") > last).get_column("session").n_unique()

    def traded(self, predictions: pl.DataFrame) -> pl.Series:
        """Return all sessions of the bars from the first to the last of some predictions.

        They include sessions without rows, in which nothing can be predicted.
        """
        tested = predictions.get_column("session")
        sessions = self.bars.get_column("session").unique().sort()
        return sessions.filter(sessions.is_between(tested.min(), tested.max()))

    def train_rows(self, window: Window) -> pl.DataFrame:
        """Rows of the training window whose label is known."""
        return _known(self.rows.slice(window.train_start, window.train_stop - window.train_start))

    def test_rows(self, window: Window) -> pl.DataFrame:
        """Rows of the test window, the latest perhaps without a label."""
        return self.rows.slice(window.test_start, window.test_stop - window.test_start)

    def latest_rows(self) -> pl.DataFrame:
        """Rows the final model is fitted on: the latest training window whose labels are known."""
        known = _known(self.rows)
        lengths = self.strategy.walk_forward
        if lengths.window == "expanding":
            return known
        sessions = known.get_column("session").unique().sort().tail(lengths.train)
        return known.filter(pl.col("session") >= sessions.min())

    def suits(self, strategy: Strategy) -> bool:
        """Whether a strategy would get the same dataset: the model's parameters may differ."""
        return _preparation(self.strategy) == _preparation(strategy)


def prepare(bars: pl.DataFrame, strategy: Strategy) -> Dataset:
    """Compute features and labels, and cut them into folds.

    In a sweep of a rule, all trials get the rows that the longest average leaves, so that they are
    judged on the same sessions.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy

    Raises
    ------
    StrategyError
        If a symbol has no bars, a feature is undefined after its warm-up and the strategy says
        ``missing: refuse``, or one has no value at all, or the same in all rows; or the benchmark
        symbol has no bar in a tested session.
    SplitError
        If the bars are too few for three folds, or a training label is made of prices from a
        test window and the strategy does not say ``allow_leakage``.
    """
    used = select_bars(bars, strategy)
    found = find_features(used, strategy, strict=True)
    refuse_undefined(found.undefined, strategy)
    features = found.rows
    longest = _longest_trial(strategy)
    if longest is not None:
        features = features.join(compute_features(used, longest).select(KEY), on=KEY, how="semi")
    labels = compute_labels(used, strategy)
    rows = features.join(labels, on=KEY, how="left").sort("session", "symbol")
    windows = _windows(rows, strategy)
    for window in windows:
        _refuse_leak(rows, window, strategy)
    benchmark = benchmark_bars(within(bars, strategy), strategy)
    # Checked before anything is fitted, or a sweep of hours would end with this error.
    refuse_holes(benchmark, strategy, _tested_sessions(used, rows, windows))
    return Dataset(strategy, used, rows, windows, found.undefined, benchmark)


def _tested_sessions(
    bars: pl.DataFrame, rows: pl.DataFrame, windows: tuple[Window, ...]
) -> pl.Series:
    """Return all sessions of the bars from the first to the last that windows test."""
    first = rows.item(windows[0].test_start, "session")
    last = rows.item(windows[-1].test_stop - 1, "session")
    sessions = bars.get_column("session").unique().sort()
    return sessions.filter(sessions.is_between(first, last))


def _known(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("label").is_not_null()) if rows["label"].null_count() else rows


def _preparation(strategy: Strategy) -> Mapping[str, Any]:
    longest = _longest_trial(strategy)
    return {
        "universe": strategy.universe,
        "inputs": strategy.inputs,
        "longest": None if longest is None else longest.inputs,
        "label": strategy.label,
        "costs": strategy.backtest if strategy.label.after_costs else None,
        "delisting_return": strategy.backtest.delisting_return,
        "horizon": strategy.horizon,
        "missing": strategy.missing,
        "walk_forward": strategy.walk_forward.model_dump(exclude={"spread"}),
        "allow_leakage": strategy.allow_leakage,
        "benchmark": strategy.held_against,
    }


def _longest_trial(strategy: Strategy) -> Strategy | None:
    """Return the trial with the longest warm-up; None where parameters do not change it."""
    if strategy.sweep is None:
        return None
    swept = {name: values.ends for name, values in strategy.sweep.parameters.items()}
    model = strategy.model.of_longest_warmup(swept)
    return None if model is None else strategy.model_copy(update={"model": model})


def _windows(rows: pl.DataFrame, strategy: Strategy) -> tuple[Window, ...]:
    """Cut rows into folds on sessions, never on rows."""
    sessions, starts = np.unique(rows.get_column("session").to_numpy(), return_index=True)
    lengths = strategy.walk_forward
    folds = _folds(sessions, strategy)
    if len(folds) < LEAST_FOLDS:
        needed = lengths.train + strategy.purge + LEAST_FOLDS * lengths.test
        raise SplitError(
            f"strategy {strategy.name}: {sessions.size} sessions give {len(folds)} folds, and "
            f"{LEAST_FOLDS} are the least that say anything; {needed} sessions would do, or "
            "shorter windows in walk_forward"
        )
    bounds = [*starts.tolist(), rows.height]
    return tuple(
        Window(bounds[train[0]], bounds[train[-1] + 1], bounds[test[0]], bounds[test[-1] + 1])
        for train, test in folds
    )


def _folds(
    sessions: NDArray[np.datetime64], strategy: Strategy
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return positions into `sessions` of each training and test window, each without a gap."""
    lengths = strategy.walk_forward
    return purged_walk_forward(
        sessions,
        train=lengths.train,
        test=lengths.test,
        purge=strategy.purge,
        window=lengths.window,
    )


def _refuse_leak(rows: pl.DataFrame, window: Window, strategy: Strategy) -> None:
    """Check the purge against the prices from which the labels were really made."""
    first_tested: date = rows.item(window.test_start, "session")
    known = _known(rows.slice(window.train_start, window.train_stop - window.train_start))
    if known.is_empty():
        raise SplitError(
            f"strategy {strategy.name}: no label is known before the test window that starts on "
            f"{first_tested}"
        )
    if strategy.allow_leakage and strategy.leaks:
        return
    leaking = known.filter(pl.col("label_end") >= first_tested)
    if not leaking.is_empty():
        symbol, session, label_end = leaking.select(*KEY, "label_end").row(0)
        raise SplitError(
            f"strategy {strategy.name}: the label of {symbol} {session} is made of prices up to "
            f"{label_end}, inside the test window that starts on {first_tested}"
        )

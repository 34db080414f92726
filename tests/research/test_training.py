import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from tradewind.errors import SplitError
from tradewind.market.bars import PRICES
from tradewind.research import training
from tradewind.research.features.labels import compute_labels
from tradewind.research.strategy.judging import Combinatorial
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.tearsheet.page import page
from tradewind.research.tearsheet.report import report_of
from tradewind.research.training import TrainingResult, train


def test_folds_are_where_a_hand_count_puts_them(trained: TrainingResult) -> None:
    assert len(trained.folds) == 17
    first, last = trained.folds[0], trained.folds[-1]
    # 252 sessions of warm-up, 756 of training, 5 left out, 126 of test
    assert (first.train_start, first.train_end) == (dt.date(2001, 3, 1), dt.date(2004, 3, 5))
    assert (first.test_start, first.test_end) == (dt.date(2004, 3, 15), dt.date(2004, 9, 13))
    assert (first.n_train, first.n_test) == (756 * 3, 126 * 3)  # GOOG is not listed yet
    assert (last.n_train, last.n_test) == (756 * 4, 126 * 4)
    assert [fold.index for fold in trained.folds] == list(range(17))


def test_the_newest_sessions_that_no_window_tests_are_counted(
    bars: pl.DataFrame, trained: TrainingResult
) -> None:
    last = trained.folds[-1].test_end
    assert last == dt.date(2012, 9, 12)
    later = bars.filter(pl.col("session") > last).get_column("session").n_unique()
    assert trained.metrics["untested_sessions"] == later == 115
    assert trained.metrics["undefined_rows"] == 0.0


def test_no_training_label_uses_a_price_of_its_test(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    ends = dict(
        compute_labels(bars, strategy)
        .filter(pl.col("symbol") == "IBM")
        .select("session", "label_end")
        .rows()
    )
    sessions = bars.get_column("session").unique().sort().to_list()
    assert trained.folds
    for fold in trained.folds:
        # the last label ends on the very last session before the test: no leak, no waste
        assert ends[fold.train_end] == sessions[sessions.index(fold.test_start) - 1]


def test_every_test_row_is_predicted_once(trained: TrainingResult) -> None:
    predictions = trained.predictions
    assert predictions.columns == ["symbol", "session", "fold", "prediction", "label"]
    assert predictions.height == sum(fold.n_test for fold in trained.folds)
    assert predictions.select("symbol", "session").is_unique().all()
    assert predictions.get_column("prediction").is_finite().all()
    assert predictions.get_column("prediction").n_unique() > 1000


def test_the_equity_covers_the_test_windows(trained: TrainingResult) -> None:
    equity = trained.equity
    assert equity.height == 17 * 126
    assert equity.get_column("session")[0] == trained.folds[0].test_start
    assert equity.get_column("session")[-1] == trained.folds[-1].test_end
    assert equity.null_count().sum_horizontal().item() == 0


def test_metrics_are_finite_and_agree_with_the_equity(trained: TrainingResult) -> None:
    metrics = trained.metrics
    assert {"sharpe", "annual_return", "max_drawdown", "information_coefficient"} < set(metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    net = trained.equity.get_column("net_return").to_numpy()
    assert metrics["sharpe"] == pytest.approx(net.mean() / net.std(ddof=1) * math.sqrt(252))
    grown = trained.equity.get_column("equity")[-1] ** (252 / len(net)) - 1
    assert metrics["annual_return"] == pytest.approx(grown)
    assert metrics["max_drawdown"] == pytest.approx(trained.equity.get_column("drawdown").min())
    assert metrics["sharpe_low_95"] < metrics["sharpe"] < metrics["sharpe_high_95"]
    assert 0.0 < metrics["sharpe_probability"] < 1.0
    assert metrics["n_folds"] == 17


def test_training_twice_gives_the_same_to_the_last_bit(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    again = train(bars, strategy)
    assert again.predictions.equals(trained.predictions)
    assert again.reference.equals(trained.reference)
    assert again.metrics == trained.metrics
    models = [again.model.native, trained.model.native]  # lightgbm.Booster
    trees = [model.model_to_string().split("\nparameters:")[0] for model in models]
    assert trees[0] == trees[1]


def test_another_seed_gives_another_model(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    other = train(bars, strategy.model_copy(update={"seed": 8}))
    assert not other.predictions.equals(trained.predictions)


def test_the_future_changes_no_past_prediction(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    cut = trained.folds[8].test_end
    draw = np.random.default_rng(3)
    factor = pl.Series(draw.uniform(0.8, 1.2, bars.height))
    changed = bars.with_columns(
        pl.when(pl.col("session") > cut).then(pl.col(name) * factor).otherwise(name).alias(name)
        for name in PRICES
    )
    other = train(changed, strategy)
    known = pl.col("session") <= cut
    columns = ["symbol", "session", "fold", "prediction"]
    past = trained.predictions.filter(known).select(columns)
    assert past.height == sum(fold.n_test for fold in trained.folds[:9])
    assert past.equals(other.predictions.filter(known).select(columns))
    # The two know the end: a benchmark leaves out what ended, a mix is the mean over all sessions.
    hindsight = ("benchmark", "mix_return")
    equity = trained.equity.filter(known).drop(hindsight)
    assert equity.equals(other.equity.filter(known).drop(hindsight))
    assert not other.predictions.equals(trained.predictions)


def test_the_example_and_reference_are_those_of_the_latest_sessions(
    bars: pl.DataFrame, trained: TrainingResult
) -> None:
    latest = bars.get_column("session").unique().sort().tail(20)
    assert trained.reference.height == 20 * 4
    assert trained.reference.get_column("session").unique().sort().equals(latest)
    assert trained.input_example.height == 5
    assert tuple(trained.input_example.columns) == trained.feature_names
    assert set(trained.input_example.dtypes) == {pl.Float64}
    model = trained.model.native  # lightgbm.Booster
    assert model.feature_name() == list(trained.feature_names)
    assert (trained.data_start, trained.data_end) == (dt.date(2000, 3, 1), dt.date(2013, 3, 1))


def test_progress_is_told_after_each_fold(bars: pl.DataFrame, strategy: Strategy) -> None:
    lengths = strategy.walk_forward.model_copy(update={"test": 700})
    told: list[tuple[int, int]] = []
    train(
        bars,
        strategy.model_copy(update={"walk_forward": lengths}),
        on_fold=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_fewer_than_three_folds_are_refused(bars: pl.DataFrame, strategy: Strategy) -> None:
    lengths = strategy.walk_forward.model_copy(update={"test": 1000})
    with pytest.raises(SplitError, match=r"3018 sessions give 2 folds.*3761 sessions would do"):
        train(bars, strategy.model_copy(update={"walk_forward": lengths}))


def test_a_purge_that_is_too_short_is_caught_by_the_labels_themselves(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    # a strategy file cannot say this; model_copy does not validate
    lengths = strategy.walk_forward.model_copy(update={"purge": 4})
    leaking = strategy.model_copy(update={"walk_forward": lengths})
    with pytest.raises(SplitError, match=r"2004-03-12.*inside the test window"):
        training.train(bars, leaking)


def test_a_strategy_is_judged_on_a_symbol_that_was_delisted(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    last = dt.date(2009, 3, 9)
    ended = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") <= last))
    found = train(ended, strategy)
    predicted = found.predictions.filter(pl.col("symbol") == "IBM")
    assert predicted.get_column("session")[-1] == last
    # All but the last one, which no open was left to buy at, are known, and count.
    assert predicted.get_column("label").is_null().to_list() == [False] * (len(predicted) - 1) + [
        True
    ]
    assert found.equity.get_column("session").equals(trained.equity.get_column("session"))
    before = pl.col("session") <= last
    # 126 sessions a fold: the model tested on that day was trained long before it.
    assert (
        found.equity.filter(before)
        .drop("benchmark", "mix_return")
        .equals(trained.equity.filter(before).drop("benchmark", "mix_return"))
    )
    assert not found.equity.get_column("net_return").equals(trained.equity.get_column("net_return"))


def test_long_short_trades_too(bars: pl.DataFrame, strategy: Strategy) -> None:
    rules = strategy.backtest.model_copy(update={"positions": "long_short"})
    result = train(bars, strategy.model_copy(update={"backtest": rules}))
    assert math.isfinite(result.metrics["sharpe"])
    assert (result.equity.get_column("equity") > 0).all()


def test_every_figure_of_a_year_follows_the_calendar(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    quick = strategy.with_parameters({"rounds": 3})
    small = quick.model_copy(update={"combinatorial": Combinatorial(folds=3, test_folds=2)})
    found = {}
    for calendar in ("XNYS", "24/7"):
        universe = small.universe.model_copy(update={"calendar": calendar})
        result = train(bars, small.model_copy(update={"universe": universe}))
        found[calendar] = result, report_of(result)
    (new_york, _), (never_closed, report) = found.values()
    root = math.sqrt(365 / 252)
    ratios = {
        "sharpe": root, "sharpe_low_95": root, "sharpe_high_95": root, "sortino": root,
        "annual_volatility": root, "benchmark_sharpe": root, "combinatorial_sharpe_median": root,
        "annual_turnover": root**2, "annual_cost": root**2, "alpha": root**2, "mix_alpha": root**2,
        "beta": 1.0, "sharpe_probability": 1.0, "deflated_sharpe_probability": 1.0,
        "alpha_probability": 1.0, "max_drawdown": 1.0, "trades": 1.0,
    }  # fmt: skip
    for name, ratio in ratios.items():
        assert never_closed.metrics[name] == pytest.approx(new_york.metrics[name] * ratio), name
    folds = zip(new_york.folds, never_closed.folds, strict=True)
    assert all(
        other.metrics["sharpe"] == pytest.approx(one.metrics["sharpe"] * root)
        for one, other in folds
    )
    assert report.per_year == 365.0
    assert "A year of 24/7 has 365 sessions" in page(report)

import math
from datetime import date

import polars as pl
import pytest

from tests.support import typed
from tradewind.errors import SplitError
from tradewind.market.bars import KEY
from tradewind.research.backtest.positions import target_weights
from tradewind.research.backtest.run import run_backtest
from tradewind.research.evaluation.combinatorial import choices, judge_histories
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.features.universe import select_bars
from tradewind.research.statistics import performance
from tradewind.research.strategy.judging import Combinatorial
from tradewind.research.strategy.strategy import Strategy


@pytest.fixture(scope="module")
def judged(strategy: Strategy) -> Strategy:
    return strategy.model_copy(update={"combinatorial": Combinatorial(embargo=21)})


@pytest.fixture(scope="module")
def used(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    return select_bars(bars, strategy)


@pytest.fixture(scope="module")
def rows(used: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    return compute_features(used, strategy).join(compute_labels(used, strategy), on=KEY, how="left")


def test_no_price_is_shared_between_training_and_test_labels(
    rows: pl.DataFrame, judged: Strategy
) -> None:
    found = list(choices(rows, judged))
    sessions = rows.get_column("session").unique().sort()
    length = sessions.len() // 6
    tested = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    assert len(found) == len(tested) == 15
    labelled = rows.drop_nulls("label").sort("session")
    for choice, chosen in zip(found, tested, strict=True):
        trained = choice.train
        assert trained.height > 4000
        for number in chosen:
            first = sessions[number * length]
            last = sessions[(number + 1) * length - 1 if number < 5 else -1]
            ends = labelled.filter(pl.col("session").is_between(first, last)).get_column(
                "label_end"
            )
            before = trained.filter(pl.col("session") < first)
            after = trained.filter(pl.col("session") > last)
            assert before.height + after.height == trained.height
            if number > 0 and number - 1 not in chosen:
                # not one session is wasted: the last label ends on the eve of the test
                eve = sessions[number * length - 1]
                assert before.get_column("label_end").max() == eve
            if not after.is_empty():
                assert typed(after.get_column("session").min(), date) > typed(ends.max(), date)
            if number < 5 and number + 1 not in chosen:
                resumed = sessions[(number + 1) * length + 5 + 21]
                assert after.get_column("session").min() == resumed


def test_histories_are_whole_and_traded_with_costs(
    rows: pl.DataFrame, used: pl.DataFrame, judged: Strategy
) -> None:
    told: list[tuple[int, int]] = []
    found = judge_histories(
        rows, used, judged, on_fold=lambda done, total: told.append((done, total))
    )
    assert told == [(done, 15) for done in range(1, 16)]
    assert found.columns == ["path", "sharpe", "annual_return", "max_drawdown"]
    assert found.get_column("path").to_list() == list(range(5))
    assert found.get_column("sharpe").n_unique() == 5
    assert found.get_column("max_drawdown").is_between(-1.0, 0.0).all()
    assert all(math.isfinite(value) for value in found.get_column("sharpe"))
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    assert judge_histories(shuffled, used, judged).equals(found)


def test_a_model_that_never_changes_its_mind_has_one_history(
    rows: pl.DataFrame, used: pl.DataFrame, judged: Strategy
) -> None:
    # No leaf is large enough: it predicts the mean label, which is positive in all of these years.
    blunt = judged.with_parameters({"min_data_in_leaf": 10**6})
    found = judge_histories(rows, used, blunt)
    always = rows.select(*KEY, pl.lit(1.0).alias("prediction"))
    weights = target_weights(always, blunt.backtest, horizon=blunt.horizon)
    figures = performance.summarise(run_backtest(weights, used, blunt.backtest), per_year=252)
    for path in range(5):
        assert found.row(path, named=True) == {"path": path} | {
            name: figures[name] for name in ("sharpe", "annual_return", "max_drawdown")
        }


@pytest.mark.parametrize("purge", [0, 4])
def test_a_purge_shorter_than_the_labels_is_caught_by_the_labels_themselves(
    rows: pl.DataFrame, used: pl.DataFrame, judged: Strategy, purge: int
) -> None:
    # A strategy file cannot say this; model_copy does not validate.
    lengths = judged.walk_forward.model_copy(update={"purge": purge})
    leaking = judged.model_copy(update={"walk_forward": lengths})
    with pytest.raises(SplitError, match="shares prices with a test from"):
        judge_histories(rows, used, leaking)


@pytest.mark.parametrize(("reach", "refused"), [(5, False), (6, True)])
def test_test_labels_that_reach_into_later_training_are_caught(
    rows: pl.DataFrame, judged: Strategy, reach: int, refused: bool
) -> None:
    # Without embargo training resumes on the sixth session after a test. Let the labels of the
    # last session of the first fold end later than they say.
    plain = judged.model_copy(update={"combinatorial": Combinatorial()})
    sessions = rows.get_column("session").unique().sort()
    last = sessions.len() // 6 - 1
    longer = rows.with_columns(
        pl.when(pl.col("session") == sessions[last])
        .then(pl.lit(sessions[last + reach + 1]))
        .otherwise("label_end")
        .alias("label_end")
    )
    if refused:
        with pytest.raises(SplitError, match=f"whose labels end on {sessions[last + 7]}"):
            list(choices(longer, plain))
    else:
        assert len(list(choices(longer, plain))) == 15


def test_a_leak_by_leave_of_the_file_is_let_through(
    rows: pl.DataFrame, used: pl.DataFrame, judged: Strategy
) -> None:
    lengths = judged.walk_forward.model_copy(update={"purge": 0})
    leaking = judged.model_copy(update={"walk_forward": lengths, "allow_leakage": True})
    assert judge_histories(rows, used, leaking).height == 5


def test_what_cannot_be_judged_is_refused(
    rows: pl.DataFrame, used: pl.DataFrame, strategy: Strategy, judged: Strategy
) -> None:
    with pytest.raises(SplitError, match="asks for no combinatorial cross-validation"):
        judge_histories(rows, used, strategy)
    few = rows.filter(pl.col("session").is_in(rows.get_column("session").unique().sort().head(60)))
    with pytest.raises(SplitError, match="too short to leave out 26"):
        judge_histories(few, used, judged)
    unknown = rows.with_columns(pl.lit(None, pl.Float64).alias("label"))
    with pytest.raises(SplitError, match="no label is known"):
        judge_histories(unknown, used, judged)

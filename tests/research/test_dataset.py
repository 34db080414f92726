import datetime as dt
from typing import Any

import polars as pl
import pytest

from tradewind.errors import ResearchError, SplitError
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.walk_forward import judge, score
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train


def rule(**changes: Any) -> Strategy:
    """A crossover whose averages are swept."""
    return Strategy.model_validate(
        {
            "name": "rule",
            "description": "A crossover.",
            "universe": {"source": "sample", "symbols": ["AAPL", "IBM"]},
            "horizon": 1,
            "model": {"kind": "ma_crossover", "fast": 20, "slow": 100},
            "walk_forward": {"train": 252, "test": 504},
            "sweep": {
                "trials": 4,
                "parameters": {
                    "fast": {"low": 5, "high": 50},
                    "slow": {"choices": [60, 100, 200]},
                },
            },
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            **changes,
        }
    )


def test_a_window_is_a_slice_on_sessions(bars: pl.DataFrame, strategy: Strategy) -> None:
    dataset = prepare(bars, strategy)
    assert len(dataset.windows) == 17
    sessions = dataset.rows.get_column("session").unique().sort().to_list()
    for index, window in enumerate(dataset.windows):
        tested = dataset.test_rows(window)
        first = 756 + 5 + 126 * index
        span = pl.col("session").is_between(sessions[first], sessions[first + 125])
        assert tested.equals(dataset.rows.filter(span))
        trained = dataset.train_rows(window)
        span = pl.col("session").is_between(sessions[first - 761], sessions[first - 6])
        assert trained.equals(dataset.rows.filter(span & pl.col("label").is_not_null()))


def test_the_final_model_learns_from_the_latest_known_sessions(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    latest = prepare(bars, strategy).latest_rows()
    assert latest.get_column("session").n_unique() == 756
    assert latest.get_column("label").null_count() == 0
    # five sessions before the last bar: the label of 2013-02-22 ends on 2013-03-01
    assert latest.get_column("session").max() == dt.date(2013, 2, 22)
    lengths = strategy.walk_forward.model_copy(update={"window": "expanding"})
    growing = prepare(bars, strategy.model_copy(update={"walk_forward": lengths}))
    assert growing.latest_rows().height == growing.rows.get_column("label").count()


def test_a_dataset_serves_trials_that_differ_in_the_model_only(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    dataset = prepare(bars, strategy)
    tried = strategy.with_parameters({"rounds": 5})
    assert dataset.suits(tried)
    again = judge(prepare(bars, tried), tried).equity
    assert score(dataset, tried).equity.equals(again.drop("benchmark_return", "mix_return"))
    against = strategy.model_copy(update={"benchmark": "cash"})  # its bars are others
    assert not dataset.suits(against)
    other = strategy.model_copy(update={"features": strategy.features[:2]})
    assert not dataset.suits(other)
    with pytest.raises(ResearchError, match="prepared for other features, labels or windows"):
        score(dataset, other)


def test_a_score_is_part_of_the_judgement(bars: pl.DataFrame, strategy: Strategy) -> None:
    tried = strategy.with_parameters({"rounds": 5})
    dataset = prepare(bars, tried)
    scored, judged = score(dataset, tried), judge(dataset, tried)
    assert scored.metrics.items() <= judged.metrics.items()
    assert scored.predictions.equals(judged.predictions)
    assert scored.equity.equals(judged.equity.drop("benchmark_return", "mix_return"))


def test_all_trials_of_a_rule_are_judged_on_the_same_sessions(bars: pl.DataFrame) -> None:
    strategy = rule()
    trials = [strategy.with_parameters({"fast": 5, "slow": slow}) for slow in (60, 100, 200)]
    rows = [prepare(bars, tried).rows.select("symbol", "session") for tried in trials]
    assert rows[0].equals(rows[1])
    assert rows[0].equals(rows[2])
    # the slowest average of 200 sessions is complete on the 200th
    first = bars.filter(pl.col("symbol") == "IBM").get_column("session").sort()[199]
    assert rows[0].get_column("session")[0] == first
    alone = prepare(bars, rule(sweep=None)).rows
    assert alone.get_column("session")[0] < first  # its own slow average needs 100
    assert not prepare(bars, trials[0]).suits(trials[1])


def test_a_leak_is_let_through_by_leave_and_marked(bars: pl.DataFrame) -> None:
    fields = rule(sweep=None).model_dump() | {
        "horizon": 5,
        "walk_forward": {"train": 252, "test": 504, "purge": 2},
        "allow_leakage": True,
    }
    leaking = Strategy.model_validate(fields)
    result = train(bars, leaking)
    assert result.leaks
    assert result.metrics["leakage"] == 1.0
    with pytest.raises(SplitError, match="inside the test window"):
        prepare(bars, leaking.model_copy(update={"allow_leakage": False}))
    honest = train(bars, rule(sweep=None))
    assert not honest.leaks
    assert honest.metrics["leakage"] == 0.0

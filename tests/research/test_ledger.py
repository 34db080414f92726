import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.walk_forward import Judgement, score
from tradewind.research.statistics.inference import deflated_sharpe, probabilistic_sharpe
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train
from tradewind.research.trials.database_ledger import DatabaseLedger
from tradewind.research.trials.ledger import (
    Ledger,
    MemoryLedger,
    TrialSummary,
    counted_in,
    overfitting,
    record_training,
    summarise_trials,
)
from tradewind.research.trials.parameter_sets import draw
from tradewind.research.trials.trial import Returns, Trial, configuration_hash

JANUARY, JUNE = dt.date(2020, 1, 2), dt.date(2020, 6, 30)
JULY, DECEMBER = dt.date(2020, 7, 1), dt.date(2020, 12, 31)


def returns(net: list[float] | np.ndarray, start: str = "2020-01-02") -> Returns:
    days = np.datetime64(start) + np.arange(len(net)).astype("timedelta64[D]")
    return Returns(days, np.asarray(net, dtype=np.float64))


def trial(configuration: str = "1", **changes: Any) -> Trial:
    """A trial of AAPL and IBM in the first half of 2020."""
    fields: dict[str, Any] = {
        "strategy": "mine",
        "snapshot_id": "a",
        "data_start": JANUARY,
        "data_end": JUNE,
        "symbols": ("AAPL", "IBM"),
        "parameters": {"alpha": 1.5},
        "sharpe": 0.1,
        "n_sessions": 3,
        "metrics": {"sharpe": 1.6},
        "returns": returns([0.01, -0.02, 0.015]),
    }
    return Trial(configuration=configuration, **{**fields, **changes})


def summary(ledger: Ledger, **changes: Any) -> TrialSummary:
    fields: dict[str, Any] = {
        "data_start": JANUARY,
        "data_end": JUNE,
        "symbols": ("AAPL", "IBM"),
        "benchmark": returns([0.01, 0.0, -0.01]),
    }
    return summarise_trials(ledger, "mine", **{**fields, **changes})


@pytest.fixture(params=["memory", "database"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    from sqlalchemy import text

    with DatabaseLedger(request.getfixturevalue("postgres_url")) as database:
        with database._engine.begin() as connection:
            connection.execute(text("TRUNCATE trial_ledger"))
        yield database


def test_what_is_entered_comes_back(ledger: Ledger) -> None:
    kept = trial()
    failed = trial("2", sharpe=math.nan, n_sessions=0, metrics={}, returns=None, failure="ruined")
    ledger.enter(kept)
    ledger.enter(failed)
    found = {each.configuration: each for each in ledger.trials("mine")}
    assert found["1"] == replace(kept, returns=None)
    assert found["2"].failure == "ruined"
    assert math.isnan(found["2"].sharpe)
    [packed] = ledger.returns("mine", "a", ["2", "unknown", "1"])
    assert kept.returns is not None
    np.testing.assert_array_equal(packed.net, kept.returns.net)
    np.testing.assert_array_equal(packed.sessions, kept.returns.sessions)


def test_the_same_configuration_counts_once_and_its_first_entry_stays(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.enter(trial("1"))
        ledger.enter(trial("2"))
    assert summary(ledger).n_trials == 2
    ledger.enter(trial("1", snapshot_id="b"))  # other data, and they overlap
    assert summary(ledger).n_trials == 2
    assert len(ledger.trials("mine")) == 3  # none is forgotten
    ledger.enter(trial("1", sharpe=9.0))  # what was entered first stays
    assert summary(ledger).table.get_column("sharpe_per_session").to_list() == [0.1] * 2


def test_a_strategy_that_is_trained_every_night_has_one_trial(ledger: Ledger) -> None:
    for night in range(5):
        end = JUNE + dt.timedelta(days=night)
        ledger.enter(trial("1", snapshot_id=f"n{night}", data_end=end, sharpe=night / 100))
    found = summary(ledger, data_end=DECEMBER)
    assert (found.n_trials, found.variance) == (1, 0.0)
    [row] = found.table.to_dicts()
    assert (row["snapshot_id"], row["sharpe_per_session"]) == ("n4", 0.04)
    # What it is changed to is another hypothesis, and counts.
    ledger.enter(trial("2", snapshot_id="n4", data_end=JUNE + dt.timedelta(days=4), sharpe=0.06))
    found = summary(ledger, data_end=DECEMBER)
    assert found.n_trials == 2
    assert found.variance == pytest.approx(0.02**2 / 2)  # 0.04 and 0.06


@pytest.mark.parametrize("first", [0, 1, 2])
def test_of_one_configuration_the_trial_on_the_latest_data_is_kept(first: int) -> None:
    entries = [
        trial(snapshot_id="z", data_end=JUNE, sharpe=0.1),
        trial(snapshot_id="a", data_end=JULY, sharpe=0.2),
        trial(snapshot_id="b", data_end=JULY, sharpe=0.3),  # as late: the greater id
    ]
    ledger = MemoryLedger()
    for each in [*entries[first:], *entries[:first]]:
        ledger.enter(each)
    assert summary(ledger).table.get_column("snapshot_id").to_list() == ["b"]
    # Data that do not overlap neither count nor stand for those that do.
    ledger.enter(trial(snapshot_id="c", data_start=JULY, data_end=DECEMBER, sharpe=0.4))
    assert summary(ledger).table.get_column("snapshot_id").to_list() == ["b"]


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"data_start": JULY, "data_end": DECEMBER}, False),  # begins the day after
        ({"data_start": JUNE, "data_end": DECEMBER}, True),  # one day in common
        ({"data_start": dt.date(2019, 1, 2), "data_end": JANUARY}, True),
        ({"data_start": dt.date(2019, 1, 2), "data_end": dt.date(2020, 1, 1)}, False),
        ({"data_start": dt.date(2019, 1, 2), "data_end": DECEMBER}, True),  # around it
        ({"data_start": dt.date(2020, 3, 2), "data_end": dt.date(2020, 3, 31)}, True),  # within
        ({"symbols": ("IBM", "MSFT")}, True),  # one symbol in common
        ({"symbols": ("MSFT",)}, False),
        ({"symbols": ("MSFT",), "data_start": JULY, "data_end": DECEMBER}, False),
        ({"strategy": "another"}, False),
        ({"failure": "ruined", "returns": None, "sharpe": math.nan}, True),
    ],
)
def test_trials_on_overlapping_data_count(changes: dict[str, Any], *, counts: bool) -> None:
    ledger = MemoryLedger()
    ledger.enter(trial(**changes))
    assert summary(ledger).n_trials == int(counts)


def test_a_worked_example() -> None:
    ledger = MemoryLedger()
    for name, sharpe in (("1", 0.01), ("2", 0.05), ("3", 0.09)):
        ledger.enter(trial(name, sharpe=sharpe))
    ledger.enter(trial("4", sharpe=math.nan, returns=None, failure="ruined"))
    found = summary(ledger)
    # four were tried; the three that have a ratio are 0.04 apart
    assert found.n_trials == 4
    assert found.variance == pytest.approx(0.04**2)
    assert found.pbo is None
    # The normal quantiles of 1 - 1/4 and 1 - 1/(4 e) are 0.67449 and 1.32955, so the best of four
    # worthless ones is expected at 0.04 (0.42278 * 0.67449 + 0.57722 * 1.32955) = 0.04210.
    net = np.random.default_rng(5).normal(0.001, 0.01, 500)
    believed = deflated_sharpe(net, found.n_trials, found.variance)
    assert believed == pytest.approx(probabilistic_sharpe(net, 0.04210), abs=1e-4)
    assert believed < probabilistic_sharpe(net)


def test_trials_of_other_times_vary_as_the_whole_of_them_does() -> None:
    ledger, draws = MemoryLedger(), np.random.default_rng(4)
    market = returns(draws.normal(0.0, 0.01, 300))
    for name, begins in (("1", 0), ("2", 295), ("3", 297)):
        start = str(market.sessions[begins])
        ledger.enter(trial(name, sharpe=int(name) / 100,
                           returns=returns(draws.normal(0.0, 0.01, 300), start)))  # fmt: skip
    found = summary(ledger, benchmark=market)
    assert found.alpha_variance == found.variance == pytest.approx(0.01**2)
    ledger.enter(trial("4", sharpe=0.04, returns=returns(market.net[::-1].copy())))
    found = summary(ledger, benchmark=market)
    assert 0.0 < found.alpha_variance < 0.1
    assert found.alpha_variance != found.variance


def test_the_table_does_not_depend_on_the_order_of_entry(ledger: Ledger) -> None:
    trials = [trial(str(n), parameters={"alpha": n / 10}, sharpe=n / 100) for n in range(5)]
    for each in reversed(trials):
        ledger.enter(each)
    other = MemoryLedger()
    for each in trials:
        other.enter(each)
    assert summary(ledger).table.equals(summary(other).table)
    assert summary(ledger).variance == summary(other).variance


def test_an_empty_ledger_counts_nothing(ledger: Ledger) -> None:
    found = summary(ledger)
    assert (found.n_trials, found.variance, found.table.height) == (0, 0.0, 0)


@pytest.mark.parametrize("n", [0, 1, 3, 2142])
def test_returns_are_packed_without_loss(n: int) -> None:
    original = returns(np.random.default_rng(n).normal(0.0, 0.01, n))
    packed = original.packed()
    again = Returns.unpacked(packed)
    np.testing.assert_array_equal(again.net, original.net)
    np.testing.assert_array_equal(again.sessions, original.sessions)
    assert n < 100 or len(packed) < 8.2 * n  # the sessions cost next to nothing


def test_trials_are_compared_on_the_sessions_they_share() -> None:
    draws = np.random.default_rng(1)
    whole = [returns(draws.normal(0.0, 0.01, 400)) for _ in range(6)]
    late = Returns(whole[0].sessions[80:], whole[0].net[80:])
    cut = [Returns(each.sessions[80:], each.net[80:]) for each in whole]
    assert overfitting([late, *whole[1:]]) == overfitting(cut)
    assert math.isnan(overfitting(whole[:1]))
    assert math.isnan(overfitting([returns([0.01] * 31), returns([0.02] * 31)]))
    elsewhere = returns(whole[1].net, start="2030-01-01")
    assert math.isnan(overfitting([whole[0], elsewhere]))


def test_what_changes_no_return_is_no_other_configuration(strategy: Strategy) -> None:
    same = {"description": "other words", "owner": "me", "schedule": "0 22 * * 1-5", "name": "new"}
    assert configuration_hash(strategy.model_copy(update=same)) == configuration_hash(strategy)
    swept = Strategy.model_validate(
        {
            **strategy.model_dump(),
            "sweep": {"trials": 2, "parameters": {"rounds": {"choices": [10, 20]}}},
            "gate": {"min_trades": 5},
            "combinatorial": {"folds": 6},
        }
    )
    assert configuration_hash(swept) == configuration_hash(strategy)
    hashes = {
        configuration_hash(strategy),
        configuration_hash(strategy, "code of a feature"),
        configuration_hash(strategy.with_parameters({"rounds": 101})),
        configuration_hash(strategy.model_copy(update={"seed": 8})),
        configuration_hash(strategy.model_copy(update={"horizon": 6})),
        configuration_hash(strategy.model_copy(update={"features": strategy.features[:3]})),
    }
    assert len(hashes) == 6


def judged(result: TrainingResult) -> Judgement:
    return Judgement(
        metrics=result.metrics,
        predictions=result.predictions,
        equity=result.equity,
        strategy=result.strategy,
        data_start=result.data_start,
        data_end=result.data_end,
        folds=result.folds,
    )


def test_a_training_without_a_sweep_is_entered(
    ledger: Ledger, strategy: Strategy, trained: TrainingResult
) -> None:
    for _ in range(2):
        record_training(ledger, judged(trained), snapshot_id="a")
    [entry] = ledger.trials(strategy.name)
    assert entry.sharpe * math.sqrt(252) == pytest.approx(trained.metrics["sharpe"])
    assert entry.n_sessions == trained.equity.height
    assert (entry.data_start, entry.data_end) == (trained.data_start, trained.data_end)
    assert entry.parameters["rounds"] == 100
    [kept] = ledger.returns(strategy.name, "a", [entry.configuration])
    np.testing.assert_array_equal(kept.net, trained.equity.get_column("net_return").to_numpy())


def test_each_further_trial_lowers_what_is_believed(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    assert trained.trials is None
    assert trained.metrics["trials"] == 1.0
    assert trained.metrics["trials_variance"] == 0.0
    alone = trained.metrics["sharpe_probability"]
    assert trained.metrics["deflated_sharpe_probability"] == alone

    ledger, believed = MemoryLedger(), [alone]
    count = counted_in(ledger, snapshot_id="a")
    assert count(judged(trained)).n_trials == 1
    span = {"data_start": trained.data_start, "data_end": trained.data_end}
    for n_trials in (10, 100, 1000):
        draws = np.random.default_rng(2)
        for n in range(n_trials):
            sharpe = float(draws.normal(0.0, 0.02))
            ledger.enter(trial(str(n), strategy=strategy.name, sharpe=sharpe, **span))
        found = count(judged(trained))
        assert found.n_trials == n_trials + 1  # the training itself is one of them
        net = trained.equity.get_column("net_return").to_numpy()
        believed.append(deflated_sharpe(net, found.n_trials, found.variance))
    assert believed == sorted(believed, reverse=True)
    assert len(set(believed)) == 4

    result = train(bars, strategy, trials=count)
    assert result.metrics["deflated_sharpe_probability"] == believed[-1]
    assert result.metrics["trials"] == 1001
    assert result.metrics["trials_variance"] == found.variance > 0.0
    assert "pbo" not in result.metrics  # there was no sweep


@pytest.mark.parametrize("seed", range(20))
def test_the_best_of_fifty_trials_of_noise_is_refused(seed: int) -> None:
    draws = np.random.default_rng(seed)
    ledger = MemoryLedger()
    tried = [returns(draws.normal(0.0, 0.01, 1000)) for _ in range(50)]
    for n, each in enumerate(tried):
        ledger.enter(trial(str(n), sharpe=each.sharpe, returns=each))
    best = max(tried, key=lambda each: each.sharpe)
    found = summary(ledger, pbo=overfitting(tried))
    assert probabilistic_sharpe(best.net) > 0.9  # taken alone, it would nearly be believed
    assert deflated_sharpe(best.net, found.n_trials, found.variance) < 0.95


def test_a_sweep_over_random_walks_is_refused() -> None:
    draws, n = np.random.default_rng(6), 900
    days = [dt.date(2000, 1, 3) + dt.timedelta(days=day) for day in range(n)]
    walks = []
    for symbol in "ABCDEF":
        close = 100.0 * np.exp(np.cumsum(draws.normal(0.0, 0.015, n)))
        opened = np.append(100.0, close[:-1]) * np.exp(draws.normal(0.0, 0.003, n))
        prices = {
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": draws.integers(1000, 9000, n),
        }
        factors = {"split_factor": 1.0, "adjustment_factor": 1.0}
        walk = pl.DataFrame({"symbol": [symbol] * n, "session": days, **prices})
        walks.append(walk.with_columns(**{k: pl.lit(v) for k, v in factors.items()}))
    strategy = Strategy.model_validate(
        {
            "name": "mine",
            "description": "Looks for what is not there.",
            "universe": {"source": "walks", "symbols": list("ABCDEF")},
            "horizon": 1,
            "features": [
                {"return": {"window": 5}},
                {"volatility": {"window": 21}},
                {"rsi": {"window": 14}},
            ],
            "model": {"kind": "lightgbm", "rounds": 20},
            "walk_forward": {"train": 252, "test": 126},
            "backtest": {"positions": "long_short", "commission_bps": 0.0, "slippage_bps": 0.0},
            "sweep": {
                "trials": 50,
                "parameters": {
                    "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
                    "num_leaves": {"low": 2, "high": 31},
                    "feature_fraction": {"low": 0.3, "high": 1.0},
                    "bagging_fraction": {"low": 0.3, "high": 1.0},
                },
            },
            "seed": 6,
        }
    )
    dataset, ledger = prepare(pl.concat(walks), strategy), MemoryLedger()
    span = dataset.data_start, dataset.data_end
    trials = []
    for parameters in draw(strategy):
        tried = strategy.with_parameters(parameters)
        trials.append(Trial.of(score(dataset, tried), tried, snapshot_id="a", span=span))
        ledger.enter(trials[-1])
    best = max(trials, key=lambda each: each.sharpe).returns
    assert best is not None
    found = summary(ledger, data_start=span[0], data_end=span[1], symbols=tuple("ABCDEF"))
    assert found.n_trials == 50
    assert probabilistic_sharpe(best.net) > 0.95  # taken alone, it would be believed
    assert deflated_sharpe(best.net, found.n_trials, found.variance) < 0.8

"""The strategies that come with tradewind, the one of noise above all.

The gate asks for a probability of 0.95 that the Sharpe ratio is above zero, or more after a
sweep. What has no edge passes that once in twenty times by luck alone, if trading is free. Noise
trades nearly all it holds every day, at five basis points each way as everybody here, and is as
much short as long, so that it has no market to live on: its true Sharpe ratio is not zero but
well below. That is why twenty of twenty can be refused without a gate that is made for it. Before
costs the same twenty must look like coins, or the walk-forward would be leaking.
"""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.registry.gate import Decision, Evidence, decide
from tradewind.research.backtest.benchmark import benchmark_name
from tradewind.research.features.compute import compute_features
from tradewind.research.statistics.inference import probabilistic_sharpe
from tradewind.research.strategy.files import load_strategies, load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train
from tradewind.research.verdict import verdict_title

STRATEGIES = Path(__file__).parents[2] / "strategies"
SEEDS = 20
# printf '1 AAPL 2000-03-01' | sha256sum | cut -c1-16
FIRST = 0x3E76C4A9B6FCA7DF / 2**64 - 0.5


def noise_of(seed: int, **changes: object) -> Strategy:
    """The noise strategy with other noise, and another model's luck."""
    fields = load_strategy(STRATEGIES / "noise.yaml").model_dump()
    for index, feature in enumerate(fields["features"]):
        feature["parameters"] = {"seed": 1000 * (seed + 1) + index}
    return Strategy.model_validate({**fields, "seed": seed, **changes})


def certainty(result: TrainingResult, column: str = "net_return") -> float:
    return probabilistic_sharpe(result.equity[column].to_numpy())


def with_signal(bars: pl.DataFrame, strategy: Strategy, *, strength: float) -> pl.DataFrame:
    """Real bars whose next session, from open to close, follows the first feature a little."""
    feature = compute_features(bars, strategy).select(
        "symbol", "session", pl.col(strategy.feature_names[0]).alias("known")
    )
    drawn = bars.join(feature, on=["symbol", "session"], how="left").sort("symbol", "session")
    pushed = 1.0 + strength * pl.col("known").shift(1).fill_null(0.0)
    grown = drawn.with_columns(pushed.cum_prod().over("symbol").alias("grown"))
    before = pl.col("grown").shift(1).fill_null(1.0).over("symbol")
    moved = grown.with_columns(
        pl.col("open") * before, pl.col("close", "high", "low") * pl.col("grown")
    )
    return moved.with_columns(
        pl.max_horizontal("open", "high", "low", "close").alias("high"),
        pl.min_horizontal("open", "high", "low", "close").alias("low"),
    ).select(bars.columns)


def decision(result: TrainingResult) -> Decision:
    """What the gate says of a first version."""
    evidence = Evidence(
        metrics=result.metrics,
        returns=result.equity.select("session", "net_return", "benchmark_return", "mix_return"),
        leaks=result.leaks,
        data_errors=0,
        trials=1,
        swept=False,
        sessions_per_year=252.0,
        benchmark=benchmark_name(result.strategy),
    )
    return decide(evidence, None, result.strategy.gate)


def test_the_shipped_strategies_are_those_promised() -> None:
    strategies, errors = load_strategies(STRATEGIES)
    assert errors == {}
    assert set(strategies) == {"momentum", "ranker", "ridge", "crossover", "noise"}
    sweep = strategies["ranker"].sweep
    assert sweep is not None
    assert (sweep.trials, sweep.batches) == (50, 2)


@pytest.mark.parametrize("file", sorted(STRATEGIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_strategy_trains(bars: pl.DataFrame, file: Path) -> None:
    result = train(bars, load_strategy(file))
    assert len(result.folds) >= 3
    assert all(math.isfinite(value) for value in result.metrics.values())
    assert result.predictions["prediction"].is_finite().all()
    assert result.predictions["prediction"].n_unique() > 1000
    assert result.reference.height == 20 * 4


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("momentum", "No better than holding"),
        ("ridge", "No better than holding"),
        ("crossover", "No better than holding"),
        # Long of what rose most of four, and short of what rose least: for all the years.
        ("ranker", "No better than what it held on average"),
    ],
)
def test_an_example_that_adds_nothing_to_holding_is_refused(
    bars: pl.DataFrame, name: str, title: str
) -> None:
    result = train(bars, load_strategy(STRATEGIES / f"{name}.yaml"))
    judged = decision(result)
    assert "min_alpha_probability" in [rule.rule for rule in judged.refused]
    # Of which the gate asked before, and had the best of it.
    assert result.metrics["deflated_sharpe_probability"] > 0.95
    assert verdict_title(result.metrics, benchmark_name(result.strategy)) == title


@pytest.mark.parametrize("positions", ["long_flat", "proportional"])
def test_noise_that_is_long_is_refused_although_the_market_rose(
    bars: pl.DataFrame, positions: str
) -> None:
    fields = noise_of(1, horizon=21).model_dump()
    fields["backtest"]["positions"] = positions
    result = train(bars, Strategy.model_validate(fields))
    assert result.metrics["deflated_sharpe_probability"] > 0.95
    assert "min_alpha_probability" in [rule.rule for rule in decision(result).refused]


def test_noise_is_refused_whatever_the_seed(bars: pl.DataFrame) -> None:
    results = [train(bars, noise_of(seed)) for seed in range(SEEDS)]
    after = [certainty(result) for result in results]
    before = [certainty(result, "gross_return") for result in results]
    asked = noise_of(0).gate.min_deflated_sharpe
    assert asked == 0.95
    assert len(set(after)) == SEEDS
    assert [figure for figure in after if figure >= asked] == [], after
    decisions = [decision(result) for result in results]
    assert [each.passed for each in decisions] == [False] * SEEDS
    assert all("min_deflated_sharpe" in {rule.rule for rule in each.refused} for each in decisions)
    # The mean of twenty coins, give or take three standard errors: sqrt(1 / 12 / 20) is 0.065.
    assert 0.5 - 0.195 < np.mean(before) < 0.5 + 0.195, before
    assert min(before) < 0.25
    assert max(before) > 0.75
    correlations = [result.metrics["information_coefficient"] for result in results]
    assert abs(np.mean(correlations)) < 0.01


def test_a_planted_signal_is_found(bars: pl.DataFrame) -> None:
    strategy = noise_of(3)
    # half a per cent a day, up or down, at the most; the stocks themselves move by two
    planted = with_signal(bars, strategy, strength=0.01)
    found, nothing = train(planted, strategy), train(bars, strategy)
    assert certainty(found) > 0.99
    assert found.metrics["information_coefficient"] > 0.05
    assert certainty(nothing) < 0.95
    assert decision(found).passed, decision(found)
    assert not decision(nothing).passed


def test_noise_is_the_same_everywhere(bars: pl.DataFrame) -> None:
    features = compute_features(bars, load_strategy(STRATEGIES / "noise.yaml"))
    noise = features["noise_a"].to_numpy()

    assert features.row(0)[:2] == ("AAPL", bars["session"].min())
    assert noise[0] == FIRST
    assert noise.std() == pytest.approx(math.sqrt(1 / 12), rel=0.02)
    assert abs(noise.mean()) < 0.01
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(noise, features["noise_b"].to_numpy())[0, 1]) < 0.03

from typing import Any

import pytest

from tradewind.errors import SweepError
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.parameter_sets import draw


def swept(trials: int, model: dict[str, Any] | None = None, **parameters: Any) -> Strategy:
    model = model or {"kind": "lightgbm"}
    rule = model["kind"] == "ma_crossover"
    return Strategy.model_validate(
        {
            "name": "drawn",
            "description": "Only drawn from.",
            "universe": {"source": "sample", "symbols": ["IBM"]},
            "horizon": 1,
            "features": [] if rule else [{"return": {"window": 5}}],
            "model": model,
            "walk_forward": {"train": 504, "test": 756},
            "sweep": {"trials": trials, "parameters": parameters},
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            "seed": 7,
        }
    )


def test_draws_are_spread_evenly_in_each_parameter() -> None:
    sets = draw(
        swept(
            16,
            learning_rate={"low": 0.001, "high": 0.1, "log": True},
            lambda_l2={"low": 0.0, "high": 8.0},
            num_leaves={"choices": [3, 7, 15, 31]},
        )
    )
    assert len(sets) == 16
    # Sobol' points in base 2: each half, and each quarter, has its exact share
    assert sum(each["learning_rate"] < 0.01 for each in sets) == 8
    assert sum(each["lambda_l2"] < 2.0 for each in sets) == 4
    assert [sum(each["num_leaves"] == n for each in sets) for n in (3, 7, 15, 31)] == [4] * 4
    assert all(0.001 <= each["learning_rate"] <= 0.1 for each in sets)
    assert all(float(f"{each['lambda_l2']:.6g}") == each["lambda_l2"] for each in sets)


def test_whole_numbers_reach_both_ends() -> None:
    sets = draw(swept(200, num_leaves={"low": 2, "high": 500, "log": True}))
    values = [each["num_leaves"] for each in sets]
    assert all(isinstance(value, int) for value in values)
    assert min(values) == 2
    assert 450 < max(values) <= 500
    assert set(range(2, 32)) <= set(values)  # half of the logarithm's range
    assert len(set(values)) == 200


def test_the_draw_depends_on_the_seed_alone() -> None:
    strategy = swept(10, learning_rate={"low": 0.01, "high": 0.1})
    assert draw(strategy) == draw(strategy)
    assert draw(strategy) != draw(strategy.model_copy(update={"seed": 8}))


def test_a_longer_sweep_begins_with_the_shorter_one() -> None:
    space = {"low": 0.01, "high": 0.1}
    assert draw(swept(32, learning_rate=space))[:16] == draw(swept(16, learning_rate=space))


def test_a_space_smaller_than_the_sweep_is_tried_whole() -> None:
    sets = draw(swept(50, num_leaves={"low": 2, "high": 4}, rounds={"choices": [10, 20]}))
    found = sorted((each["num_leaves"], each["rounds"]) for each in sets)
    assert found == [(2, 10), (2, 20), (3, 10), (3, 20), (4, 10), (4, 20)]
    few = draw(swept(4, num_leaves={"low": 2, "high": 4}, rounds={"choices": [10, 20]}))
    assert len({tuple(each.items()) for each in few}) == 4


def test_what_the_model_refuses_is_not_drawn() -> None:
    rule = {"kind": "ma_crossover", "fast": 20, "slow": 100}
    strategy = swept(30, rule, fast={"low": 5, "high": 90}, slow={"low": 30, "high": 200})
    sets = draw(strategy)
    assert len(sets) == 30
    assert all(each["fast"] < each["slow"] for each in sets)
    assert any(each["fast"] > 30 for each in sets)
    # and each makes a strategy that can be written down and read again
    for each in sets:
        tried = strategy.with_parameters(each)
        assert Strategy.model_validate_json(tried.model_dump_json()) == tried


def test_more_trials_than_the_model_accepts_are_refused() -> None:
    rule = {"kind": "ma_crossover", "fast": 2, "slow": 101}
    # 297 combinations, of which 1 + 2 + 99 have the fast average faster
    ranges = {"fast": {"low": 2, "high": 100}, "slow": {"choices": [3, 4, 101]}}
    assert len(draw(swept(90, rule, **ranges))) == 90
    with pytest.raises(SweepError, match=r"only 102 differ.*140 are asked for; ask for fewer"):
        draw(swept(140, rule, **ranges))

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tradewind.errors import BacktestError
from tradewind.research.positions import target_weights
from tradewind.research.strategy import Backtest

DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4)]


def weights(
    predictions: dict[str, list[float | None]], horizon: int, **rules: object
) -> dict[str, list[float]]:
    frame = pl.concat(
        pl.DataFrame({"symbol": symbol, "session": DAYS, "prediction": values}).drop_nulls()
        for symbol, values in predictions.items()
    )
    costs = {"commission_bps": 0.0, "slippage_bps": 0.0}
    wanted = target_weights(frame, Backtest.model_validate(costs | rules), horizon=horizon)
    assert wanted.height == len(DAYS) * len(predictions)
    return {
        str(symbol): group.get_column("weight").to_list()
        for (symbol,), group in wanted.group_by("symbol", maintain_order=True)
    }


def test_long_flat_shares_equity_equally_over_the_symbols_there_are() -> None:
    found = weights({"A": [0.1, -0.1, 0.1], "B": [None, 0.2, 0.0]}, horizon=1)
    assert found == {"A": [1.0, 0.0, 0.5], "B": [0.0, 0.5, 0.0]}


def test_long_short_follows_ranks_and_sums_to_zero() -> None:
    found = weights(
        {"A": [0.3, 0.1, 0.0], "B": [0.1, 0.1, 0.1], "C": [0.2, 0.1, 0.2]},
        horizon=1,
        positions="long_short",
    )
    assert found == {"A": [0.5, 0.0, -0.5], "B": [-0.5, 0.0, 0.0], "C": [0.0, 0.0, 0.5]}


def test_a_signal_is_held_for_the_horizon_in_tranches() -> None:
    found = weights({"A": [0.1, -0.1, -0.1], "B": [0.1, 0.1, None]}, horizon=2)
    assert found == {"A": [0.25, 0.25, 0.0], "B": [0.25, 0.5, 0.25]}


def test_sign_holds_each_symbol_by_the_sign_of_its_prediction() -> None:
    found = weights({"A": [0.3, -0.1, 0.0], "B": [-0.01, None, -5.0]}, 1, positions="sign")
    assert found == {"A": [0.5, -1.0, 0.0], "B": [-0.5, 0.0, -0.5]}


def test_proportional_shares_follow_the_size_of_predictions() -> None:
    found = weights(
        {"A": [0.3, 0.0, 0.2], "B": [-0.1, 0.0, None]}, horizon=1, positions="proportional"
    )
    assert found == {
        "A": pytest.approx([0.75, 0.0, 1.0]),
        "B": pytest.approx([-0.25, 0.0, 0.0]),
    }


@pytest.mark.parametrize("positions", ["long_flat", "long_short", "sign", "proportional"])
def test_no_weight_exceeds_its_bound(positions: str) -> None:
    found = weights({"A": [0.1] * 3, "B": [-0.1] * 3}, 1, positions=positions, max_weight=0.3)
    assert found["A"] == [0.3] * 3
    assert found["B"] == [0.0 if positions == "long_flat" else -0.3] * 3


def test_single_weights_are_cut_before_all_are_scaled() -> None:
    found = weights(
        {"A": [0.6] * 3, "B": [-0.3] * 3, "C": [0.1] * 3},
        horizon=1,
        positions="proportional",
        max_weight=0.4,
        max_gross=0.5,
    )
    # 0.6, -0.3, 0.1 are cut to 0.4, -0.3, 0.1: 0.8 in all, scaled to 0.5. The other way round
    # they would be 0.3, -0.15, 0.05, and none too large.
    assert found == {
        symbol: pytest.approx([share] * 3)
        for symbol, share in (("A", 0.25), ("B", -0.1875), ("C", 0.0625))
    }


def test_limits_hold_for_each_tranche_before_they_are_mixed() -> None:
    found = weights(
        {"A": [0.9, 0.1, 0.5], "B": [0.1, 0.9, 0.5]},
        horizon=2,
        positions="proportional",
        max_weight=0.5,
    )
    # signals of A: 0.5 (cut from 0.9), 0.1, 0.5
    assert found == {
        "A": pytest.approx([0.25, 0.3, 0.3]),
        "B": pytest.approx([0.05, 0.3, 0.5]),
    }


def test_a_gross_limit_above_what_is_held_borrows_nothing() -> None:
    found = weights({"A": [0.1, 0.1, -0.1], "B": [0.1] * 3}, 1, max_gross=2.0)
    assert found == {"A": [0.5, 0.5, 0.0], "B": [0.5] * 3}


@settings(max_examples=60, deadline=None)
@given(
    predictions=arrays(np.float64, (12, 4), elements=st.floats(-1, 1).map(lambda v: round(v, 3))),
    positions=st.sampled_from(["long_flat", "long_short", "sign", "proportional"]),
    horizon=st.integers(1, 6),
    max_weight=st.floats(0.05, 1.0),
    max_gross=st.floats(0.1, 2.0),
)
def test_targets_stay_within_limits_and_end_at_nothing(
    predictions: np.ndarray, positions: str, horizon: int, max_weight: float, max_gross: float
) -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(12)]
    predictions[-horizon:] = 0.0
    frame = pl.DataFrame(
        {
            "symbol": np.tile(list("ABCD"), 12),
            "session": np.repeat(np.array(days, dtype="datetime64[D]"), 4),
            "prediction": predictions.ravel(),
        }
    )
    rules = Backtest(
        positions=positions, commission_bps=0.0, slippage_bps=0.0,
        max_weight=max_weight, max_gross=max_gross,
    )  # fmt: skip
    found = target_weights(frame, rules, horizon=horizon)
    assert found.height == 48
    size = found.get_column("weight").abs()
    assert size.max() <= max_weight * (1 + 1e-12)
    gross = found.group_by("session").agg(pl.col("weight").abs().sum()).get_column("weight")
    assert gross.max() <= min(max_gross, 1.0) * (1 + 1e-12)
    # The sums of tranches leave no crumbs behind that would count as positions.
    assert set(found.tail(4).get_column("weight")) == {0.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_prediction_that_is_no_number_is_refused(value: float | None) -> None:
    frame = pl.DataFrame(
        {"symbol": ["A", "B"], "session": [DAYS[0]] * 2, "prediction": [0.1, value]}
    )
    rules = Backtest(commission_bps=0.0, slippage_bps=0.0)
    with pytest.raises(BacktestError, match="prediction of B 2024-01-02 is"):
        target_weights(frame, rules, horizon=1)

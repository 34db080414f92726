import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support import typed
from tradewind.errors import BacktestError
from tradewind.research.backtest.positions import target_weights
from tradewind.research.strategy.judging import Backtest

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
    assert typed(size.max(), float) <= max_weight * (1 + 1e-12)
    gross = found.group_by("session").agg(pl.col("weight").abs().sum()).get_column("weight")
    assert typed(gross.max(), float) <= min(max_gross, 1.0) * (1 + 1e-12)
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


WEEK = [dt.date(2024, 1, day) for day in (1, 2, 3, 4, 5)]


def held(
    predictions: dict[str, list[float | None]],
    kept: list[tuple[str, int]],
    horizon: int,
    **rules: object,
) -> dict[str, list[float]]:
    """Weights over a week: a prediction a day and symbol, none where there is none."""
    frame = pl.concat(
        pl.DataFrame({"symbol": symbol, "session": WEEK, "prediction": values}).drop_nulls()
        for symbol, values in predictions.items()
    )
    hold = pl.DataFrame(
        {"symbol": [symbol for symbol, _ in kept], "session": [WEEK[day] for _, day in kept]},
        schema={"symbol": pl.String, "session": pl.Date},
    )
    costs = {"commission_bps": 0.0, "slippage_bps": 0.0}
    wanted = target_weights(
        frame,
        Backtest.model_validate(costs | rules),
        horizon=horizon,
        sessions=pl.Series("day", WEEK),
        hold=hold,
    )
    assert wanted.get_column("session").unique().sort().to_list() == WEEK
    return {
        str(symbol): group.get_column("weight").to_list()
        for (symbol,), group in wanted.group_by("symbol", maintain_order=True)
    }


def test_a_session_without_predictions_is_a_tranche_of_cash() -> None:
    found = held({"A": [0.1, 0.1, None, None, 0.1]}, [], horizon=2)
    assert found == {"A": [0.5, 1.0, 0.5, 0.0, 0.5]}


def test_a_symbol_to_hold_keeps_the_signal_of_its_tranche() -> None:
    # Signals of A with two tranches: 1, -1, kept from Monday, kept from Tuesday, kept since Monday.
    found = held(
        {"A": [0.1, -0.1, None, None, None]},
        [("A", 2), ("A", 3), ("A", 4)],
        horizon=2,
        positions="sign",
    )
    assert found == {"A": [0.5, 0.0, 0.0, 0.0, 0.0]}
    alone = held({"A": [0.1, None, None, 0.1, 0.1]}, [("A", 1), ("A", 2)], horizon=1)
    assert alone == {"A": [1.0] * 5}


def test_before_the_first_signal_there_is_nothing_to_keep() -> None:
    found = held({"A": [None, None, 0.1, 0.1, 0.1]}, [("A", 0), ("A", 1)], horizon=2)
    assert found == {"A": [0.0, 0.0, 0.5, 1.0, 1.0]}


def test_an_equal_share_counts_what_is_held() -> None:
    found = held({"A": [-0.1, None, 0.1, 0.1, 0.1], "B": [0.1] * 5}, [("A", 1)], horizon=1)
    assert found == {"A": [0.0, 0.0, 0.5, 0.5, 0.5], "B": [0.5] * 5}


def test_others_make_room_for_what_is_held() -> None:
    found = held(
        {"A": [0.6, None, 0.2, 0.2, 0.2], "B": [0.3] * 5, "C": [-0.1] * 5},
        [("A", 1)],
        horizon=1,
        positions="proportional",
        max_gross=0.8,
    )
    # 0.6, 0.3, -0.1 are scaled to 0.8 in all. Then 0.32 is left for B and C: three to one.
    assert [found[symbol][1] for symbol in "ABC"] == pytest.approx([0.48, 0.24, -0.08])


def test_a_hold_of_other_days_and_symbols_changes_nothing() -> None:
    predictions: dict[str, list[float | None]] = {"A": [0.1, 0.2, -0.1, 0.1, 0.3]}
    plain = held(predictions, [], horizon=3)
    costs = {"commission_bps": 0.0, "slippage_bps": 0.0}
    frame = pl.DataFrame({"symbol": "A", "session": WEEK, "prediction": predictions["A"]})
    hold = pl.DataFrame({"symbol": ["A"], "session": [dt.date(2023, 12, 29)]})
    wanted = target_weights(frame, Backtest.model_validate(costs), horizon=3, hold=hold)
    assert wanted.get_column("weight").to_list() == plain["A"]


@settings(max_examples=60, deadline=None)
@given(
    predictions=arrays(np.float64, (12, 4), elements=st.floats(-1, 1).map(lambda v: round(v, 3))),
    states=arrays(np.int64, (12, 4), elements=st.integers(0, 3)),
    positions=st.sampled_from(["long_flat", "long_short", "sign", "proportional"]),
    horizon=st.integers(1, 6),
    limits=st.tuples(st.floats(0.05, 1.0), st.floats(0.1, 2.0)),
)
def test_with_holes_and_holds_targets_stay_within_limits(
    predictions: np.ndarray,
    states: np.ndarray,
    positions: str,
    horizon: int,
    limits: tuple[float, float],
) -> None:
    """A state of 0 is a hole to hold, of 1 a symbol without a bar; others are predicted."""
    max_weight, max_gross = limits
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(12)]
    states[0, 0] = 2  # somebody is predicted
    frame = pl.DataFrame(
        {
            "symbol": np.tile(list("ABCD"), 12),
            "session": np.repeat(np.array(days, dtype="datetime64[D]"), 4),
            "prediction": predictions.ravel(),
            "state": states.ravel(),
        }
    )
    rules = Backtest(
        positions=positions, commission_bps=0.0, slippage_bps=0.0,
        max_weight=max_weight, max_gross=max_gross,
    )  # fmt: skip
    found = target_weights(
        frame.filter(pl.col("state") > 1),
        rules,
        horizon=horizon,
        sessions=pl.Series(days),
        hold=frame.filter(pl.col("state") == 0),
    )
    assert found.get_column("session").n_unique() == 12
    assert typed(found.get_column("weight").abs().max(), float) <= max_weight * (1 + 1e-9)
    gross = found.group_by("session").agg(pl.col("weight").abs().sum()).get_column("weight")
    assert typed(gross.max(), float) <= min(max_gross, 1.0) * (1 + 1e-9)


def test_predictions_outside_the_sessions_and_of_held_symbols_are_refused() -> None:
    frame = pl.DataFrame({"symbol": "A", "session": WEEK, "prediction": 0.1})
    rules = Backtest(commission_bps=0.0, slippage_bps=0.0)
    with pytest.raises(BacktestError, match=r"predictions for 2024-01-05 \(1 such"):
        target_weights(frame, rules, horizon=1, sessions=pl.Series(WEEK[:4]))
    with pytest.raises(BacktestError, match="A 2024-01-01 is to be held"):
        target_weights(frame, rules, horizon=1, hold=frame.head(1))


@pytest.mark.parametrize("max_gross", [0.2, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("n_held", [3, 5, 7, 9])
def test_held_shares_that_pass_the_limit_by_a_rounding_leave_numbers(
    max_gross: float, n_held: int
) -> None:
    # Five fifths of 0.6 add up to more than 0.6, and the last symbol wants nothing.
    held = [f"S{number}" for number in range(n_held)]
    frame = pl.DataFrame(
        [(symbol, day, -1.0 if symbol == "Z" else 1.0)
         for day, symbols in zip(DAYS, ([*held, "Z"], ["Z"], [*held, "Z"]), strict=True)
         for symbol in symbols],
        schema={"symbol": pl.String, "session": pl.Date, "prediction": pl.Float64},
        orient="row",
    )  # fmt: skip
    hold = pl.DataFrame({"symbol": held, "session": [DAYS[1]] * n_held})
    rules = Backtest(commission_bps=0.0, slippage_bps=0.0, max_gross=max_gross)
    wanted = target_weights(frame, rules, horizon=1, hold=hold)
    assert wanted["weight"].is_finite().all()
    assert wanted.filter(pl.col("symbol") == "Z")["weight"].to_list() == [0.0] * 3
    kept = wanted.filter(pl.col("symbol") == "S0")["weight"]
    assert kept[1] == kept[0] > 0.0

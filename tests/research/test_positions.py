import datetime as dt

import polars as pl
import pytest

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


@pytest.mark.parametrize("positions", ["long_flat", "long_short"])
def test_no_weight_exceeds_its_bound(positions: str) -> None:
    found = weights({"A": [0.1] * 3, "B": [-0.1] * 3}, 1, positions=positions, max_weight=0.3)
    assert found["A"] == [0.3] * 3
    assert found["B"] == [0.0 if positions == "long_flat" else -0.3] * 3

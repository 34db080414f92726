import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.registry._figures import curves

MONDAY = dt.date(2004, 1, 5)


def backtest(returns: list[float]) -> pl.DataFrame:
    grown = (pl.Series(returns, dtype=pl.Float64) + 1).cum_prod()
    peak = grown.cum_max().clip(lower_bound=1.0)
    return pl.DataFrame(
        {
            "session": [MONDAY + dt.timedelta(days=offset) for offset in range(len(returns))],
            "net_return": returns,
            "equity": grown,
            "drawdown": grown / peak - 1,
            "benchmark": grown * 2,
        }
    )


def test_seven_sessions_in_three_points() -> None:
    found = curves(backtest([0.5, -0.5, 1.0, 0.0, 0.0, 0.0, 1.0]), points=3)
    assert found.columns == ["step", "session", "equity", "benchmark", "drawdown", "net_return"]
    assert found.get_column("step").to_list() == [2, 5, 6]
    assert found.get_column("session").to_list() == [
        MONDAY + dt.timedelta(days=offset) for offset in (2, 5, 6)
    ]
    assert found.get_column("equity").to_list() == pytest.approx([1.5, 1.5, 3.0])
    assert found.get_column("benchmark").to_list() == pytest.approx([3.0, 3.0, 6.0])
    # the second session's fall by half is not lost
    assert found.get_column("drawdown").to_list() == pytest.approx([-0.5, 0.0, 0.0])
    assert found.get_column("net_return").to_list() == pytest.approx([0.5, 0.0, 1.0])


@given(st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=600), st.integers(1, 250))
def test_thinning_loses_neither_end_nor_depth(returns: list[float], points: int) -> None:
    whole = backtest(returns)
    found = curves(whole, points)
    assert 1 <= found.height <= points
    assert found.get_column("step")[-1] == len(returns) - 1
    assert found.get_column("equity")[-1] == whole.get_column("equity")[-1]
    assert found.get_column("drawdown").min() == whole.get_column("drawdown").min()
    compounded = math.prod(1 + value for value in found.get_column("net_return"))
    assert compounded == pytest.approx(whole.get_column("equity")[-1])
    assert found.get_column("session").is_sorted()

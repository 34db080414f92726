import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.research.statistics import performance
from tradewind.research.tearsheet.series import (
    benchmark_returns,
    monthly_returns,
    rolling_sharpe,
    yearly_returns,
)
from tradewind.research.training import TrainingResult

MONDAY = dt.date(2003, 12, 29)


def days(returns: list[float], benchmark: list[float | None] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "session": [MONDAY + dt.timedelta(days=offset) for offset in range(len(returns))],
            "net_return": returns,
            "benchmark": benchmark or [None] * len(returns),
        },
        schema_overrides={"net_return": pl.Float64, "benchmark": pl.Float64},
    )


def test_months_and_years_compound() -> None:
    # two days of December 2003, then two of January 2004
    found = days([0.1, 0.1, 0.0, -0.5, 1.0], [1.1, 1.1, 1.1, 2.2, 1.1])
    assert monthly_returns(found).rows() == [
        (2003, 12, pytest.approx(0.21)),
        (2004, 1, pytest.approx(0.0)),
    ]
    assert yearly_returns(found).rows() == [
        (2003, pytest.approx(0.21), pytest.approx(0.1)),
        (2004, pytest.approx(0.0), pytest.approx(0.0, abs=1e-12)),
    ]


def test_a_year_without_a_benchmark_has_no_return_of_it() -> None:
    assert yearly_returns(days([0.1])).get_column("benchmark_return").to_list() == [None]


@given(st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=900))
def test_months_make_years_and_years_make_the_whole(returns: list[float]) -> None:
    found = days(returns)
    months, years = monthly_returns(found), yearly_returns(found)
    for year, total, _ in years.iter_rows():
        of_year = months.filter(pl.col("year") == year).get_column("net_return")
        assert math.prod(1 + value for value in of_year) == pytest.approx(1 + total)
    grown = math.prod(1 + value for value in years.get_column("net_return"))
    assert grown == pytest.approx(math.prod(1 + value for value in returns))


def test_real_months_add_up_to_the_equity(trained: TrainingResult) -> None:
    months = monthly_returns(trained.equity)
    assert months.height == 8 * 12 + 7  # March 2004 to September 2012
    grown = math.prod(1 + value for value in months.get_column("net_return"))
    assert grown == pytest.approx(trained.equity.get_column("equity")[-1])
    held = benchmark_returns(trained.equity)
    assert np.prod(held.to_numpy() + 1) == pytest.approx(trained.equity["benchmark"][-1])


def test_the_rolling_ratio_is_the_ratio_of_each_window(trained: TrainingResult) -> None:
    ratios = rolling_sharpe(trained.equity, 126, per_year=252)
    net = trained.equity.get_column("net_return").to_numpy()
    assert ratios.len() == net.size
    assert ratios.null_count() == 125
    for end in (125, 700, net.size - 1):
        assert ratios[end] == pytest.approx(
            performance.sharpe(net[end - 125 : end + 1], per_year=252)
        )


def test_out_of_the_market_there_is_no_ratio() -> None:
    ratios = rolling_sharpe(days([0.01, -0.02, 0.01, 0.0, 0.0, 0.0]), 3, per_year=252)
    assert [value is None for value in ratios] == [True, True, False, False, False, True]


def test_a_history_shorter_than_the_window_has_none() -> None:
    assert rolling_sharpe(days([0.01, 0.02]), 3, per_year=252).to_list() == [None, None]
    assert rolling_sharpe(days([0.01, 0.02, 0.0]), 3, per_year=252).null_count() == 2

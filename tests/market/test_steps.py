from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import typed
from tradewind.errors import StoreError
from tradewind.market.store.factor_steps import to_factors, to_steps


def test_only_corporate_actions_have_a_step(bars: pl.DataFrame) -> None:
    steps = to_steps(bars)
    splits = steps.filter(pl.col("split_step") != 1.0)
    assert splits.select("symbol", "session", "split_step").rows() == [
        ("AAPL", date(2000, 6, 21), 2.0),
        ("AAPL", date(2005, 2, 28), 2.0),
        ("MSFT", date(2003, 2, 18), 2.0),
    ]
    # The vendor's noise of 1e-13 is gone: 92 dividends and 3 splits are left of 9,668 steps.
    assert steps.filter(pl.col("adjustment_step") != 1.0).height == 95
    assert steps.filter(pl.col("adjustment_step").is_null())["session"].to_list() == [
        date(2000, 3, 1), date(2012, 5, 18), date(2004, 8, 19), date(2000, 3, 1), date(2000, 3, 1),
    ]  # fmt: skip


def test_factors_come_back_from_their_steps(bars: pl.DataFrame) -> None:
    back = to_factors(to_steps(bars))
    assert back.drop("adjustment_factor").equals(bars.drop("adjustment_factor"))
    error = (back["adjustment_factor"] / bars["adjustment_factor"] - 1.0).abs().max()
    assert 0.0 < typed(error, float) < 1e-9  # 53 dividends, each rounded by at most 5e-11


@settings(max_examples=60, deadline=None)
@given(last=st.integers(100, 3269))
def test_a_step_is_the_same_number_whichever_frame_it_came_from(
    bars: pl.DataFrame, last: int
) -> None:
    whole = to_steps(bars)
    end = bars["session"].unique().sort()[last]
    cut = bars.filter(pl.col("session") <= end).with_columns(
        (pl.col(factor) / pl.col(factor).last()).over("symbol")
        for factor in ("split_factor", "adjustment_factor")
    )
    assert to_steps(cut).equals(whole.filter(pl.col("session") <= end))


def test_a_hole_in_the_steps_is_refused(bars: pl.DataFrame) -> None:
    steps = to_steps(bars.filter(pl.col("symbol") == "AAPL"))
    torn = steps.with_columns(
        pl.when(pl.col("session") == date(2005, 2, 28)).then(None).otherwise("split_step")
        .alias("split_step")
    )  # fmt: skip
    with pytest.raises(StoreError, match=r"AAPL 2005-02-28: .* split or dividend"):
        to_factors(torn)

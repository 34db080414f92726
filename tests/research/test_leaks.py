"""Features that know the future are refused by name; honest ones are not."""

import datetime as dt
import re
from collections.abc import Callable

import polars as pl
import pytest

from tradewind.errors import LeakError, ResearchError, StrategyError
from tradewind.market.bars import adjusted
from tradewind.research.leaks import cut_dates, refuse_lookahead
from tradewind.research.strategy import Strategy
from tradewind.research.training import train

Own = Callable[..., Strategy]

CLOSE, VOLUME = "pl.col('close')", "pl.col('volume')"
CHANGE = f"{CLOSE}.pct_change()"
HONEST = {
    "log return": f"{CLOSE}.log().diff()",
    "long log return": f"{CLOSE}.log() - {CLOSE}.log().shift(252)",
    "gap": f"pl.col('open') / {CLOSE}.shift(1) - 1",
    "range, guarded": f"({CLOSE} - pl.col('low')) / (pl.col('high') - pl.col('low') + 1e-9)",
    "rolling mean": f"{CHANGE}.rolling_mean(20)",
    "rolling skewness": f"{CHANGE}.rolling_skew(63)",
    "rolling kurtosis": f"{CHANGE}.rolling_kurtosis(63)",
    "rolling quantile": f"{CLOSE} / {CLOSE}.rolling_quantile(0.9, window_size=20)",
    "rolling extremes": f"{CLOSE}.rolling_min(20) / {CLOSE}.rolling_max(20)",
    "rolling correlation": f"pl.rolling_corr({CHANGE}, {VOLUME}.pct_change(), window_size=20)",
    "weighted mean": f"{CHANGE}.fill_null(0).rolling_mean(5, weights=[1, 2, 3, 4, 5])",
    "exponential mean": f"{CLOSE} / {CLOSE}.ewm_mean(span=20) - 1",
    "exponential deviation": f"{CHANGE}.ewm_std(half_life=10)",
    "drawdown": f"{CLOSE} / {CLOSE}.cum_max() - 1",
    "cumulative sum": f"{CHANGE}.cum_sum()",
    "cumulative z score": f"{CHANGE} / ({CHANGE}.pow(2).cum_sum() / {CHANGE}.cum_count()).sqrt()",
    "dollar volume": f"({CLOSE} * {VOLUME}).log() - ({CLOSE} * {VOLUME}).rolling_mean(20).log()",
    "weekday": "pl.col('session').dt.weekday()",
    "direction": f"({CLOSE} > {CLOSE}.shift(1))",
    "constant": f"{CLOSE} / {CLOSE}",
    "Python in a function": f"{CHANGE}.rolling_map(lambda s: s.sum(), window_size=10)",
    "tail": f"{CLOSE}.shift(1).forward_fill() / {CLOSE}",
}
AHEAD = {
    "tomorrow": f"{CLOSE}.shift(-1) / {CLOSE} - 1",
    "a month ahead": f"{CLOSE}.shift(-21) / {CLOSE} - 1",
    "centred window": f"{CLOSE} / {CLOSE}.rolling_mean(5, center=True)",
    "mean of all": f"{CHANGE} - {CHANGE}.mean()",
    "deviation of all": f"{CHANGE} / {CHANGE}.std()",
    "rank in all": f"{CHANGE}.rank() / pl.len()",
    "quantile of all": f"({CHANGE} > {CHANGE}.quantile(0.99))",
    "sum from the end": f"{CHANGE}.cum_sum(reverse=True)",
    "filled backwards": f"pl.when({CHANGE} > 0.02).then({CHANGE}).backward_fill()",
    "interpolated": f"pl.when(pl.int_range(pl.len()) % 7 == 0).then({CHANGE}).interpolate()",
    "number of bars": f"pl.int_range(pl.len()) / pl.len() + {CHANGE} * 0",
    "tomorrow, on Mondays": (
        f"pl.when(pl.col('session').dt.weekday() == 1).then({CHANGE}.shift(-1)).otherwise({CHANGE})"
    ),
    "tomorrow, a millionth of a millionth of it": f"{CHANGE} + 1e-12 * {CHANGE}.shift(-1)",
}
LEVEL = {
    "price": CLOSE,
    "logarithm of price": f"{CLOSE}.log()",
    "change in dollars": f"{CLOSE}.diff()",
    "cheap": f"({CLOSE} < 50)",
    "shares": f"{VOLUME}.log()",
    "dollar volume": f"({CLOSE} * {VOLUME}).log()",
    "last digit": f"{CLOSE} % 1.0",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_features_pass(bars: pl.DataFrame, own: Own, name: str) -> None:
    refuse_lookahead(bars, own(HONEST[name]), seed=1)


def test_all_built_in_features_pass(bars: pl.DataFrame, strategy: Strategy) -> None:
    kinds = {spec.kind for spec in strategy.features} | {"ma_ratio"}
    assert kinds >= {"return", "momentum", "volatility", "rsi", "ma_distance", "volume_ratio"}
    more = [*strategy.model_dump()["features"], {"ma_ratio": {"fast": 50, "slow": 200}}]
    this = Strategy.model_validate({**strategy.model_dump(), "features": more})
    for seed in range(5):
        refuse_lookahead(bars, this, seed=seed)


@pytest.mark.parametrize("rank", [False, True])
@pytest.mark.parametrize("name", AHEAD)
def test_looking_ahead_is_refused(bars: pl.DataFrame, own: Own, name: str, rank: bool) -> None:
    with pytest.raises(LeakError, match=r"strategy momentum: feature x of .* it looks ahead"):
        refuse_lookahead(bars, own(AHEAD[name], rank=rank), seed=1)


@pytest.mark.parametrize("rank", [False, True])
@pytest.mark.parametrize("name", LEVEL)
def test_levels_are_refused(bars: pl.DataFrame, own: Own, name: str, rank: bool) -> None:
    with pytest.raises(LeakError, match=r"feature x of .* it uses the level of a price or volume"):
        refuse_lookahead(bars, own(LEVEL[name], rank=rank), seed=1)


def test_symbol_session_and_both_values_are_named(bars: pl.DataFrame, own: Own) -> None:
    with pytest.raises(LeakError) as caught:
        refuse_lookahead(bars, own(f"{CLOSE}.shift(-1) / {CLOSE} - 1"), n_dates=3, seed=1)
    # The first cut is after the first session: 2000-03-01, when GOOG was not listed.
    closes = adjusted(bars).filter(pl.col("symbol") == "AAPL")["close"]
    tomorrow = closes[1] / closes[0] - 1
    assert re.search(
        rf"feature x of AAPL on 2000-03-01 is {re.escape(repr(tomorrow))}, but undefined "
        r"without the bars after 2000-03-01: it looks ahead",
        str(caught.value),
    )
    assert isinstance(caught.value, ValueError)


def test_the_splits_own_sessions_are_looked_at(bars: pl.DataFrame) -> None:
    dates = cut_dates(bars, n_dates=30, seed=1)
    assert len(dates) == 30
    assert dates == sorted(set(dates))
    assert (dates[0], dates[-1]) == (dt.date(2000, 3, 1), dt.date(2013, 2, 28))
    splits = {  # the session before each, and its own
        dt.date(2000, 6, 20), dt.date(2000, 6, 21), dt.date(2003, 2, 14), dt.date(2003, 2, 18),
        dt.date(2005, 2, 25), dt.date(2005, 2, 28),
    }  # fmt: skip
    assert splits <= set(dates)
    assert cut_dates(bars, n_dates=30, seed=1) == dates
    assert cut_dates(bars, n_dates=30, seed=2) != dates


def test_few_sessions_and_few_dates(bars: pl.DataFrame) -> None:
    days = bars["session"].unique().sort()
    assert cut_dates(bars.filter(pl.col("session") <= days[2]), n_dates=9, seed=1) == [
        days[0],
        days[1],
    ]
    assert cut_dates(bars.filter(pl.col("session") == days[0]), n_dates=9, seed=1) == []
    assert cut_dates(bars, n_dates=3, seed=1)[::2] == [days[0], days[-2]]
    with pytest.raises(ResearchError, match="needs 3 dates or more, not 2"):
        cut_dates(bars, n_dates=2, seed=1)


def test_numbers_that_change_each_time_are_refused(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "import random\n\n\ndef feature():\n    return pl.col('close').map_batches(\n"
        "        lambda s: pl.Series([random.random() for _ in s]), return_dtype=pl.Float64)\n"
    )
    with pytest.raises(
        StrategyError, match=r"feature x of AAPL on 2000-03-01 is .* computed again"
    ):
        refuse_lookahead(bars, own(code=code), seed=1)


def test_a_training_begins_with_the_check(bars: pl.DataFrame, own: Own) -> None:
    with pytest.raises(LeakError, match=r"feature x of AAPL"):
        train(bars, own(f"{CLOSE}.shift(-1) / {CLOSE} - 1"))

"""Features that compare the symbols of a session."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tests.research.holes import walk
from tests.support import typed
from tradewind.errors import SplitError, StrategyError
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.features.compute import FeatureTable, compute_features, find_features
from tradewind.research.features.leaks import refuse_lookahead
from tradewind.research.features.own_code import feature_code_hash
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train

Own = Callable[..., Strategy]
FUNCTIONS = """
def share(column="dollar_volume"):
    return pl.col(column) / pl.col(column).sum()


def apart():
    return pl.col("up") - pl.col("up").mean()


def lone():
    return pl.col("volume") / pl.col("volume").sum().over("session")


def alone():
    return pl.col("volume") / (pl.col("volume") * 3.0)


def ratio():
    return pl.col("volume") / pl.col("volume").shift(3)


def lone_but_it_varies():
    return lone() * (pl.col("close") / pl.col("close").shift(1))


def place(at):
    return (pl.col("close") - pl.col("close").shift(1)) / (pl.col("high") - pl.col("low") - at)


def this_year():
    return pl.col("close") / pl.col("close").first().over(pl.col("session").dt.year()) - 1.0


def nothing():
    return (pl.col("close") - pl.col("close").mean()) / (pl.col("close") - pl.col("close"))


def weekday():
    return pl.col("session").dt.weekday()


def feature():
    return ratio()
"""


@pytest.fixture
def asking(own: Own) -> Callable[..., Strategy]:
    """A strategy on made bars that asks for some features, in whatever way."""

    def make(*features: dict[str, Any], symbols: str = "ABC") -> Strategy:
        fields = own(code=FUNCTIONS).model_dump()
        return Strategy.model_validate(
            {
                **fields,
                "universe": {"source": "made", "symbols": tuple(symbols)},
                "features": features,
                "model": {"kind": "ridge"},
                "walk_forward": {"train": 60, "test": 30},
            }
        )

    return make


UP = {"return": {"window": 5}}


def across(name: str, **spec: Any) -> dict[str, Any]:
    return {"across": {"name": "y", "function": f"mine:{name}", **spec}}


def custom(name: str, **spec: Any) -> dict[str, Any]:
    return {"custom": {"name": "x", "function": f"mine:{name}", **spec}}


def test_each_is_computed_within_a_session_by_hand(asking: Callable[..., Strategy]) -> None:
    strategy = asking(UP, {"demean": {"of": UP}}, {"zscore": {"of": UP}}, {"rank": {"of": UP}})
    assert strategy.feature_names == ("return_5", "demean_return_5", "zscore_return_5",
                                      "rank_return_5")  # fmt: skip
    assert [spec.across_symbols for spec in strategy.inputs] == [False, True, True, True]
    features = compute_features(walk("ABC", 60), strategy)
    for _, rows in features.group_by("session"):
        values = rows.get_column("return_5").to_numpy()
        apart = values - values.mean()
        np.testing.assert_allclose(rows.get_column("demean_return_5"), apart, atol=1e-15)
        np.testing.assert_allclose(rows.get_column("zscore_return_5"), apart / values.std())
        order = values.argsort().argsort() / 2 - 0.5
        assert rows.get_column("rank_return_5").to_list() == order.tolist()


def test_a_symbol_without_a_value_counts_for_nothing_with_the_others(
    asking: Callable[..., Strategy],
) -> None:
    spec = custom("place", parameters={"at": 0.0})
    kinds = [{kind: {"of": spec}} for kind in ("rank", "demean", "zscore")]
    sees = across("apart", inputs={"up": spec})
    strategy = asking(*kinds, sees)
    bars = walk("ABC", 60)
    days = bars.get_column("session").unique().sort()
    # Infinite for B on one day: its range is zero, its close is not that of the day before.
    hole = (pl.col("symbol") == "B") & (pl.col("session") == days[30])
    broken = bars.with_columns(
        pl.when(hole).then("close").otherwise(name).alias(name) for name in ("high", "low")
    )
    late = broken.filter((pl.col("symbol") != "C") | (pl.col("session") >= days[20]))
    table = FeatureTable(strategy).of(late)
    names = list(strategy.feature_names)
    assert table.filter(symbol="B", session=days[30]).select(names).row(0) == (None,) * 4
    alone = FeatureTable(strategy).of(late.filter(~hole))
    at = pl.col("session") == days[30]
    assert table.filter(at, pl.col("symbol") != "B").equals(alone.filter(at))
    # The newcomer's first day has no value of its own, and changes no other's.
    at = pl.col("session") == days[20]
    without = FeatureTable(strategy).of(late.filter(pl.col("symbol") != "C"))
    assert table.filter(at, pl.col("symbol") != "C").equals(without.filter(at))
    assert table.filter(at, symbol="C").select(names).row(0) == (None,) * 4


def test_equal_values_and_a_lone_symbol_stand_out_by_nothing(
    asking: Callable[..., Strategy],
) -> None:
    kinds = [{kind: {"of": UP}} for kind in ("rank", "demean", "zscore")]
    one = walk("A", 60)
    bars = pl.concat([one, one.with_columns(symbol=pl.lit("B")), walk("C", 20)])
    table = FeatureTable(asking(*kinds)).of(bars).filter(pl.col("session") > dt.date(2019, 2, 1))
    assert table.height > 60
    for name in ("rank_return_5", "demean_return_5", "zscore_return_5"):
        assert typed(table.get_column(name).abs().max(), float) < 1e-15, name
    assert set(table.get_column("zscore_return_5")) == {0.0}


def test_a_share_is_of_all_symbols_and_passes_the_leak_check(
    bars: pl.DataFrame, asking: Callable[..., Strategy]
) -> None:
    strategy = asking(across("share"), symbols="ABC")
    real = strategy.model_copy(
        update={
            "universe": strategy.universe.model_copy(
                update={"symbols": ("AAPL", "GOOG", "IBM", "MSFT")}
            )
        }
    )
    features = compute_features(bars, real)
    total = features.group_by("session").agg(pl.col("y").sum(), pl.len())
    assert total.get_column("y").to_numpy() == pytest.approx(1.0)
    assert set(total.get_column("len")) == {3, 4}  # GOOG was listed later
    day = bars.filter(session=dt.date(2005, 2, 28)).with_columns(
        dollars=pl.col("close") * pl.col("volume")
    )
    expected = (
        day.filter(symbol="AAPL").item(0, "dollars")
        / day.filter(pl.col("symbol").is_in(["AAPL", "GOOG", "IBM", "MSFT"]))
        .get_column("dollars")
        .sum()
    )
    found = features.filter(symbol="AAPL", session=dt.date(2005, 2, 28)).item(0, "y")
    assert found == pytest.approx(expected)
    refuse_lookahead(bars, real, seed=7)


def test_what_was_traded_is_free_of_later_splits_and_dividends(
    bars: pl.DataFrame, asking: Callable[..., Strategy]
) -> None:
    strategy = asking(
        across("share", parameters={"column": "raw_close"}), {"zscore": {"of": custom("ratio")}}
    )
    universe = strategy.universe.model_copy(update={"symbols": ("AAPL", "IBM", "MSFT")})
    real = strategy.model_copy(update={"universe": universe})
    scaled = bars.with_columns(pl.col("adjustment_factor") * 8, pl.col("split_factor") * 4)
    assert (
        FeatureTable(real)
        .of(bars.filter(pl.col("symbol").is_in(universe.symbols)))
        .get_column("y")
        .equals(
            FeatureTable(real)
            .of(scaled.filter(pl.col("symbol").is_in(universe.symbols)))
            .get_column("y")
        )
    )


def test_an_own_comparison_of_inputs_is_the_built_in_one(
    asking: Callable[..., Strategy],
) -> None:
    strategy = asking({"demean": {"of": UP}}, across("apart", inputs={"up": UP}))
    features = compute_features(walk("ABC", 80), strategy)
    assert features.height == 3 * 75
    assert features.get_column("y").to_list() == features.get_column("demean_return_5").to_list()
    assert find_features(walk("ABC", 80), strategy).undefined.values.is_empty()


def test_a_strategy_of_comparisons_is_trained_and_its_code_is_hashed(
    asking: Callable[..., Strategy],
) -> None:
    another = {"name": "z", "function": "mine:share"}
    strategy = asking(
        across("apart", inputs={"up": UP}), {"zscore": {"of": custom("ratio")}}, {"across": another}
    )
    result = train(walk("ABC", 260), strategy)
    assert np.isfinite(result.metrics["sharpe"])
    assert feature_code_hash(strategy) == feature_code_hash(asking(across("share")))
    assert Strategy.recorded(strategy.model_dump_json()) == strategy


@pytest.mark.parametrize("name", ["lone", "lone_but_it_varies"])
def test_a_custom_feature_with_a_window_over_sessions_is_refused(
    asking: Callable[..., Strategy], name: str
) -> None:
    with pytest.raises(StrategyError, match=rf"custom\.function: mine:{name}: .*across"):
        prepare(walk("ABC", 260), asking(custom(name)))
    # A rank of it is no better.
    with pytest.raises(StrategyError, match=rf"rank\.of\.custom\.function: mine:{name}: .*across"):
        prepare(walk("ABC", 260), asking({"rank": {"of": custom(name)}}))
    prepare(walk("ABC", 260), asking(custom("this_year")))  # groups by year say something


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (custom("alone"), r"x is 0\.333\d* in all 780 rows.*one symbol"),
        (custom("nothing"), "x has no value in any of 780 rows"),
        ({"rank": {"of": custom("weekday")}}, r"rank_x is 0\.0 in all 780 rows.*differ"),
        ({"zscore": {"of": custom("weekday")}}, r"zscore_x is 0\.0 in all"),
        ({"demean": {"of": custom("weekday")}}, r"demean_x is 0\.0 in all"),
        (
            across("share", inputs={"up": custom("nothing")}, parameters={"column": "up"}),
            "y has no",
        ),
    ],
)
@pytest.mark.parametrize("missing", ["refuse", "drop_row", "hold"])
def test_a_feature_that_says_nothing_is_refused_by_name(
    asking: Callable[..., Strategy], spec: dict[str, Any], reason: str, missing: str
) -> None:
    strategy = asking(UP, spec).model_copy(update={"missing": missing})
    with pytest.raises(StrategyError, match=rf"features\.1: {reason}"):
        prepare(walk("ABC", 260), strategy)
    prepare(walk("ABC", 260), asking(UP, custom("weekday")))  # that alone varies


def test_bars_shorter_than_a_window_are_too_few(asking: Callable[..., Strategy]) -> None:
    spec = {"rank": {"of": {"momentum": {"window": 252, "skip": 21}}}}
    with pytest.raises(SplitError, match=r"rank_momentum_252_21 .* 252 bars .* longest has 200"):
        prepare(walk("ABC", 200), asking(UP, spec))


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ([across("share", inputs={"close": UP})], "close: a column of the bars"),
        ([across("share", inputs={"UP": UP})], "pattern"),
        ([across("share", inputs={"up": {"rank": {"of": UP}}})], "rank"),
        ([{"zscore": {"of": {"zscore": {"of": UP}}}}], "zscore"),
        ([across("share"), custom("ratio") | {}, {"demean": {"of": {"custom": {
            "name": "y", "function": "mine:ratio"}}}}], "different features of the same name: y"),
        ([{"rank": {"of": custom("ratio")}}, {"demean": {"of": {"custom": {
            "name": "rank_x", "function": "mine:ratio"}}}}], "same name: rank_x"),
        ([across("share"), across("apart")], "listed more than once: y"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused(
    asking: Callable[..., Strategy], features: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        asking(*features)


@pytest.mark.parametrize(
    "spec", [{"demean": {"of": UP}}, {"zscore": {"of": UP}}, {"rank": {"of": UP}}, across("share")]
)
def test_one_symbol_has_nobody_to_be_compared_with(
    asking: Callable[..., Strategy], spec: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="compares symbols, and needs two symbols or more"):
        asking(spec, symbols="A")


def test_an_error_in_an_own_comparison_names_it(asking: Callable[..., Strategy]) -> None:
    unknown = across("share", parameters={"column": "amount"})
    with pytest.raises(StrategyError, match=r"features\.0\.across\.function: mine:share: .*amount"):
        compute_features(walk("ABC", 60), asking(unknown))
    nested = across("share", inputs={"up": custom("place", parameters={"at": "a"})})
    with pytest.raises(StrategyError, match=r"features\.0\.across\.inputs\.up\.custom\.function"):
        compute_features(walk("ABC", 60), asking(nested))

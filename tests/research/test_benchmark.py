"""What the benchmarks of a strategy earned, by hand."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.errors import StrategyError
from tradewind.research.backtest.benchmark import (
    benchmark_bars,
    benchmark_name,
    benchmark_returns,
    mix_returns,
)
from tradewind.research.backtest.positions import target_weights
from tradewind.research.backtest.run import run_backtest
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.statistics.alpha import alpha_probability
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train
from tradewind.research.trials.ledger import MemoryLedger, counted_in

FIRST = date(2024, 1, 1)
Prices = Mapping[str, Sequence[tuple[float, float] | None]]


def made(prices: Prices, *, factor: float = 1.0) -> pl.DataFrame:
    """Bars of (open, close) a symbol, None where there is none."""
    rows = [
        (symbol, FIRST + timedelta(days=day), *pair, factor)
        for symbol, pairs in prices.items()
        for day, pair in enumerate(pairs)
        if pair is not None
    ]
    return pl.DataFrame(
        rows, schema=["symbol", "session", "open", "close", "adjustment_factor"], orient="row"
    ).with_columns(split_factor=pl.lit(1.0))


def of(strategy: Strategy, prices: Prices, **changes: Any) -> np.ndarray:
    fields = strategy.model_dump()
    fields["universe"]["symbols"] = [name for name in prices if name != "SPY"]
    fields["features"] = [{"return": {"window": 1}}]
    fields["backtest"] |= changes.pop("backtest", {})
    changed = Strategy.model_validate({**fields, **changes})
    bars = made(prices)
    length = max(map(len, prices.values()))
    sessions = pl.Series([FIRST + timedelta(days=day) for day in range(length)])
    return benchmark_returns(benchmark_bars(bars, changed), changed, sessions)


def test_equal_shares_are_bought_at_the_second_open_and_made_equal_at_each(
    strategy: Strategy,
) -> None:
    a = [(1.0, 1.0), (1.0, 1.2), (1.2, 1.2), (1.2, 1.2)]
    b = [(1.0, 1.0), (1.0, 0.9), (0.9, 1.8), (2.7, 2.7)]
    found = of(strategy, {"A": a, "B": b})
    # Up a half of 20 %, down a half of 10 %; then again half and half; then B's gap at night, of
    # which 2/3 is held, for B doubled in the session before.
    assert found == pytest.approx([0.0, 0.05, 0.5, 2 / 3 * 0.5])


def test_a_symbol_that_starts_late_is_held_from_the_open_after_its_first_bar(
    strategy: Strategy,
) -> None:
    flat: list[tuple[float, float] | None] = [(1.0, 1.0)] * 4
    late = [None, (5.0, 9.0), (9.0, 18.0), (18.0, 18.0)]
    assert of(strategy, {"A": flat, "B": late}) == pytest.approx([0.0, 0.0, 0.5, 0.0])


@pytest.mark.parametrize(("lost", "expected"), [(0.0, 0.0), (-1.0, -0.5), (-0.3, -0.15)])
def test_a_symbol_that_ends_is_sold_as_the_file_says(
    strategy: Strategy, lost: float, expected: float
) -> None:
    flat: list[tuple[float, float] | None] = [(1.0, 1.0)] * 5
    ends = [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), None, None]
    rules = {"delisting_return": lost}
    found = of(strategy, {"A": flat, "B": ends}, backtest=rules)
    assert found == pytest.approx([0.0, 0.0, 0.0, expected, 0.0])
    alone = of(strategy, {"B": ends[:3], "A": [None, None, *flat[:3]]}, backtest=rules)
    assert alone == pytest.approx([0.0, 0.0, 0.0, lost or 0.0, 0.0])


def test_the_last_close_stands_where_a_bar_is_missing(strategy: Strategy) -> None:
    flat: list[tuple[float, float] | None] = [(1.0, 1.0)] * 5
    holed = [(1.0, 1.0), (1.0, 1.0), None, None, (2.0, 2.0)]
    assert of(strategy, {"A": flat, "B": holed}) == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.5])


def test_factors_of_splits_are_no_returns(strategy: Strategy) -> None:
    bars = made({"A": [(4.0, 4.0), (4.0, 4.0), (1.0, 1.0), (1.0, 1.1)]}).with_columns(
        adjustment_factor=pl.Series([0.25, 0.25, 1.0, 1.0])
    )
    one = Strategy.model_validate(
        {
            **strategy.model_dump(),
            "universe": {"source": "sample", "symbols": ["A"]},
            "features": [{"return": {"window": 1}}],
        }
    )
    found = benchmark_returns(bars, one, bars.get_column("session"))
    assert found == pytest.approx([0.0, 0.0, 0.0, 0.1])


def test_cash_earns_nothing_and_a_symbol_what_it_earned(strategy: Strategy) -> None:
    prices: Prices = {
        "A": [(1.0, 1.0)] * 3,
        "B": [(1.0, 1.0)] * 3,
        "SPY": [(1.0, 2.0), (2.0, 3.0), (3.0, 3.3)],
    }
    assert of(strategy, prices, benchmark="cash").tolist() == [0.0, 0.0, 0.0]
    found = of(strategy, prices, benchmark={"symbol": "SPY"})
    assert found == pytest.approx([0.0, 0.5, 0.1])
    assert of(strategy, prices) == pytest.approx([0.0, 0.0, 0.0])  # equal weight of A and B


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_symbol_that_is_not_quoted_throughout_is_no_benchmark(
    strategy: Strategy, missing: int
) -> None:
    spy: list[tuple[float, float] | None] = [(1.0, 1.0)] * 3
    spy[missing] = None
    day = FIRST + timedelta(days=missing)
    with pytest.raises(StrategyError, match=f"benchmark: SPY has no bar on {day}") as refused:
        of(strategy, {"A": [(1.0, 1.0)] * 3, "SPY": spy}, benchmark={"symbol": "SPY"})
    assert "1 of the 3 sessions" in str(refused.value)


def test_who_likes_everything_earns_the_benchmark_to_the_last_session(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    sessions = bars.get_column("session").unique().sort().slice(1000, 1200)
    symbols = ("AAPL", "IBM", "MSFT")  # GOOG would begin among them
    used = bars.filter(pl.col("symbol").is_in(symbols))
    liked = used.filter(pl.col("session").is_in(sessions.implode())).select(
        "symbol", "session", prediction=pl.lit(1.0)
    )
    rules = strategy.backtest.model_copy(update={"commission_bps": 0.0, "slippage_bps": 0.0,
                                                 "max_weight": 1.0})  # fmt: skip
    net = run_backtest(target_weights(liked, rules, horizon=1), used, rules)
    held = strategy.model_copy(
        update={"universe": strategy.universe.model_copy(update={"symbols": symbols})}
    )
    found = benchmark_returns(used, held, sessions)
    assert found == pytest.approx(net.get_column("net_return").to_numpy(), abs=1e-15)


def test_a_symbol_outside_of_the_universe_may_be_the_benchmark(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    fields = strategy.model_dump()
    fields["universe"]["symbols"] = ["AAPL", "IBM"]
    against = Strategy.model_validate({**fields, "benchmark": {"symbol": "MSFT"}})
    assert against.bar_symbols == ("AAPL", "IBM", "MSFT")
    assert benchmark_name(against) == "MSFT"
    quick = against.with_parameters({"rounds": 5})
    dataset = prepare(bars, quick)
    assert set(dataset.bars["symbol"]) == {"AAPL", "IBM"}
    assert set(dataset.benchmark["symbol"]) == {"MSFT"}
    result = train(bars, quick, trials=counted_in(MemoryLedger(), snapshot_id="a"))
    msft = bars.filter(pl.col("symbol") == "MSFT").select(
        "session",
        (pl.col("close") * pl.col("adjustment_factor")).pct_change().alias("expected"),
    )
    both = result.equity.join(msft, on="session").slice(2)
    assert both["benchmark_return"].to_numpy() == pytest.approx(both["expected"].to_numpy())
    assert 0.0 < result.metrics["beta"] < 1.0


def test_a_benchmark_without_bars_is_refused_by_name(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    against = Strategy.model_validate({**strategy.model_dump(), "benchmark": {"symbol": "SPY"}})
    quick = against.with_parameters({"rounds": 5})
    with pytest.raises(StrategyError, match="benchmark: SPY has no bar on"):
        train(bars, quick)


def test_a_hole_of_the_benchmark_is_told_before_anything_is_fitted(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    fields = strategy.model_dump()
    fields["universe"]["symbols"] = ["AAPL", "IBM"]
    against = Strategy.model_validate({**fields, "benchmark": {"symbol": "MSFT"}})
    whole = prepare(bars, against)
    first = whole.rows.item(whole.windows[0].test_start, "session")
    last = whole.rows.item(whole.windows[-1].test_stop - 1, "session")

    def without(day: date) -> pl.DataFrame:
        return bars.filter((pl.col("symbol") != "MSFT") | (pl.col("session") != day))

    for day in (first, last):
        with pytest.raises(StrategyError, match=f"benchmark: MSFT has no bar on {day}"):
            prepare(without(day), against)
    before = bars.filter(pl.col("session") < first)["session"].max()
    assert isinstance(before, date)
    assert prepare(without(before), against).windows == whole.windows


def test_the_mix_is_the_mean_position_held_when_it_could_be(strategy: Strategy) -> None:
    a = [(1.0, 1.0), (1.0, 1.1), (1.1, 1.1), (1.1, 1.1)]
    b = [None, (4.0, 4.0), (4.0, 5.0), (5.0, 5.0)]
    used = made({"A": a, "B": b})
    weights = pl.DataFrame(
        {
            "symbol": ["A", "B"] * 4,
            "session": [FIRST + timedelta(days=day) for day in range(4) for _ in "AB"],
            "weight": [1.0, 0.0, 0.5, -0.6, 0.5, 0.0, 0.0, 0.0],
        }
    ).sort("session", "symbol")
    known = weights.filter((pl.col("symbol") == "A") | (pl.col("session") > FIRST))
    fields = {**strategy.model_dump(), "features": [{"return": {"window": 1}}]}
    fields["universe"]["symbols"] = ["A", "B"]
    found = mix_returns(used, weights, known, Strategy.model_validate(fields))
    # A: a half on average of four sessions; B: a fifth short, of the three that it had.
    assert found == pytest.approx([0.0, 0.05, -0.2 * 0.25, 0.0])


@pytest.mark.parametrize("positions", ["long_flat", "long_short", "sign", "proportional"])
def test_who_never_changes_its_mind_adds_nothing_to_its_mix(
    bars: pl.DataFrame, strategy: Strategy, positions: Any
) -> None:
    sessions = bars.get_column("session").unique().sort().slice(1000, 800)
    liked = {"AAPL": 2.0, "IBM": 0.5, "MSFT": -1.0}
    used = bars.filter(pl.col("symbol").is_in(list(liked)))
    predictions = used.filter(pl.col("session").is_in(sessions.implode())).select(
        "symbol", "session", prediction=pl.col("symbol").replace_strict(liked)
    )
    rules = strategy.backtest.model_copy(
        update={"positions": positions, "commission_bps": 0.0, "slippage_bps": 0.0}
    )
    weights = target_weights(predictions, rules, horizon=1)
    net = run_backtest(weights, used, rules).get_column("net_return").to_numpy()
    mix = mix_returns(used, weights, predictions, strategy)
    assert mix == pytest.approx(net, abs=1e-14)
    assert alpha_probability(net, mix) == 0.0

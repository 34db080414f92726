import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.errors import StrategyError
from tradewind.market.bars import PRICES, adjusted
from tradewind.research.features.compute import CODE_VERSION, compute_features
from tradewind.research.strategy.strategy import Strategy

CUTS = [dt.date(2002, 1, 2), dt.date(2005, 2, 28), dt.date(2008, 9, 29), dt.date(2013, 2, 28)]


def closes(bars: pl.DataFrame, symbol: str, end: dt.date) -> np.ndarray:
    """Adjusted closes of a symbol up to a session, the latest last."""
    selected = adjusted(bars).filter(pl.col("symbol") == symbol, pl.col("session") <= end)
    return selected.get_column("close").to_numpy()


def value(features: pl.DataFrame, symbol: str, session: dt.date, name: str) -> float:
    row = features.filter(pl.col("symbol") == symbol, pl.col("session") == session)
    return row.get_column(name).item()


def test_features_match_a_hand_count(bars: pl.DataFrame, strategy: Strategy) -> None:
    features = compute_features(bars, strategy)
    session = dt.date(2005, 2, 28)  # AAPL splits 2:1
    prices = closes(bars, "AAPL", session)
    returns = prices[1:] / prices[:-1] - 1
    moves = np.diff(prices[-15:])
    expected = {
        "return_1": 44.86 * 2 / 88.99 - 1,
        "return_5": prices[-1] / prices[-6] - 1,
        "return_21": prices[-1] / prices[-22] - 1,
        "momentum_252_21": prices[-22] / prices[-253] - 1,
        "volatility_21": returns[-21:].std(ddof=1),
        "rsi_14": moves[moves > 0].sum() / np.abs(moves).sum(),
        "ma_distance_50": prices[-1] / prices[-50:].mean() - 1,
        "ma_distance_200": prices[-1] / prices[-200:].mean() - 1,
        "rank_momentum_252_21": 0.5,  # the best of AAPL, IBM and MSFT; GOOG is too young
    }
    for name, figure in expected.items():
        assert value(features, "AAPL", session, name) == pytest.approx(figure, rel=1e-9), name
    volumes = adjusted(bars).filter(pl.col("symbol") == "AAPL", pl.col("session") <= session)
    volume = volumes.get_column("volume").to_numpy()
    assert value(features, "AAPL", session, "volume_ratio_21") == pytest.approx(
        volume[-1] / volume[-21:].mean() - 1
    )


OF_A_VERSION = {
    1: {
        "return_5": -0.00040483781184330603,
        "momentum_252_21": 0.2181976091899147,
        "volatility_21": 0.005580151195285092,
        "rsi_14": 0.7282157676349984,
        "ma_distance_50": 0.0478479502411262,
        "ma_ratio_10_50": 0.03911632605189741,
        "volume_ratio_20": -0.07861400026397036,
        "rank_return_21": -0.5,
        "demean_return_21": -0.07809473359482677,
        "zscore_return_21": -1.1691118379711298,
    }
}


def test_another_number_is_of_another_version_of_the_code(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    """Where this fails since a feature is computed otherwise, count `CODE_VERSION` up."""
    features = [
        {"return": {"window": 5}},
        {"momentum": {"window": 252, "skip": 21}},
        {"volatility": {"window": 21}},
        {"rsi": {"window": 14}},
        {"ma_distance": {"window": 50}},
        {"ma_ratio": {"fast": 10, "slow": 50}},
        {"volume_ratio": {"window": 20}},
        *({kind: {"of": {"return": {"window": 21}}}} for kind in ("rank", "demean", "zscore")),
    ]
    said = {**strategy.model_dump(), "features": features}
    said["universe"]["symbols"] = ["AAPL", "IBM", "MSFT"]
    asked = Strategy.model_validate(said)
    computed = compute_features(bars, asked)
    assert set(asked.feature_names) == set(OF_A_VERSION[CODE_VERSION])
    for name, figure in OF_A_VERSION[CODE_VERSION].items():
        assert value(computed, "IBM", dt.date(2012, 3, 1), name) == pytest.approx(figure, rel=1e-9)


def test_warm_up_is_left_out(bars: pl.DataFrame, strategy: Strategy) -> None:
    features = compute_features(bars, strategy)
    first = features.group_by("symbol", maintain_order=True).first().select("symbol", "session")
    # 252 sessions after 2000-03-01, and after 2004-08-19 for GOOG
    assert first.rows() == [
        ("AAPL", dt.date(2001, 3, 1)),
        ("GOOG", dt.date(2005, 8, 18)),
        ("IBM", dt.date(2001, 3, 1)),
        ("MSFT", dt.date(2001, 3, 1)),
    ]
    assert features.columns == ["symbol", "session", *strategy.feature_names]
    assert features.drop_nulls().drop_nans().height == features.height


def test_ranks_are_spread_evenly_over_those_there_are(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    features = compute_features(bars, strategy)
    for session, ranks in [
        (dt.date(2003, 6, 2), [-0.5, 0.0, 0.5]),
        (dt.date(2010, 6, 1), [-0.5, -1 / 6, 1 / 6, 0.5]),
    ]:
        found = features.filter(pl.col("session") == session).get_column("rank_momentum_252_21")
        assert sorted(found) == pytest.approx(ranks)


def test_a_price_that_never_moves_has_a_neutral_rsi(bars: pl.DataFrame, strategy: Strategy) -> None:
    flat = bars.with_columns(pl.lit(10.0).alias(name) for name in (*PRICES, "adjustment_factor"))
    features = compute_features(flat, strategy)
    assert features.height > 0
    assert set(features.get_column("rsi_14")) == {0.5}


@pytest.mark.parametrize("cut", CUTS)
def test_what_comes_later_changes_no_feature(
    bars: pl.DataFrame, strategy: Strategy, cut: dt.date
) -> None:
    whole = compute_features(bars, strategy).filter(pl.col("session") <= cut)
    known = bars.filter(pl.col("session") <= cut)
    selection = strategy.universe.model_copy(
        update={"symbols": tuple(s for s in strategy.universe.symbols if s in set(known["symbol"]))}
    )
    assert whole.height > 0
    cut_off = compute_features(known, strategy.model_copy(update={"universe": selection}))
    assert whole.equals(cut_off)


def test_features_do_not_depend_on_what_adjustment_calls_one(
    bars: pl.DataFrame, strategy: Strategy
) -> None:
    scaled = bars.with_columns(pl.col("adjustment_factor") * 4, pl.col("split_factor") * 4)
    # four is a power of two: ratios stay equal to the last bit
    assert compute_features(scaled, strategy).equals(compute_features(bars, strategy))


def test_the_order_of_bars_does_not_matter(bars: pl.DataFrame, strategy: Strategy) -> None:
    shuffled = bars.sample(fraction=1.0, shuffle=True, seed=1)
    assert compute_features(shuffled, strategy).equals(compute_features(bars, strategy))


def test_a_symbol_without_bars_is_named(bars: pl.DataFrame, strategy: Strategy) -> None:
    with pytest.raises(StrategyError, match=r"universe\.symbols: no bars of GOOG, MSFT"):
        compute_features(bars.filter(pl.col("symbol").is_in(["AAPL", "IBM"])), strategy)


def test_start_and_end_cut_the_bars(bars: pl.DataFrame, strategy: Strategy) -> None:
    span = {"start": dt.date(2005, 1, 3), "end": dt.date(2008, 12, 31)}
    universe = strategy.universe.model_copy(update=span)
    features = compute_features(bars, strategy.model_copy(update={"universe": universe}))
    sessions = features.get_column("session")
    assert (sessions.min(), sessions.max()) == (dt.date(2006, 1, 3), dt.date(2008, 12, 31))

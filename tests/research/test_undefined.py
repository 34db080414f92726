"""Features that are undefined after their warm-up: counted, refused, left out or held."""

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from tests.research.holes import PLACE, punched, walk
from tradewind.errors import StrategyError
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.predict import predict_defined, wanted_weights
from tradewind.research.features.compute import FeatureTable, compute_features, find_features
from tradewind.research.monitoring.monitor import WatchReport, inspect
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.tearsheet.report import report_of
from tradewind.research.training import train

Own = Callable[..., Strategy]


@pytest.fixture
def small(own: Own) -> Callable[..., Strategy]:
    """A strategy on random walks: one own feature, one built-in one, a linear model."""

    def make(symbols: str = "A", missing: str | None = "refuse", **changes: Any) -> Strategy:
        fields = own(PLACE).model_dump()
        return Strategy.model_validate(
            {
                **fields,
                "universe": {"source": "made", "symbols": tuple(symbols)},
                "horizon": 1,
                "features": [*fields["features"], {"return": {"window": 5}}],
                "model": {"kind": "ridge", "alpha": 10.0},
                "walk_forward": {"train": 60, "test": 30},
                "backtest": {"positions": "sign", "commission_bps": 1.0, "slippage_bps": 1.0},
                **({} if missing is None else {"missing": missing}),
                **changes,
            }
        )

    return make


def days(bars: pl.DataFrame, *at: int) -> list[dt.date]:
    sessions = bars.get_column("session").unique().sort()
    return [sessions[place] for place in at]


@pytest.mark.parametrize(
    ("spec", "warm_up"),
    [
        ({"return": {"window": 5}}, 5),
        ({"momentum": {"window": 20, "skip": 3}}, 20),
        ({"volatility": {"window": 10}}, 10),
        ({"rsi": {"window": 14}}, 14),
        ({"ma_distance": {"window": 7}}, 6),
        ({"ma_ratio": {"fast": 3, "slow": 9}}, 8),
        ({"volume_ratio": {"window": 4}}, 3),
        ({"rank": {"of": {"rsi": {"window": 14}}}}, 14),
    ],
)
def test_the_warm_up_is_what_the_computation_leaves_undefined(
    small: Callable[..., Strategy], spec: dict[str, Any], warm_up: int
) -> None:
    strategy = small("AB", features=[spec])
    [feature] = strategy.inputs
    table = FeatureTable(strategy).of(walk("AB", 60))
    undefined = table.group_by("symbol").agg(pl.col(feature.column).is_null().sum())
    assert set(undefined.get_column(feature.column)) == {feature.warm_up} == {warm_up}
    assert find_features(walk("AB", 60), strategy).undefined.values.is_empty()


def test_what_is_undefined_is_counted_by_feature_and_symbol(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("AB", 100)
    holes = days(bars, 0, 1, 40, 41, 99)  # two of them are how the feature begins
    found = find_features(punched(bars, "B", holes), small("AB", "drop_row"))
    assert found.undefined.table.to_dicts() == [
        {
            "symbol": "B", "feature": "x", "sessions": 3, "share": 3 / 98,
            "first": holes[2], "last": holes[-1],
        }
    ]  # fmt: skip
    assert found.undefined.rows.rows() == [("B", day) for day in holes[2:]]
    assert found.undefined.values.get_column("feature").to_list() == ["x"] * 3
    assert found.rows.equals(compute_features(punched(bars, "B", holes), small("AB", "drop_row")))
    assert found.rows.height == 2 * 95 - 3


def test_rows_with_a_hole_are_seen_once_all_features_have_warmed_up(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("AB", 100)
    holes = days(bars, 0, 2, 40)  # the third session is in the warm-up of the return
    found = find_features(punched(bars, "B", holes), small("AB", "drop_row"))
    assert found.undefined.rows.rows() == [("B", day) for day in holes[1:]]
    assert found.seen.height == found.rows.height + 1 == 2 * 95
    assert found.seen.drop_nulls().equals(found.rows)
    assert found.seen.filter(session=holes[2], symbol="B").item(0, "x") is None


def test_a_built_in_feature_has_no_value_where_nothing_was_traded(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("A", 200)
    quiet = days(bars, *range(50, 60))
    still = bars.with_columns(
        volume=pl.when(pl.col("session").is_in(quiet)).then(0).otherwise("volume")
    )
    strategy = small("A", features=[{"volume_ratio": {"window": 5}}])
    with pytest.raises(StrategyError, match=r"volume_ratio_5 of A in 6 sessions \(2019-03-18, "):
        prepare(still, strategy)


def test_the_first_sessions_are_a_hole_where_the_warm_up_is_known(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("A", 200)
    quiet = days(bars, *range(8))
    still = bars.with_columns(
        volume=pl.when(pl.col("session").is_in(quiet)).then(0).otherwise("volume")
    )
    found = find_features(still, small("A", features=[{"volume_ratio": {"window": 5}}]))
    assert found.undefined.rows.get_column("session").to_list() == quiet[4:]


def test_a_symbol_that_never_has_a_value_is_in_its_warm_up_as_long_as_the_others(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("AB", 100)
    whole = days(bars, *range(100))
    broken = punched(punched(bars, "A", whole[:10]), "B", whole)
    found = find_features(broken, small("AB"))
    assert found.undefined.rows.rows() == [("B", day) for day in whole[10:]]
    late = broken.filter((pl.col("symbol") == "A") | (pl.col("session") >= whole[-10]))
    assert find_features(late, small("AB")).undefined.values.is_empty()


def test_what_is_undefined_is_told_in_words(small: Callable[..., Strategy]) -> None:
    bars = walk("AB", 100)
    found = find_features(punched(bars, "B", days(bars, 40, 41)), small("AB")).undefined
    assert found.sentences() == [
        "feature x of B is undefined in 2 sessions after its warm-up (2.0%), from 2019-02-26 to "
        "2019-02-27"
    ]
    later = found.where(pl.col("session") > dt.date(2019, 2, 26))
    assert later.table.select("sessions", "first").rows() == [(1, dt.date(2019, 2, 27))]


def test_by_default_a_hole_stops_and_the_error_says_what_to_write(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("AB", 200)
    holes = days(bars, 70, 71, 90, 150)
    strategy = small("AB", None)
    assert strategy.missing == "refuse"
    message = (
        r"feature x of B in 4 sessions \(2019-04-09, 2019-04-10, 2019-05-07, \.\.\.\).*"
        "missing: drop_row.*missing: hold"
    )
    with pytest.raises(StrategyError, match=message):
        prepare(punched(bars, "B", holes), strategy)
    assert prepare(bars, strategy).undefined.values.is_empty()


def test_sessions_without_any_row_are_cash(small: Callable[..., Strategy]) -> None:
    bars = walk("A", 260)
    holes = days(bars, 100, 101, 133, 200)
    result = train(punched(bars, "A", holes), small("A", "drop_row"))
    sessions = result.equity.get_column("session")
    assert sessions.to_list() == [
        day for day in days(bars, *range(260)) if day >= sessions[0] and day <= sessions[-1]
    ]
    assert set(holes) <= set(sessions)
    assert set(holes).isdisjoint(result.predictions.get_column("session"))
    # Decided after a session without a row: cash from the next open on, and into it again later.
    shut = result.equity.filter(pl.col("session") == days(bars, 102)[0])
    assert shut.select("gross_return", "turnover").row(0) == (0.0, 0.0)
    assert result.equity.filter(session=days(bars, 103)[0]).item(0, "turnover") == 1.0
    shown = report_of(result).days
    assert shown.select("wanted_gross").null_count().item() == 0
    assert shown.filter(session=days(bars, 102)[0]).item(0, "wanted_gross") == 0.0


def test_what_is_held_stays_as_it_was(small: Callable[..., Strategy]) -> None:
    bars = walk("A", 260)
    holes = days(bars, 100, 101, 133, 200)
    result = train(punched(bars, "A", holes), small("A", "hold"))
    weights = wanted_weights(
        result.model, punched(bars, "A", holes), small("A", "hold"), sessions=260
    )
    held = dict(weights.select("session", "weight").iter_rows())
    at = days(bars, *range(260))
    for hole in (100, 101, 133, 200):
        assert held[at[hole]] == held[at[hole - 1]] != 0.0
        traded = result.equity.filter(pl.col("session").is_in(at[hole : hole + 2]))
        assert (traded.get_column("gross_return") != 0.0).all()
        assert (traded.get_column("short") > 0.5).n_unique() == 1
    assert result.predictions.filter(pl.col("session").is_in(holes)).is_empty()


@pytest.mark.parametrize("missing", ["drop_row", "hold"])
def test_combinatorial_histories_and_a_sweep_s_trials_go_round_the_holes(
    small: Callable[..., Strategy], missing: str
) -> None:
    bars = walk("AB", 400)
    holes = days(bars, *range(150, 190))  # more than a whole test window
    broken = punched(punched(bars, "A", holes), "B", holes)
    strategy = small("AB", missing, combinatorial={"folds": 4, "test_folds": 2})
    result = train(broken, strategy)
    assert result.combinatorial is not None
    assert result.combinatorial.height == 3
    assert len(result.folds) >= 3
    assert result.undefined.table.get_column("sessions").to_list() == [40, 40]
    assert result.metrics["undefined_rows"] == 80.0


@pytest.mark.parametrize("missing", ["drop_row", "hold"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_last_weights_are_those_of_the_backtest(
    small: Callable[..., Strategy], missing: str, horizon: int
) -> None:
    bars = walk("ABC", 300)
    holes = days(bars, *range(280, 299))
    broken = punched(punched(bars, "A", holes), "B", days(bars, 285, 286, 287, 299))
    strategy = small("ABC", missing, horizon=horizon)
    model = train(bars, small("ABC", missing, horizon=horizon)).model
    last = wanted_weights(model, broken, strategy, sessions=horizon)
    whole = wanted_weights(model, broken, strategy, sessions=300)
    day = pl.col("session") == days(bars, 299)[0]
    some = pl.col("weight") != 0.0  # a symbol without any signal is left out
    assert last.filter(day, some).equals(whole.filter(day, some))
    held = dict(whole.filter(day).select("symbol", "weight").iter_rows())
    before = dict(
        whole.filter(pl.col("session") == days(bars, 299 - horizon)[0])
        .select("symbol", "weight")
        .iter_rows()
    )
    if missing == "hold" and horizon == 1:
        assert held["B"] == before["B"] != 0.0
    if missing == "drop_row" and horizon == 1:
        assert held["B"] == 0.0


@pytest.mark.parametrize("missing", ["drop_row", "hold"])
def test_a_champion_is_watched_through_holes(small: Callable[..., Strategy], missing: str) -> None:
    bars = walk("AB", 300)
    strategy = small("AB", missing, horizon=3)
    trained = train(bars.filter(pl.col("session") <= days(bars, 259)[0]), strategy)

    def watched(holes: list[dt.date], by: Strategy) -> WatchReport:
        broken = punched(punched(bars, "A", holes), "B", holes)
        return inspect(
            trained.model, broken, by, trained_until=days(bars, 259)[0],
            expected=trained.equity.get_column("net_return").to_numpy(),
        )  # fmt: skip

    some = watched(days(bars, 270, 271, 299), strategy)
    assert some.live_sessions == 40
    assert math.isfinite(some.live_sharpe)
    [drift] = some.drift.filter(feature="x").to_dicts()
    [quiet] = watched([], strategy).drift.filter(feature="x").to_dicts()
    assert drift["psi"] > quiet["psi"]  # three of forty sessions are undefined
    never = watched(days(bars, *range(250, 300)), strategy)
    assert never.live_sessions == 40
    assert never.drift.filter(feature="x").item(0, "psi") > 2.0
    with pytest.raises(StrategyError, match=r"feature x of A in 3 sessions"):
        watched(days(bars, 270, 271, 299), small("AB", "refuse", horizon=3))


def test_what_a_model_predicted_before_is_found_again_with_holes_at_the_end(
    small: Callable[..., Strategy],
) -> None:
    bars = walk("A", 260)
    holes = days(bars, 255, 258, 259)
    broken = punched(bars, "A", holes)
    result = train(broken, small("A", "drop_row"))
    assert result.reference.get_column("session").n_unique() == 20
    assert set(holes).isdisjoint(result.reference.get_column("session"))
    again = predict_defined(result.model, broken, small("A", "drop_row"), sessions=20)
    assert again.equals(result.reference)


def test_a_record_without_the_field_means_what_was_done_then(
    small: Callable[..., Strategy],
) -> None:
    strategy = small("A", None)
    record = strategy.model_dump_json(exclude={"missing"})
    before = Strategy.recorded(record)
    assert before.missing == "drop_row"
    assert before.content_hash() == strategy.content_hash()
    for word in ("refuse", "drop_row", "hold"):
        said = small("A", word)
        assert Strategy.recorded(said.model_dump_json()) == said
        assert (said.content_hash() == strategy.content_hash()) == (word != "hold")


def test_an_unknown_word_is_refused(small: Callable[..., Strategy]) -> None:
    with pytest.raises(ValueError, match="drop_row"):
        small("A", "ignore")

"""What was decided live, held against what is computed for the same session later."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.models import fitted
from tradewind.market.bars import adjusted
from tradewind.research.features.compute import CODE_VERSION
from tradewind.research.monitoring.hindsight import Hindsight, Known, known_of, look_back
from tradewind.research.strategy.strategy import Strategy

Own = Callable[..., Strategy]

CHANGE = "pl.col('close').pct_change()"


class Echo:
    """Predicts its first feature."""

    def predict(self, data: np.ndarray, **_: object) -> np.ndarray:
        return np.asarray(data)[:, 0]


ECHO = fitted(Echo())


def replayed(
    bars: pl.DataFrame, strategy: Strategy, sessions: int, before: Callable[[dt.date], None]
) -> tuple[list[tuple[str, Known]], dict[str, pl.DataFrame]]:
    """Decide in each of the last sessions but one, as a worker does when it is the last."""
    days = bars["session"].unique().sort().to_list()
    stored, snapshots = [], {}
    for day in days[-sessions - 1 : -1]:
        before(day)
        snapshots[str(day)] = bars.filter(pl.col("session") <= day)
        [known] = known_of(ECHO, snapshots[str(day)], strategy, day)
        stored.append((str(day), known))
    before(days[-1])
    return stored, snapshots


def looked_back(
    bars: pl.DataFrame,
    strategy: Strategy,
    before: Callable[[dt.date], None] = lambda _: None,
    *,
    now: pl.DataFrame | None = None,
) -> Hindsight:
    stored, snapshots = replayed(bars, strategy, 5, before)
    return look_back(
        ECHO,
        strategy,
        stored,
        bars=bars if now is None else now,
        read=snapshots.__getitem__,
    )


def test_what_is_honest_is_the_same_later(bars: pl.DataFrame, strategy: Strategy) -> None:
    assert looked_back(bars, strategy) == Hindsight()


def test_stored_sessions_hold_features_and_predictions(bars: pl.DataFrame, own: Own) -> None:
    day = dt.date(2012, 3, 1)
    [known] = known_of(ECHO, bars.filter(pl.col("session") <= day), own(CHANGE), day)
    closes = adjusted(bars).filter(pl.col("symbol") == "IBM", pl.col("session") <= day)["close"]
    assert known.features["IBM"]["x"] == pytest.approx(closes[-1] / closes[-2] - 1.0, abs=1e-15)
    assert known.predictions["IBM"] == known.features["IBM"]["x"]
    begin = bars["session"].min()
    assert isinstance(begin, dt.date)
    [first] = known_of(ECHO, bars.filter(pl.col("session") <= day), own(CHANGE), begin)
    assert first.features["IBM"] == {"x": None}
    assert "IBM" not in first.predictions


@pytest.mark.parametrize(
    "expression",
    [
        "pl.col('close').shift(-1) / pl.col('close') - 1",
        f"{CHANGE} - {CHANGE}.mean()",
        "pl.when(pl.col('session') == pl.date(2013, 2, 26)).then(0.0).when(pl.col('session')"
        f".shift(-1) == pl.date(2013, 2, 28)).then(1.0).otherwise({CHANGE})",
    ],
)
def test_what_looks_ahead_is_found_when_the_later_bars_are_there(
    bars: pl.DataFrame, own: Own, expression: str
) -> None:
    found = looked_back(bars, own(expression))
    assert found.faults
    assert "it looks ahead" in found.faults[0]
    assert found.revisions == ()


def test_a_file_of_tomorrows_returns_is_found(bars: pl.DataFrame, own: Own, tmp_path: Path) -> None:
    path = tmp_path / "tomorrow.json"
    code = f"""
import json
import pathlib


def feature():
    known = json.loads(pathlib.Path({str(path)!r}).read_text())
    key = pl.concat_str('symbol', pl.col('session').cast(pl.String), separator=' ')
    return key.replace_strict(known, default=0.0, return_dtype=pl.Float64)
"""
    closes = adjusted(bars).select(
        "symbol", "session",
        (pl.col("close").shift(-1) / pl.col("close") - 1).over("symbol").alias("next"),
    )  # fmt: skip

    def written(day: dt.date) -> None:
        """Let somebody fill the file with what is known after a session's close."""
        known = closes.filter(pl.col("session") < day).drop_nulls()
        path.write_text(json.dumps({f"{s} {d}": value for s, d, value in known.iter_rows()}))

    found = looked_back(bars, own(code=code), written)
    assert len(found.faults) == 5
    assert "from the very same bars today: it depends on more than bars" in found.faults[0]
    assert "feature x of AAPL on 2013-02-22 was 0.0, and is " in found.faults[0]


def test_code_that_is_another_one_by_now_is_found(bars: pl.DataFrame, own: Own) -> None:
    stored, snapshots = replayed(bars, own(CHANGE), 2, lambda _: None)
    edited = own(f"{CHANGE} * 1.001")
    found = look_back(ECHO, edited, stored, bars=bars, read=snapshots.__getitem__)
    assert len(found.faults) == 2


def test_a_revised_bar_is_no_fault(bars: pl.DataFrame, own: Own) -> None:
    day = dt.date(2013, 2, 26)
    revised = bars.with_columns(
        pl.when(pl.col("symbol").eq("IBM") & pl.col("session").eq(day))
        .then(pl.col("close") * 1.01).otherwise("close").alias("close")
    )  # fmt: skip
    found = looked_back(bars, own(CHANGE), now=revised)
    assert found.faults == ()
    assert [told.split(" was ")[0] for told in found.revisions] == [
        "feature x of IBM on 2013-02-26", "feature x of IBM on 2013-02-27",
    ]  # fmt: skip
    assert found.revisions[0].endswith("since its bars were revised")


def test_later_splits_and_dividends_are_neither(bars: pl.DataFrame, strategy: Strategy) -> None:
    halved = bars.with_columns(pl.col("split_factor") * 0.5, pl.col("adjustment_factor") * 0.49)
    assert looked_back(bars, strategy, now=halved) == Hindsight()


def test_nothing_stored_is_nothing_found(bars: pl.DataFrame, strategy: Strategy) -> None:
    nothing: dict[str, pl.DataFrame] = {}
    assert look_back(ECHO, strategy, [], bars=bars, read=nothing.__getitem__) == Hindsight()


@pytest.mark.parametrize("symbols", [("IBM",), ("AAPL", "IBM", "MSFT")])
def test_what_rounding_leaves_of_nothing_halts_nobody(
    bars: pl.DataFrame, own: Own, symbols: tuple[str, ...]
) -> None:
    # Flat for days: the change is zero, or what another order of the same sums leaves of it.
    flat = bars.filter(pl.col("symbol").is_in(symbols)).with_columns(
        pl.when(pl.col("session") > dt.date(2013, 2, 15)).then(100.0).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    code = (
        "def feature(rest):\n"
        "    known = pl.col('session') < pl.col('session').max()\n"
        f"    return {CHANGE} + pl.when(known).then(rest).otherwise(0.0)\n"
    )

    def made(rest: float) -> Strategy:
        honest = own(code=code, parameters={"rest": rest})
        universe = honest.universe.model_copy(update={"symbols": symbols})
        return honest.model_copy(update={"universe": universe})

    class SplitsAtZero(Echo):
        def predict(self, data: np.ndarray, **_: object) -> np.ndarray:
            return np.where(np.asarray(data)[:, 0] > 1e-35, 1.0, -1.0)

    for rest, faults in ((1.1e-16, 0), (-1e-13, 0), (1e-9, 5)):
        stored, snapshots = replayed(flat, made(rest), 5, lambda _: None)
        found = look_back(
            fitted(SplitsAtZero()), made(rest),
            [(name, known_of(fitted(SplitsAtZero()), snapshots[name], made(rest), known.session)[0])
             for name, known in stored],
            bars=flat, read=snapshots.__getitem__,
        )  # fmt: skip
        assert len(found.faults) == faults


def test_a_symbol_without_a_bar_up_to_a_past_session_stops_no_look_back(
    bars: pl.DataFrame, own: Own
) -> None:
    last = dt.date(2013, 2, 28)
    moved = bars.filter((pl.col("symbol") != "IBM") | (pl.col("session") >= last))
    found = looked_back(bars, own(CHANGE), now=moved)
    assert found.faults == ()
    assert len(found.revisions) == 5
    assert "of IBM on " in found.revisions[0]


def test_what_another_version_of_the_code_computed_is_said_and_not_compared(
    bars: pl.DataFrame, own: Own
) -> None:
    strategy = own(CHANGE)
    stored, snapshots = replayed(bars, strategy, 5, lambda _: None)

    def other(known: Known, version: int | None) -> Known:
        features = {symbol: {"x": 9.0} for symbol in known.features}
        return replace(known, features=features, code_version=version)

    def back(*versions: int | None) -> Hindsight:
        told = [
            (name, other(known, version))
            for (name, known), version in zip(stored, versions, strict=True)
        ]
        return look_back(ECHO, strategy, told, bars=bars, read=snapshots.__getitem__)

    old, older = CODE_VERSION - 1, CODE_VERSION - 2
    found = back(older, old, old, old, old)
    assert (found.faults, found.revisions) == ((), ())
    first, second = found.uncompared
    assert (
        f"2013-02-22 to 2013-02-22 (1 in all) were made of was computed by version {older}" in first
    )
    assert (
        f"2013-02-25 to 2013-02-28 (4 in all) were made of was computed by version {old}" in second
    )
    # Today's code is held to what it said, and so is what was kept before there were versions.
    for version in (CODE_VERSION, None):
        found = back(old, old, old, old, version)
        assert len(found.faults) == 1
        assert "on 2013-02-28 was 9.0" in found.faults[0]
        assert len(found.uncompared) == 1

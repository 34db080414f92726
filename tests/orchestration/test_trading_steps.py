"""Signals and quotes as the tasks make them: on the last session of the bars, and by the clock."""

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowSkipException

from tests.conftest import Training
from tradewind.errors import TradewindError, TradingError
from tradewind.market.sources import sample
from tradewind.market.sources.source import find_source
from tradewind.market.store.bar_store import BarStore
from tradewind.orchestration.steps import execution, live
from tradewind.research.strategy.strategy import Strategy
from tradewind.trading.migrate import migrate
from tradewind.trading.signals import SignalBook

REPOSITORY = Path(__file__).parents[2]
LAST, BEFORE = date(2013, 3, 1), date(2013, 2, 28)
THEN = datetime(2013, 3, 1, 23, tzinfo=UTC)  # the evening of the last session of the bars
TODAY = datetime(2026, 11, 29, 12, tzinfo=UTC)
SYMBOLS = ("AAPL", "IBM", "MSFT")


@dataclass
class Market:
    """A store of its own, a book of its own, and a champion."""

    url: str
    home: Path
    store: BarStore
    champion: SimpleNamespace

    def store_bars(self, bars: pl.DataFrame) -> None:
        self.store.append("sample", bars, known_at=TODAY, calendar="XNYS", backdate=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sa.create_engine(self.url, poolclass=sa.NullPool).connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]


@pytest.fixture
def market(
    postgres_url: str, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Market:
    with sa.create_engine(postgres_url, poolclass=sa.NullPool).begin() as connection:
        for schema in ("trading", "paper"):
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
        connection.execute(sa.text("DROP TABLE IF EXISTS signals, signal_inputs"))
    migrate(postgres_url)
    for folder in ("sources", "strategies"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("TRADEWIND_MARKET_STORE", str(tmp_path / "market"))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", postgres_url)
    champion = SimpleNamespace(
        model=training.result.model,
        strategy=training.strategy,
        info=SimpleNamespace(name=training.strategy.name, version=1),
    )
    for steps in (live, execution):
        monkeypatch.setattr(steps, "champion_of", lambda _: champion)
    return Market(postgres_url, tmp_path, BarStore(tmp_path / "market"), champion)


def as_file(training: Training, **changes: Any) -> Strategy:
    return Strategy.model_validate({**training.strategy.model_dump(), **changes})


def test_signals_are_of_the_last_session_of_the_bars_and_say_how_old_it_is(
    market: Market, training: Training
) -> None:
    market.store_bars(sample.load(SYMBOLS))
    made = live.signal(training.strategy, now=TODAY)
    assert (made["session"], made["trade_session"]) == (str(LAST), "2013-03-04")
    assert made["sessions_behind"] > 3_000
    assert live.signal(training.strategy, now=THEN)["sessions_behind"] == 0
    stored = SignalBook(market.url).latest("small", 1)
    assert stored is not None
    assert {len(own) for own in stored.tranches.values()} == {training.strategy.horizon}
    for symbol, own in stored.tranches.items():
        assert stored.weights[symbol] == pytest.approx(sum(own) / len(own), abs=1e-9)


def test_signals_of_a_universe_that_ends_before_the_bars_are_refused(
    market: Market, training: Training
) -> None:
    market.store_bars(sample.load(SYMBOLS))
    universe = training.strategy.universe.model_copy(update={"end": date(2012, 12, 31)})
    market.champion.strategy = training.strategy.model_copy(update={"universe": universe})
    with pytest.raises(TradingError, match=r"universe\.end is 2012-12-31, and the bars go on to"):
        live.signal(training.strategy, now=THEN)
    assert SignalBook(market.url).latest("small", 1) is None


class PredictsOnes:
    """A model that predicts the same whatever it sees."""

    def predict(self, data: Any) -> Any:
        return np.ones(len(data))


@pytest.mark.parametrize("missing", ["refuse", "hold", "drop_row"])
def test_what_is_undefined_in_the_last_session_makes_no_signals_of_an_older_one(
    market: Market, training: Training, missing: str
) -> None:
    # Locked at a limit: where in its range the close stands is not defined.
    locked = [
        pl.when(pl.col("session") == LAST).then("close").otherwise(name).alias(name)
        for name in ("open", "high", "low")
    ]
    market.store_bars(sample.load(["IBM"]).with_columns(locked))
    (market.home / "strategies" / "place_features.py").write_text(
        "import polars as pl\n\n\ndef place():\n"
        "    return (pl.col('close') - pl.col('low')) / (pl.col('high') - pl.col('low'))\n"
    )
    place = {"custom": {"name": "place", "function": "place_features:place", "parameters": {}}}
    market.champion.model = PredictsOnes()
    market.champion.strategy = as_file(
        training,
        universe={"source": "sample", "symbols": ["IBM"]},
        features=[place],
        model={"kind": "ridge"},
        horizon=1,
        missing=missing,
    )
    with pytest.raises(TradewindError, match=str(LAST)):
        live.signal(training.strategy, now=THEN)
    assert SignalBook(market.url).latest("small", 1) is None


def test_bars_that_ended_long_ago_open_no_account(market: Market, training: Training) -> None:
    market.store_bars(sample.load(SYMBOLS))
    live.signal(training.strategy, now=TODAY)
    assert training.strategy.execution == "paper"
    with pytest.raises(AirflowSkipException, match=r"opens have gone by.*bars end on 2013-03-01"):
        execution.quote(training.strategy, now=TODAY)
    with pytest.raises(AirflowSkipException, match="execution: off"):
        execution.quote(as_file(training, execution="off"), now=THEN)
    assert market.rows("SELECT count(*) FROM trading.accounts") == [(0,)]


def test_the_past_is_played_where_the_file_says_so(market: Market, training: Training) -> None:
    market.store_bars(sample.load(SYMBOLS))
    live.signal(training.strategy, now=TODAY)
    told = execution.quote(as_file(training, execution="replay"), now=TODAY)
    assert (told["session"], told["settle_to"]) == (str(LAST), str(LAST))
    assert market.rows("SELECT execution FROM trading.accounts") == [("replay",)]
    assert market.rows("SELECT session FROM trading.openings") == [(date(2013, 3, 4),)]


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (THEN, ["2013-03-04"]),
        (datetime(2013, 3, 4, 14, 29, tzinfo=UTC), ["2013-03-04"]),
    ],
)
def test_on_paper_the_account_is_told_the_next_open(
    market: Market, training: Training, now: datetime, opens: list[str]
) -> None:
    market.store_bars(sample.load(SYMBOLS))
    live.signal(training.strategy, now=now)
    execution.quote(training.strategy, now=now)
    found = market.rows("SELECT session::text FROM trading.openings ORDER BY 1")
    assert [row[0] for row in found] == opens


def test_bars_that_came_after_the_signals_are_told_too(market: Market, training: Training) -> None:
    bars = sample.load(SYMBOLS)
    market.store_bars(bars.filter(pl.col("session") <= BEFORE))
    live.signal(training.strategy, now=THEN)
    replay = as_file(training, execution="replay")
    told = execution.quote(replay, now=TODAY)
    assert (told["session"], told["settle_to"]) == (str(BEFORE), str(BEFORE))
    market.store_bars(bars)
    told = execution.quote(replay, now=TODAY)
    assert (told["session"], told["settle_to"]) == (str(BEFORE), str(LAST))
    assert market.rows("SELECT max(session) FROM trading.quotes") == [(LAST,)]
    assert market.rows("SELECT min(session), max(session) FROM trading.openings") == [
        (LAST, date(2013, 3, 4))
    ]


def test_a_symbol_whose_bar_is_late_stops_signals_and_quotes(
    market: Market, training: Training
) -> None:
    bars = sample.load(SYMBOLS)
    market.store_bars(bars.filter(pl.col("session") <= BEFORE))
    replay = as_file(training, execution="replay")
    live.signal(replay, now=THEN)
    market.store_bars(bars.filter((pl.col("session") <= BEFORE) | (pl.col("symbol") != "IBM")))
    for step in (live.signal, execution.quote):
        with pytest.raises(TradewindError, match="no bar of IBM on 2013-03-01 yet"):
            step(replay, now=THEN)


def test_snapshots_of_quotes_keep_the_sessions_that_the_source_says(
    market: Market, training: Training
) -> None:
    path = market.home / "sources" / "sample.yaml"
    added = "- {days: 2013-02-16, close: '13:30', reason: a special session}"
    path.write_text(f"{path.read_text()}\nsessions:\n  open:\n    {added}\n")
    calendar = find_source("sample", market.home / "sources").sessions_for("XNYS")
    bars = sample.load(SYMBOLS)
    market.store_bars(bars.filter(pl.col("session") <= BEFORE))
    live.signal(training.strategy, now=THEN)
    replay = as_file(training, execution="replay")
    execution.quote(replay, now=TODAY)
    market.store_bars(bars)  # so that the quotes are read from a snapshot of their own
    execution.quote(replay, now=TODAY)
    kept = market.store.snapshots()
    assert len(kept) == 2
    assert {info.calendar for info in kept} == {calendar}


def test_another_calendar_than_the_source_s_is_refused(market: Market, training: Training) -> None:
    market.store_bars(sample.load(SYMBOLS))
    live.signal(training.strategy, now=THEN)
    universe = {**training.strategy.universe.model_dump(), "calendar": "XLON"}
    market.champion.strategy = as_file(training, universe=universe)
    with pytest.raises(TradewindError, match="XNYS"):
        execution.quote(training.strategy, now=THEN)

"""Whoever asks for bars, by command line or in a task, is told the same of them."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import yaml

from tradewind.desk import data, registry, research
from tradewind.desk.training import check_files
from tradewind.errors import BarValidationError, MarketDataError, SourceError
from tradewind.market.bars import PRICES
from tradewind.market.calendar import known_until, next_session
from tradewind.market.sources import sample
from tradewind.market.store.bar_store import BarStore
from tradewind.orchestration.steps import training
from tradewind.registry import retrieval
from tradewind.research.strategy.files import load_strategies
from tradewind.settings import Settings, load_settings

DEFECT = "ZZZ 2000-03-01: copied_symbol (IBM)"


def source(**fields: Any) -> dict[str, Any]:
    return {
        "name": "mine",
        "kind": "files",
        "schedule": None,
        "options": {
            "path": "data/*.csv",
            "symbol": {"column": "symbol"},
            "session": {"column": "session", "format": "%Y-%m-%d"},
            "columns": {"split_factor": "split_factor", "adjustment_factor": "adjustment_factor"},
            "adjustment": "factors",
        },
        **fields,
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a source in which ZZZ copies IBM, thirty symbols after it."""
    for folder in ("sources", "strategies", "data", "config"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sources" / "mine.yaml").write_text(yaml.safe_dump(source()))
    held = {"source": "mine", "symbols": ["IBM", "MSFT", "ZZZ"]}
    strategy = {
        "name": "own", "description": "x", "universe": held, "horizon": 5,
        "features": [{"return": {"window": 5}}], "model": {"kind": "ridge"},
        "walk_forward": {"train": 756, "test": 504}, "seed": 7,
        "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
    }  # fmt: skip
    (tmp_path / "strategies" / "own.yaml").write_text(yaml.safe_dump(strategy))
    bars = sample.load(["IBM", "MSFT"])
    ibm, msft = (bars.filter(pl.col("symbol") == name) for name in ("IBM", "MSFT"))
    others = [
        msft.with_columns(pl.lit(f"M{number:02d}").alias("symbol"), pl.col(*PRICES) * (2 + number))
        for number in range(30)
    ]
    pl.concat([bars, *others, ibm.with_columns(symbol=pl.lit("ZZZ"))]).write_csv(
        tmp_path / "data" / "all.csv"
    )
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    nowhere = "postgresql://nobody@127.0.0.1:1/none"  # bars are judged before the ledger is asked
    monkeypatch.setattr(research, "ledger_url", lambda _: nowhere)
    return tmp_path


@pytest.fixture
def settings(home: Path) -> Settings:
    settings = load_settings()
    assert settings.home == home
    return settings


def test_a_copied_symbol_is_refused_by_every_way_in_and_nothing_is_stored(
    settings: Settings,
) -> None:
    errors = [one for one in data.validate(settings, "mine") if one.severity == "error"]
    assert [str(one)[: len(DEFECT)] for one in errors] == [DEFECT]
    of_universe = data.validate(settings, "mine", ["IBM", "MSFT", "ZZZ"])
    assert [one for one in of_universe if one.severity == "error"] == errors
    strategy = load_strategies(settings.strategies_dir)[0]["own"]
    spec = data.sources(settings)[0]
    ways: dict[str, Callable[[], object]] = {
        "backtest": lambda: research.backtest(settings, "own"),
        "a training's ingest": lambda: training.ingest(strategy),
        "a source's ingest": lambda: training.ingest_source(spec, None),
    }
    for way in ways.values():
        with pytest.raises(BarValidationError) as caught:
            way()
        assert str(errors[0]) in str(caught.value)
    assert BarStore(settings.market_store).version("mine") is None


def test_a_prediction_is_refused_for_bars_of_a_session_that_has_not_closed(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = load_strategies(settings.strategies_dir)[0]["own"]
    registered = SimpleNamespace(strategy=strategy, model=None, info=None)
    monkeypatch.setattr(retrieval, "load_registered", lambda *_: registered)
    monkeypatch.setattr(registry, "use_mlflow", lambda _: None)
    with pytest.raises(BarValidationError, match="copied_symbol"):
        registry.predict(settings, "own")
    tomorrow = next_session("XNYS", date.today() + timedelta(days=1))  # noqa: DTZ011 - any ahead
    bars = pl.read_csv(home / "data" / "all.csv").filter(pl.col("symbol").is_in(["IBM", "MSFT"]))
    early = (
        bars.filter(pl.col("symbol") == "IBM").tail(1).with_columns(session=pl.lit(str(tomorrow)))
    )
    pl.concat([bars, early]).write_csv(home / "data" / "all.csv")
    held = {"source": "mine", "symbols": ["IBM", "MSFT"]}
    registered.strategy = type(strategy).model_validate(
        {**yaml.safe_load((home / "strategies" / "own.yaml").read_text()), "universe": held}
    )
    with pytest.raises(BarValidationError, match=f"IBM {tomorrow}: future_session"):
        registry.predict(settings, "own")


def test_a_footer_is_named_the_same_by_every_way_in(home: Path, settings: Settings) -> None:
    with (home / "data" / "all.csv").open("a") as file:
        file.write("File Creation Time: 0102202418:01\n")
    told = set()
    for way in (
        lambda: data.validate(settings, "mine"),
        lambda: research.backtest(settings, "own"),
        lambda: training.ingest_source(data.sources(settings)[0], None),
    ):
        with pytest.raises(SourceError) as caught:
            way()
        told.add(str(caught.value))
    [text] = told
    assert "all.csv, line 107912, column 'symbol': 'File Creation Time: 0102202418:01'" in text


def test_a_universe_with_another_calendar_is_told_before_anything_is_read(
    home: Path, settings: Settings
) -> None:
    (home / "sources" / "mine.yaml").write_text(yaml.safe_dump(source(calendar="XLON")))
    with pytest.raises(MarketDataError, match="has the sessions of XLON, not of XNYS; write"):
        research.backtest(settings, "own")
    problems = {check.name: check.problem for check in check_files(settings)}
    assert problems["source mine"] == ""
    assert problems["strategy own"].startswith("universe.calendar: source 'mine' has the sessions")


@pytest.mark.parametrize("calendar", ["XSHG", "MOON"])
def test_doctor_looks_at_each_source_s_calendar(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, calendar: str
) -> None:
    fields = source(calendar=calendar, schedule="after_close")
    (home / "sources" / "mine.yaml").write_text(yaml.safe_dump(fields))
    monkeypatch.setattr("tradewind.desk.training._CALENDAR_DAYS", 10**6)
    problems = {check.name: check.problem for check in check_files(settings)}
    expected = {
        "XSHG": f"the sessions of XSHG are known until {known_until('XSHG')}",
        "MOON": f"{home}/sources/mine.yaml:1: calendar: there is no exchange calendar 'MOON'",
    }[calendar]
    assert problems["source mine"].replace("were known", "are known").startswith(expected)

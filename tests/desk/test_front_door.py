"""`tradewind.Desk` without a stack; with one it is driven in tests/stack/test_front_door.py."""

import math
import shutil
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tradewind as tw
from tests.support import typed
from tradewind.desk import shown_lists
from tradewind.desk.front_door import Desk
from tradewind.desk.model_version import ModelVersion
from tradewind.desk.registry import Forecast
from tradewind.desk.shown import Column, Rows
from tradewind.desk.shown_results import ShownComparison, ShownSignals
from tradewind.errors import (
    MarketDataError,
    ResearchError,
    SettingsError,
    SourceError,
    StackError,
    StoreError,
    StrategyError,
)
from tradewind.registry.gate import Decision, RuleResult
from tradewind.registry.version_info import ModelSummary, VersionInfo
from tradewind.settings import Settings
from tradewind.trading.book.views import Day, Fill, Order, Position

NOTHING = pl.DataFrame()
DAY, NOW, CENTS = date(2012, 1, 31), datetime(2012, 1, 31, tzinfo=UTC), Decimal("1234.50")
REFUSED = Decision(False, (RuleResult("max_pbo", 0.7, 0.5, False, "0.7 is above 0.5"),))
VERSION = VersionInfo(
    "m", 3, ("champion",), "r", {"sharpe": 0.774, "max_drawdown": -0.25}, {}, NOW, REFUSED,
    "not better than holding",
)  # fmt: skip


def test_a_path_is_where_it_is_looked_for_and_else_the_environment_or_the_nearest(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere")
    monkeypatch.chdir(checkout / "strategies")
    assert Desk().home == checkout
    monkeypatch.chdir(nowhere)
    with pytest.raises(SettingsError, match="no workspace of tradewind at"):
        Desk()
    monkeypatch.setenv("TRADEWIND_HOME", str(nowhere))
    assert Desk(checkout / "sources").home == Desk(str(checkout)).home == checkout
    with pytest.raises(SettingsError, match=f"no workspace of tradewind at {nowhere}"):
        Desk(nowhere)
    assert Desk().home == nowhere
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    assert repr(Desk()) == f"Desk({str(checkout)!r})"


def test_a_path_that_is_no_text_here_is_refused_with_the_way_out(checkout: Path) -> None:
    named = checkout / "\udcc3\udca4"  # an umlaut, read as ASCII
    for folder in ("strategies", "sources"):
        shutil.copytree(checkout / folder, named / folder)
    with pytest.raises(SettingsError, match=r"names of files as UTF-8.*PYTHONUTF8=1"):
        Desk(named)


def test_bars_are_brought_up_to_date_or_read_as_they_were_known(checkout: Path) -> None:
    desk = Desk(checkout)
    then = datetime(2010, 6, 4, 22, tzinfo=UTC)
    with pytest.raises(StoreError, match=r"no bars of source 'sample' in .*; ingest it"):
        desk.bars("sample", ["IBM"], as_of=then)
    newest = desk.bars("sample", "IBM", start="2010-06-01", end=date(2010, 7, 1))
    assert newest["symbol"].unique().to_list() == ["IBM"]
    assert (newest["session"].min(), newest["session"].max()) == (
        date(2010, 6, 1),
        date(2010, 7, 1),
    )
    for moment in (then, then.isoformat()):
        known = desk.bars("sample", ["IBM"], as_of=moment)
        assert known["session"].max() == date(2010, 6, 4)
    assert desk.bars("sample", ["IBM"])["session"].max() == date(2013, 3, 1)


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"source": "sampel"}, SourceError, "no source named 'sampel' in .* Did you mean sample"),
        ({"symbols": ["NOPE"]}, SourceError, "NOPE"),
        ({"start": "1 June"}, MarketDataError, "start: '1 June' is no date; write YYYY-MM-DD"),
        ({"as_of": "noon"}, MarketDataError, "as_of: 'noon' is no time; write it as in 2010"),
        ({"as_of": "2010-06-04"}, MarketDataError, "has no time zone; add one, such as UTC"),
    ],
)
def test_what_bars_cannot_be_given_is_said(
    checkout: Path, asked: dict[str, Any], error: type[tw.TradewindError], told: str
) -> None:
    desk = Desk(checkout)
    desk.bars("sample", ["IBM"], end="2000-04-01")
    with pytest.raises(error, match=told):
        desk.bars(**{"source": "sample", "symbols": ["IBM"], **asked})


@pytest.mark.parametrize(
    "ask",
    [
        lambda desk: desk.backtest("ridge"),
        lambda desk: desk.train("ridge"),
        lambda desk: desk.models(),
        lambda desk: desk.models("ridge"),
        lambda desk: desk.champion("ridge"),
        lambda desk: desk.compare("ridge", 1, 2),
        lambda desk: desk.signals("ridge"),
        lambda desk: desk.positions(),
        lambda desk: desk.orders(),
        lambda desk: desk.fills(),
        lambda desk: desk.pnl(),
        lambda desk: desk.halt(reason="x"),
        lambda desk: desk.resume(reason="x"),
    ],
)
def test_what_needs_the_stack_says_how_to_start_it(
    checkout: Path, ask: Callable[[Desk], object]
) -> None:
    with pytest.raises(StackError, match="the stack is not running: tradewind up --detach"):
        ask(Desk(checkout))


def test_an_unknown_strategy_is_named_with_the_closest(checkout: Path) -> None:
    desk = Desk(checkout)
    for ask in (desk.backtest, desk.train, desk.signals, lambda name: desk.judge(name, NOTHING)):
        with pytest.raises(StrategyError, match=r"named 'momentun' in .* Did you mean momentum\?"):
            ask("momentun")


def test_a_backtest_is_counted_and_shows_itself(settings: Settings, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    result = Desk(settings.home).backtest("ridge", on_fold=lambda *at: done.append(at))
    assert isinstance(result, tw.Backtest)
    assert done[-1] == (len(result.folds), len(result.folds))
    assert result.metrics["trials"] == 1.0  # this one, which the ledger has
    assert len(result.snapshot_id) == 64
    assert result.equity["equity"][-1] == pytest.approx(
        (result.equity["net_return"] + 1.0).product(), rel=1e-12
    )
    assert result.weights.columns == ["symbol", "session", "weight"]
    gross = result.weights.group_by("session").agg(pl.col("weight").abs().sum())
    assert 0.0 < typed(gross["weight"].max(), float) <= 1.0 + 1e-12
    text = str(result)
    assert text == repr(result)
    assert "ridge: " in text
    assert f"{len(result.folds)} test windows" in text
    assert f"{result.metrics['max_drawdown'] * 100:.1f} %".replace("-", "\u2212") in text
    assert result.verdict in text
    html = result._repr_html_()
    assert '<td style="text-align: left">Sharpe ratio, annualised</td>' in html
    assert 'src="data:image/png;base64,iVBOR' in html
    page = result.tear_sheet()
    assert result.snapshot_id in page
    file = result.tear_sheet(tmp_path / "ridge.html")
    assert file.read_text(encoding="utf-8") == page
    with pytest.raises(ResearchError, match=r"cannot be written to .*: No such file.*Name another"):
        result.tear_sheet(tmp_path / "none" / "ridge.html")


def test_sources_and_strategies_show_themselves(checkout: Path) -> None:
    desk = Desk(checkout)
    assert [each.name for each in desk.sources()] == ["sample"]
    assert "sample  sample  XNYS" in repr(desk.sources())
    strategies = desk.strategies()
    assert strategies[0].name == "crossover"
    assert '<td style="text-align: right">4</td>' in strategies._repr_html_()
    (checkout / "strategies" / "bad.yaml").write_text("name: bad")
    with pytest.raises(StrategyError, match=r"bad\.yaml"):
        desk.strategies()


BOOK: dict[str, tuple[Callable[..., Rows[Any]], Any, str]] = {
    "positions": (
        shown_lists.positions, Position("a", "IBM", DAY, -1200, CENTS, CENTS, Decimal("0.1234")),
        "a        2012-01-31       IBM     -1,200  1234.5  1,234.50            +12.34%",
    ),
    "orders": (
        shown_lists.orders, Order("a", "i", "IBM", DAY, DAY, 1, -7, 0, "rejected", ("why", "not")),
        "a        2012-01-31       IBM         -7      +0  rejected  why; not",
    ),
    "fills": (
        shown_lists.fills, Fill("a", "e", "i", "IBM", DAY, 7, CENTS, CENTS, CENTS),
        "a        2012-01-31  IBM         +7  1234.5    1,234.50  1,234.50",
    ),
    "pnl": (
        shown_lists.pnl, Day("a", DAY, CENTS, CENTS, CENTS, CENTS, -CENTS),
        "a        2012-01-31  1,234.50   1,234.50  1,234.50  +1,234.50  -1,234.50",
    ),
    "models": (
        shown_lists.models, ModelSummary("m", VERSION, {"champion": 3}),
        "m                   3         3  not better than holding",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOOK)
def test_lists_are_tuples_that_print_as_tables(name: str) -> None:
    show, member, line = BOOK[name]
    rows: Rows[Any] = show([member])
    assert str(rows).splitlines()[1] == line
    assert rows._repr_html_().count("<tr>") == 2
    if name != "models":
        assert rows.frame().row(0) == tuple(
            list(value) if isinstance(value, tuple) else value for value in vars(member).values()
        )
    assert rows == (member,)  # last: mypy takes it for a plain tuple from here on
    nothing = show([])
    assert str(nothing)
    assert "<table>" not in nothing._repr_html_()


def test_what_stands_in_a_table_is_text() -> None:
    rows = Rows(["<script>"], (Column("a & b"),), lambda each: (each,), "")
    assert '<td style="text-align: left">&lt;script&gt;</td>' in rows._repr_html_()
    assert "a &amp; b" in rows._repr_html_()


def test_a_version_shows_figures_with_units_and_what_the_gate_said(checkout: Path) -> None:
    version = ModelVersion(Desk(checkout).settings, VERSION)
    assert (version.name, version.version, version.passed) == ("m", 3, False)
    assert version.refused == {"max_pbo": "0.7 is above 0.5"}
    assert str(version).splitlines() == [
        "m version 3 (champion)",
        "walk-forward, after costs    value",
        "Sharpe ratio, annualised      0.77",
        "Deepest drawdown           \u221225.0 %",
        "not better than holding. The gate refused it: max_pbo: 0.7 is above 0.5.",
    ]
    [listed] = shown_lists.versions([version], "m")
    assert listed is version
    assert "refused" in str(shown_lists.versions([version], "m"))


def test_other_results_show_themselves() -> None:
    signals = ShownSignals("m", DAY, DAY, 3, "0", {"IBM": -0.125})
    assert "IBM               -12.50%" in str(signals)
    compared = ShownComparison(
        "m", 1, 2, {"annual_return": (0.1, None)}, 7, 0.5, math.nan, None, 0.9, {}, {"seed": (1, 2)}
    )
    assert "10.0 %" in str(compared)
    assert "0.50, 90% interval \u2013 to undefined. What differs: seed." in str(compared)
    forecast = Forecast("m", 3, "champion", DAY, 5, {"IBM": 0.01})
    for shown in (signals, compared, forecast):
        assert "<table>" in shown._repr_html_()
    assert "+1.000%" in str(forecast)
    assert [each.name for each in fields(forecast)][-1] == "is_score"

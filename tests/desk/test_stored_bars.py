"""Stored bars looked at: one symbol, two sources, all of them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from tradewind import cli
from tradewind.desk import stored_bars
from tradewind.errors import SourceError, StoreError
from tradewind.market.sources import sample
from tradewind.market.store.bar_store import BarStore
from tradewind.settings import Settings, load_settings

KNOWN = datetime(2013, 3, 2, tzinfo=UTC)
DAY = date(2013, 2, 25)


@pytest.fixture
def looked_at(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two sources with the same bars, of which one lacks a session and has a close revised."""
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    settings = load_settings()
    (checkout / "sources" / "other.yaml").write_text("name: other\nkind: sample\n")
    store = BarStore(settings.market_store)
    bars = sample.load(["AAPL", "IBM"])
    hole = ~((pl.col("symbol") == "IBM") & (pl.col("session") == date(2013, 2, 20)))
    store.append("sample", bars, known_at=KNOWN, calendar="XNYS")
    store.append("other", bars.filter(hole), known_at=KNOWN, calendar="XNYS")
    at = (pl.col("symbol") == "IBM") & (pl.col("session") == DAY)
    close = pl.when(at).then(199.0).otherwise("close").alias("close")
    later = KNOWN + timedelta(hours=1)
    store.append("other", bars.filter(hole).with_columns(close), known_at=later, calendar="XNYS")
    return settings


def test_a_symbol_is_shown_with_its_actions_holes_and_revisions(
    looked_at: Settings, tmp_path: Path
) -> None:
    picture = tmp_path / "ibm.png"
    found = stored_bars.show(looked_at, "other", "IBM", plot=picture)
    assert (found.first, found.last, found.bars) == (date(2000, 3, 1), date(2013, 3, 1), 3269)
    assert found.missing == (date(2013, 2, 20),)
    assert found.behind > 3000
    [changed] = found.changed
    assert (changed.session, changed.field, changed.was, changed.became) == (
        DAY,
        "close",
        197.51,
        199.0,
    )
    assert (changed.known_since, changed.known_at) == (KNOWN, KNOWN + timedelta(hours=1))
    assert {each.kind for each in found.steps} == {"dividend"}
    split = stored_bars.show(looked_at, "sample", "AAPL").steps
    last = [each for each in split if each.kind == "split"][-1]
    assert last.session == date(2005, 2, 28)
    assert last.value == pytest.approx(2.0)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_is_not_stored_is_told(looked_at: Settings) -> None:
    with pytest.raises(StoreError, match=r"nothing of IBMM is stored.*Did you mean IBM\?"):
        stored_bars.show(looked_at, "sample", "IBMM")
    with pytest.raises(SourceError, match="smaple"):
        stored_bars.show(looked_at, "smaple", "IBM")
    with pytest.raises(StoreError, match="picture cannot be written"):
        stored_bars.show(looked_at, "sample", "IBM", plot=Path("/nowhere/x.png"))
    with pytest.raises(StoreError, match="'sample' has nothing stored of GOOG"):
        stored_bars.compare(looked_at, "sample", "other", ["GOOG"])


def test_two_sources_are_held_against_each_other(looked_at: Settings) -> None:
    same, differs = stored_bars.compare(looked_at, "sample", "other")
    assert (same.symbol, same.first) == ("AAPL", "")
    assert (differs.symbol, differs.common) == ("IBM", 3269)
    assert (differs.only_one, differs.only_other) == (1, 0)
    assert (differs.prices, differs.volumes, differs.actions) == (1, 0, 0)
    assert differs.first == "2013-02-20 close: sample 199.31, other has none"


def test_a_source_without_dividends_contradicts_none(looked_at: Settings, checkout: Path) -> None:
    (checkout / "sources" / "splits.yaml").write_text(
        "name: splits\nkind: files\noptions: {path: none/*.csv, adjustment: splits, "
        "symbol: {column: symbol}, session: {column: date, format: '%Y-%m-%d'}, "
        "columns: {split_factor: ratio}}\n"
    )
    bars = sample.load(["IBM"]).with_columns(adjustment_factor="split_factor")
    BarStore(looked_at.market_store).append("splits", bars, known_at=KNOWN, calendar="XNYS")
    [found] = stored_bars.compare(looked_at, "sample", "splits", ["IBM"])
    assert (found.common, found.actions, found.first) == (3270, 0, "")


def test_each_source_is_told_with_its_age(looked_at: Settings) -> None:
    said = {check.name.split(":")[0]: check for check in stored_bars.diagnose(looked_at)}
    assert set(said) == {"source other", "source sample"}
    old = said["source other"]
    assert "sessions of XNYS ago" in old.problem
    assert "2 symbols from 2000-03-01 to 2013-03-01" in old.name
    assert "1 values revised, 0 of them in 30 days" in old.name


def test_the_commands_show_it(looked_at: Settings) -> None:
    assert looked_at.market_store
    run = CliRunner()
    shown = run.invoke(cli.app, ["data", "show", "other", "IBM"])
    assert shown.exit_code == 0, shown.output
    assert "3,269 bars" in shown.output
    assert "197.51" in shown.output
    compared = run.invoke(cli.app, ["data", "compare", "sample", "other"])
    assert compared.exit_code == 1
    assert "2013-02-20" in compared.output
    assert run.invoke(cli.app, ["data", "compare", "sample", "other", "AAPL"]).exit_code == 0
    assert run.invoke(cli.app, ["data", "doctor"]).exit_code == 1

"""A use case is one function, whoever calls it: a command, a notebook or a task of Airflow."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from airflow.sdk.execution_time.context import set_current_context

from tradewind.desk import research
from tradewind.desk.bars import bar_store, snapshot_of_universe, store_universe
from tradewind.errors import SourceError, StrategyError
from tradewind.market.sources.source import find_source
from tradewind.orchestration.steps import training
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.registry import tracking
from tradewind.research.strategy.files import find_strategy
from tradewind.settings import Settings

RUN = SimpleNamespace(dag_id="train_ridge", run_id="manual__1", run_type="manual")


def test_a_backtest_and_the_task_of_a_training_are_one_trial_on_one_snapshot(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = research.judge(settings, "ridge")
    logged: list[Any] = []

    def log_training(result: Any, **around: Any) -> Any:
        logged.append((result, around))
        return SimpleNamespace(name="ridge", version="1", run_id="r", page="/p")

    monkeypatch.setattr(tracking, "log_training", log_training)
    strategy = find_strategy("ridge", settings.strategies_dir)
    context: Any = {"dag_run": RUN, "ti": SimpleNamespace(task_id="train")}
    with set_current_context(context):
        snapshot_id = training.ingest(strategy)
        training.train(strategy, snapshot_id)
    [(result, around)] = logged
    assert snapshot_id == judged.bars.snapshot_id == around["snapshot_id"]
    assert result.metrics == judged.trained.result.metrics
    assert result.equity.equals(judged.trained.result.equity)
    assert around["findings"] == judged.bars.findings
    engine = sa.create_engine(ledger_url(settings))
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT snapshot_id FROM trial_ledger WHERE strategy = 'ridge'")
        ).all()
    engine.dispose()
    assert [row.snapshot_id for row in rows] == [snapshot_id]


def test_a_snapshot_as_of_a_moment_knows_nothing_later(settings: Settings) -> None:
    strategy = find_strategy("ridge", settings.strategies_dir)
    then = datetime(2010, 6, 4, 22, tzinfo=UTC)
    assert store_universe(settings, strategy).new > 0
    past = snapshot_of_universe(settings, strategy, as_of=then)
    assert store_universe(settings, strategy).new == 0
    now = snapshot_of_universe(settings, strategy)
    last = {each: bar_store(settings).read(each)["session"].max() for each in (past, now)}
    assert last == {past: datetime(2010, 6, 4).date(), now: datetime(2013, 3, 1).date()}  # noqa: DTZ001


@pytest.mark.parametrize("name", ["ridges", "momentun", "../strategies/ridge", "", "\0"])
def test_strategies_and_sources_are_found_alike(settings: Settings, name: str) -> None:
    with pytest.raises(StrategyError, match=r"no strategy named .* in .*/strategies\. \w+"):
        find_strategy(name, settings.strategies_dir)
    with pytest.raises(SourceError, match=r"no source named .* in .*/sources\. There are: sample"):
        find_source(name, settings.sources_dir)


def test_a_wrong_strategy_says_what_is_wrong_and_one_is_read_without_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.strategies_dir / "bad.yaml").write_text("name: bad\nhorizon: x\n")
    with pytest.raises(StrategyError, match=r"bad\.yaml:2: horizon"):
        find_strategy("bad", settings.strategies_dir)
    monkeypatch.setattr(Path, "iterdir", lambda _: 1 / 0)
    assert find_strategy("ridge", settings.strategies_dir).name == "ridge"


def test_figures_of_a_command_are_those_that_were_judged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ridge = find_strategy("ridge", settings.strategies_dir)
    result = SimpleNamespace(metrics={"sharpe": 1.0}, folds=(1, 2), strategy=ridge)
    judged = research.Judged(
        SimpleNamespace(snapshot_id="s", bars=pl.DataFrame(), findings=()),  # type: ignore[arg-type]
        SimpleNamespace(result=result, features_sha256=""),  # type: ignore[arg-type]
    )
    monkeypatch.setattr(research, "judge", lambda *_: judged)
    report = research.backtest(settings, "ridge")
    assert (report.strategy, report.snapshot_id, report.folds) == ("ridge", "s", 2)
    assert report.metrics == {"sharpe": 1.0}

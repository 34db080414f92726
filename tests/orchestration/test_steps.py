"""What the steps make of the run they are in; the rest of them is tested on the real stack."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType
from airflow.sdk.execution_time.context import set_current_context

from tests.vendors.server import Answer
from tests.vendors.tiingo_server import TiingoServer
from tradewind.errors import PartialSourceError
from tradewind.market.sources import sample
from tradewind.market.sources.source import SourceSpec
from tradewind.orchestration.steps import sweeps, training
from tradewind.research.strategy.files import load_strategies

REPOSITORY = Path(__file__).parents[2]
MONDAY = datetime(2012, 6, 4, 22, tzinfo=UTC)


@contextmanager
def running(run_type: DagRunType) -> Iterator[None]:
    """Be in a task of a run, as Airflow's worker describes it."""
    run = DagRun(
        dag_id="train_x",
        run_id=f"{run_type.value}__1",
        logical_date=MONDAY,
        data_interval_start=MONDAY,
        data_interval_end=MONDAY,
        run_after=MONDAY,
        start_date=MONDAY,
        end_date=None,
        run_type=run_type,
        state=DagRunState.RUNNING,
        consumed_asset_events=[],
        partition_key=None,
    )
    with set_current_context(cast("Any", {"dag_run": run})):
        yield


def test_what_a_backfill_trains_is_not_judged() -> None:
    with running(DagRunType.BACKFILL):
        assert training.judge("x", "1") is False


@pytest.mark.parametrize("run_type", list(DagRunType))
def test_a_backfill_is_told_from_all_other_runs(run_type: DagRunType) -> None:
    with running(run_type):
        assert training._is_backfill() is (run_type is DagRunType.BACKFILL)


def test_a_sweep_goes_with_the_code_of_its_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials computed by an edited function must not enter the ledger as those of the old one."""
    shutil.copytree(REPOSITORY / "strategies", tmp_path / "strategies")
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    noise = load_strategies(tmp_path / "strategies")[0]["noise"]
    with running(DagRunType.MANUAL):
        before = [sweeps.work_id(noise, "snapshot") for _ in range(2)]
        with (tmp_path / "strategies" / "noise_features.py").open("a") as code:
            code.write("# edited\n")
        after = sweeps.work_id(noise, "snapshot")
    assert before[0] == before[1] != after


def test_symbols_that_fail_are_tried_again_and_the_others_announced_once_no_try_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("config", "sources", "strategies"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("TRADEWIND_TIINGO_KEY", TiingoServer.key)
    with TiingoServer(sample.load(["IBM", "MSFT"])).running() as vendor:
        vendor.always["IBM"] = Answer({"detail": "moved"}, 404)
        options = {"symbols": ["IBM", "MSFT"], "start": "2013-01-02", "base_url": vendor.url}
        spec = SourceSpec(name="live", kind="tiingo", schedule=None, options=options)

        def tried(number: int) -> dict[str, int]:
            task = SimpleNamespace(try_number=number, max_tries=5)
            with set_current_context(cast("Any", {"ti": task})):
                return training.ingest_source(spec, None)

        for number in (1, 5):
            with pytest.raises(PartialSourceError, match=r"IBM: .*404 Not Found"):
                tried(number)
        counts = tried(6)
        assert (counts["new"], counts["failed"]) == (0, 1)
        assert counts["table_version"] == 1
        asked = [path.split("/")[3] for path, _ in vendor.requests]
        assert sorted(asked) == ["IBM", "IBM", "IBM", "MSFT", "MSFT", "MSFT"]

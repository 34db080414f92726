"""What the steps make of the run they are in; the rest of them is tested on the real stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType
from airflow.sdk.execution_time.context import set_current_context

from tradewind.orchestration import steps

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
        assert steps.judge("x", "1") is False


@pytest.mark.parametrize("run_type", list(DagRunType))
def test_a_backfill_is_told_from_all_other_runs(run_type: DagRunType) -> None:
    with running(run_type):
        assert steps._is_backfill() is (run_type is DagRunType.BACKFILL)

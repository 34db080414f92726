"""What is old goes from Airflow's database, and nothing that is still needed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.orchestration.metadata import Metadata
from tradewind.orchestration.runtime.old_rows import remove_old_rows

NOW = datetime(2026, 11, 30, 3, 30, tzinfo=UTC)
KEEP = 90


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture(scope="module")
def tables(postgres_url: str) -> Iterator[Metadata]:
    made = Metadata(postgres_url)
    yield made
    made.close()


@pytest.fixture
def metadata(tables: Metadata) -> Metadata:
    tables.empty()
    for dag in ("train_a", "train_b"):
        tables.dag(dag)
    return tables


def remove(metadata: Metadata, **options: Any) -> dict[str, int]:
    removed = remove_old_rows(metadata.engine, now=NOW, **{"keep_days": KEEP, **options})
    assert not removed.more
    return removed.counts


runs = st.lists(
    st.fixed_dictionaries(
        {
            "dag": st.sampled_from(["train_a", "train_b"]),
            "type": st.sampled_from(["scheduled", "manual", "asset_triggered"]),
            "state": st.sampled_from(["success", "failed", "running", "queued"]),
            "task": st.sampled_from(["success", "failed", "deferred"]),
            "ended": st.integers(0, 400),  # days ago
            "begun": st.booleans(),
            "needed": st.sampled_from([False, False, False, True]),
            "announced": st.sampled_from([False, False, False, True]),
        }
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(given_runs=runs)
def test_a_run_goes_if_it_has_ended_long_ago_and_nothing_needs_it(
    tables: Metadata, given_runs: list[dict[str, Any]]
) -> None:
    tables.empty()
    for dag in ("train_a", "train_b"):
        tables.dag(dag)
    asset = tables.add("asset", name="bars", uri="x://bars", group="bars")
    newest: dict[tuple[str, str], tuple[datetime, int]] = {}
    for number, run in enumerate(given_runs):
        ended = ago(run["ended"]) if run["state"] in {"success", "failed"} else None
        began = ago(run["ended"]) - timedelta(hours=1) if run["begun"] else None
        after = ago(run["ended"]) - timedelta(hours=2)
        tables.run(
            run["dag"], f"r{number}", ended if run["begun"] else None, run_type=run["type"],
            state=run["state"], task=run["task"], began=began, run_after=after,
        )  # fmt: skip
        kind = (run["dag"], run["type"])
        newest[kind] = max(newest.get(kind, (after, number)), (after, number))
        if run["announced"]:
            tables.add(
                "asset_state_store", asset_id=asset, key=f"k{number}", value=json.dumps(1),
                last_updated_by_dag_id=run["dag"], last_updated_by_run_id=f"r{number}",
            )  # fmt: skip
    stays = {
        f"r{number}"
        for number, run in enumerate(given_runs)
        if run["state"] in {"running", "queued"}
        or run["task"] == "deferred"
        or run["needed"]
        or run["announced"]
        # Without an end its age is that of its beginning, or of when it was due.
        or ago(run["ended"]) - timedelta(hours=0 if run["begun"] else 2) >= ago(KEEP)
        or newest[run["dag"], run["type"]][1] == number
    }
    needed = [(run["dag"], f"r{n}") for n, run in enumerate(given_runs) if run["needed"]]

    counted = remove(tables, needed=needed, dry_run=True)
    assert tables.count("dag_run") == len(given_runs)
    removed = remove(tables, needed=needed)

    assert tables.names() == stays
    gone = len(given_runs) - len(stays)
    assert (removed["runs"], removed["task instances"]) == (gone, gone)
    assert (counted["runs"], counted["task instances"]) == (gone, gone)
    for table in ("task_instance", "xcom"):
        assert tables.names(table) == stays
    for table in ("hitl_detail", "deadline"):
        assert tables.count(table) == len(stays)
    assert remove(tables, needed=needed)["runs"] == 0


def test_an_approval_may_wait_for_longer_than_runs_are_kept(metadata: Metadata) -> None:
    metadata.run("train_a", "waits", None, state="running", task="deferred", began=ago(200),
                 run_after=ago(200), run_type="manual")  # fmt: skip
    metadata.run("train_a", "newer", ago(150), run_type="manual")
    metadata.run("train_a", "newest", ago(1), run_type="manual")
    assert remove(metadata)["runs"] == 1
    assert metadata.names() == {"waits", "newest"}
    assert metadata.ask("SELECT state, trigger_id IS NULL FROM task_instance "
                        "WHERE run_id = 'waits'") == [("deferred", False)]  # fmt: skip
    assert metadata.count("trigger") == 1


def test_a_callback_goes_with_its_run_and_not_before(metadata: Metadata) -> None:
    for name, days in (("old", 200), ("young", 1)):
        metadata.run("train_a", name, ago(days))
    metadata.add("callback", type="triggerer", fetch_method="import_path", data={},
                 priority_weight=1, state="running", created_at=ago(200))  # fmt: skip
    assert remove(metadata)["callbacks"] == 1
    assert metadata.ask("SELECT state FROM callback ORDER BY 1") == [("running",), ("scheduled",)]


def test_a_version_of_a_dag_stays_while_a_run_is_of_it(metadata: Metadata) -> None:
    versions = [metadata.version("train_a", number, ago(300 - number)) for number in range(1, 5)]
    metadata.run("train_a", "old", ago(200), created_dag_version_id=versions[0])
    metadata.run("train_a", "young", ago(1), created_dag_version_id=versions[1])
    assert remove(metadata)["versions of DAGs"] == 2
    left = "SELECT version_number FROM dag_version ORDER BY 1"
    assert metadata.ask(left) == [(2,), (4,)]
    assert metadata.count("serialized_dag") == 2


def test_an_event_stays_that_a_dag_waits_with_or_that_is_the_newest(metadata: Metadata) -> None:
    events = {}
    for number, name in enumerate(("used", "awaited", "plain"), start=1):
        asset = metadata.add("asset", name=name, uri=f"x://{name}", group="bars", id=number)
        events[name] = [
            metadata.add("asset_event", asset_id=asset, timestamp=ago(days), extra={})
            for days in (200, 150)
        ]
    metadata.add("asset_dag_run_queue", asset_id=2, target_dag_id="train_a")
    run = metadata.run("train_a", "young", ago(1))
    metadata.add("dagrun_asset_event", dag_run_id=run, event_id=events["used"][0])
    assert remove(metadata)["events of assets"] == 1
    left = {row[0] for row in metadata.ask("SELECT id FROM asset_event")}
    assert left == {*events["used"], *events["awaited"], events["plain"][1]}


def test_results_and_logs_go_by_their_age(metadata: Metadata) -> None:
    for days in (8, 1):
        metadata.add("log", event="x", dttm=ago(days))
        metadata.add("job", job_type="SchedulerJob", latest_heartbeat=ago(days * 20))
    with metadata.engine.begin() as connection:
        for days in (8, 1):
            connection.exec_driver_sql(
                "INSERT INTO celery_taskmeta (id, task_id, date_done) VALUES (%s, %s, %s)",
                (days, str(days), ago(days).replace(tzinfo=None)),
            )
    removed = remove(metadata)
    assert (removed["results of Celery"], metadata.count("celery_taskmeta")) == (1, 1)
    assert (removed["jobs"], metadata.count("job")) == (1, 1)
    assert metadata.count("log") == 2


def test_more_than_a_batch_goes(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.orchestration.runtime import old_rows

    monkeypatch.setattr(old_rows, "_ROWS_AT_ONCE", 3)
    for number in range(10):
        metadata.add("log", event="x", dttm=ago(100 + number))
    removed = remove_old_rows(metadata.engine, now=NOW, keep_days=KEEP, until=0)
    assert removed.more
    assert metadata.count("log") == 10
    assert remove(metadata)["lines of the audit log"] == 10
    assert metadata.count("log") == 0


def test_nothing_goes_where_all_is_kept_for_ever(metadata: Metadata) -> None:
    metadata.run("train_a", "old", ago(2000))
    metadata.run("train_a", "newest", ago(1999))
    assert remove(metadata, keep_days=0) == {}
    assert metadata.names() == {"old", "newest"}

from pathlib import Path
from typing import Any

import pytest

from tradewind.errors import SourceError
from tradewind.orchestration.dags.ingest_dags import ingest_dags

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name, schedule in (("daily", "after_close"), ("still", "null")):
        (tmp_path / f"{name}.yaml").write_text(
            f"name: {name}\nkind: sample\ndescription: Real bars.\nschedule: {schedule}\n"
        )
    return tmp_path


def test_a_source_becomes_a_dag_that_announces_its_bars(sources: Path) -> None:
    dags = ingest_dags(sources)
    assert list(dags) == ["ingest_daily", "ingest_still"]
    [task] = dags["ingest_daily"].tasks
    assert [asset.uri for asset in task.outlets] == ["tradewind://bars/daily"]


def test_it_runs_after_each_close_of_its_exchange_or_when_asked(sources: Path) -> None:
    dags = ingest_dags(sources)
    timetable: Any = dags["ingest_daily"].timetable
    assert timetable.summary == "after each close of XNYS"
    assert dags["ingest_still"].schedule is None


def test_a_source_that_is_not_described_hides_no_other(sources: Path) -> None:
    (sources / "terse.yaml").write_text("name: terse\nkind: sample\n")
    dags = ingest_dags(sources)
    assert list(dags) == ["ingest_daily", "ingest_still", "ingest_terse"]
    assert dags["ingest_terse"].description == "terse"


def test_airflow_can_store_them_and_read_them_back(sources: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    (sources / "broken.yaml").write_text("name: broken\n")
    for dag_id, dag in ingest_dags(sources).items():
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert stored.dag_id == dag_id
        assert type(stored.timetable).__name__ == type(dag.timetable).__name__


def test_a_broken_file_shows_its_error_and_hides_no_other(sources: Path) -> None:
    (sources / "broken.yaml").write_text("name: broken\nkind: sample\nnonesuch: x\n")
    dags = ingest_dags(sources)
    assert set(dags) == {"ingest_broken", "ingest_daily", "ingest_still"}
    task: Any
    [task] = dags["ingest_broken"].tasks
    with pytest.raises(SourceError, match=r"broken\.yaml(?s:.*)nonesuch"):
        task.python_callable()


def test_shipped_sources_are_all_valid() -> None:
    dags = ingest_dags(REPOSITORY / "sources")
    assert "ingest_sample" in dags
    assert not [dag_id for dag_id, dag in dags.items() if "broken" in dag.tags]


def test_a_worker_is_told_what_became_of_the_source_it_reads(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "ingest_daily")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "ingest")
    (sources / "daily.yaml").write_text("nonsense")
    with pytest.raises(SourceError, match=r"daily\.yaml:1: must hold"):
        ingest_dags(sources)

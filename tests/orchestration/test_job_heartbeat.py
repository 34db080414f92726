"""A service of Airflow's dates its file by the heartbeats that the database has taken."""

from pathlib import Path

import pytest
from airflow.jobs.job import Job
from airflow.listeners.listener import get_listener_manager
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from tradewind.host.heartbeat import HEARTBEAT_FILE
from tradewind.orchestration.runtime import job_heartbeat


@pytest.fixture
def session() -> Session:
    engine = create_engine("sqlite://")
    Job.metadata.tables["job"].create(engine)
    return Session(engine)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "heartbeat"
    monkeypatch.setenv(HEARTBEAT_FILE, str(path))
    return path


@pytest.fixture
def job(session: Session) -> Job:
    made = Job(job_type="TriggererJob")
    job_heartbeat.on_starting(component=made)
    job_heartbeat.on_starting(component=Job())  # as often as it likes
    session.add(made)
    session.commit()
    return made


def test_the_file_is_touched_when_the_heartbeat_is_committed(
    session: Session, job: Job, file: Path
) -> None:
    assert not file.exists()  # a start is no heartbeat
    job.hostname = "changed"
    session.flush()
    assert not file.exists()
    session.commit()
    assert file.exists()
    file.unlink()
    session.commit()
    assert not file.exists()


def test_what_the_database_did_not_take_is_no_heartbeat(
    session: Session, job: Job, file: Path
) -> None:
    job.hostname = "changed"
    session.flush()
    session.rollback()
    session.commit()
    assert not file.exists()


def test_airflow_calls_it_when_a_service_starts() -> None:
    assert get_listener_manager().pm.is_registered(job_heartbeat)

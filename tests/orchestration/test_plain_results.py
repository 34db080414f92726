"""Results of Celery, written by whoever has the workers' login, and read by the scheduler."""

import os
import pickle
from pathlib import Path

import pytest
import sqlalchemy as sa
from celery.backends.database.models import ResultModelBase, Task, TaskExtended
from sqlalchemy.orm import Session

from tradewind.orchestration.runtime import celery_config


class Program:
    """What a hostile task might write down as its result."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self._path}'",)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    assert celery_config.CELERY_CONFIG  # what scheduler and workers import
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'results.db'}")
    ResultModelBase.metadata.create_all(engine)
    return Session(engine)


@pytest.mark.parametrize("model", [Task, TaskExtended])
def test_a_result_runs_nothing(session: Session, tmp_path: Path, model: type[Task]) -> None:
    ran = tmp_path / "ran"
    write = sa.text(
        "INSERT INTO celery_taskmeta (task_id, status, result) VALUES (:id, 'SUCCESS', :r)"
    )
    hostile = {"a program": Program(ran), "a class": Path("x"), "an error": ValueError("x")}
    for name, result in hostile.items():
        session.execute(write, {"id": name, "r": pickle.dumps(result)})
    session.execute(write, {"id": "no pickle", "r": b"\x80nothing"})
    found = {task.task_id: task for task in session.scalars(sa.select(model))}
    assert {task.status for task in found.values()} == {"SUCCESS"}
    assert {task.result for task in found.values()} == {None}
    assert len(found) == 4
    assert not ran.exists()


@pytest.mark.parametrize(
    "result", [None, "text", 7, {"exc_type": "ValueError", "exc_message": ("x",)}, [1, 2.5, True]]
)
def test_plain_results_come_back(session: Session, result: object) -> None:
    task = Task("plain")
    task.result = result
    session.add(task)
    session.flush()
    session.expire_all()
    assert session.scalars(sa.select(Task)).one().result == result

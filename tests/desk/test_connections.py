"""A run that is asked for begins, or it is said at once that it would not."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tradewind.desk._connections import ledger_url, trigger_when_known, use_mlflow
from tradewind.errors import OrchestrationError, StackError
from tradewind.settings import load_settings


@dataclass
class Client:
    """Knows the DAG after some looks."""

    paused: bool = False
    unknown: int = 0
    triggered: list[str] = field(default_factory=list)

    def dag_exists(self, _: str) -> bool:
        self.unknown -= 1
        return self.unknown < 0

    def standstill(self, _: str) -> str:
        return "paused" if self.paused else ""

    def dag_url(self, dag_id: str) -> str:
        return f"http://airflow/dags/{dag_id}"

    def trigger(self, dag_id: str, conf: object) -> str:
        assert conf is None
        self.triggered.append(dag_id)
        return "manual__1"


def test_a_paused_dag_is_said_before_anything_is_started() -> None:
    client = Client(paused=True)
    with pytest.raises(OrchestrationError, match=r"train_x is paused.*http://airflow/dags/train_x"):
        trigger_when_known(cast("Any", client), "train_x")
    assert client.triggered == []


def test_a_dag_that_airflow_has_yet_to_find_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = Client(unknown=3)
    assert trigger_when_known(cast("Any", client), "train_x") == "manual__1"
    assert client.triggered == ["train_x"]


def test_a_task_has_the_logins_of_its_environment_and_reads_no_secret(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ask in (ledger_url, use_mlflow):
        with pytest.raises(StackError, match="the stack is not running"):
            ask(load_settings(checkout))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", "postgresql://research@there/tradewind")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "tradewind")
    settings = load_settings(checkout)
    assert ledger_url(settings) == "postgresql://research@there/tradewind"
    use_mlflow(settings)
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "tradewind"

"""What Airflow's triggerer is asked to run by tasks and DAG files, and refuses."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.triggers.base import BaseTrigger
from airflow.triggers.callback import CallbackTrigger

from tradewind.errors import OrchestrationError
from tradewind.orchestration.runtime.triggerer import TrustingRunner

OWN = """
from airflow.triggers.base import BaseTrigger
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
class Waits(BaseTrigger):
    pass
async def told(**_):
    pass
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with a trigger in plugins/, and one in dags/, both on the path."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    for folder, module in (("plugins", "their_waits"), ("dags", "hostile_waits")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{module}.py").write_text(OWN)
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    yield tmp_path
    for module in ("their_waits", "hostile_waits"):
        sys.modules.pop(module, None)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What Airflow would have run, had it not been kept from it."""
    found: list[object] = []

    async def run_trigger(_runner: object, _id: int, trigger: object, *_: Any, **__: Any) -> None:
        found.append(trigger)

    monkeypatch.setattr(TriggerRunner, "run_trigger", run_trigger)
    return found


def new_runner() -> TrustingRunner:
    return TrustingRunner()  # type: ignore[no-untyped-call] # Airflow's


def run(trigger: BaseTrigger, *rest: Any, **more: Any) -> None:
    asyncio.run(new_runner().run_trigger(1, trigger, *rest, **more))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "path",
    [
        "airflow.providers.standard.triggers.temporal.DateTimeTrigger",
        "tradewind.bridge.triggers.CeleryTaskTrigger",
        "their_waits.Waits",
    ],
)
def test_triggers_of_installed_code_are_run(path: str) -> None:
    runner = new_runner()
    for _ in range(2):
        assert runner.get_trigger_by_classpath(path).__name__ == path.rpartition(".")[2]


@pytest.mark.parametrize(
    "path",
    [
        "subprocess.Popen",
        "builtins.exec",
        "pathlib.Path",
        "hostile_waits.Waits",
        "airflow.utils.process_utils.execute_in_subprocess",
        "pandas.read_pickle",
        "their_waits.told",
        "nowhere.Waits",
        "Waits",
        "",
    ],
)
def test_nothing_else_is(home: Path, path: str) -> None:
    runner = new_runner()
    for _ in range(2):
        with pytest.raises(
            OrchestrationError, match=r"is no trigger|is not of an installed package"
        ):
            runner.get_trigger_by_classpath(path)
    assert not (home / "dags" / "hostile_waits.ran").exists()


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("tradewind.orchestration.alerts.run_is_late", ""),
        ("their_waits.told", ""),
        ("hostile_waits.told", "is not of an installed package"),
        ("subprocess.run", "is not of an installed package"),
        ("airflow.utils.process_utils.execute_in_subprocess", "is no notifier"),
        ("tradewind.orchestration.runtime.cleaning.clean", "is no notifier"),
    ],
)
def test_a_deadline_calls_a_notifier(
    home: Path, ran: list[object], path: str, refusal: str
) -> None:
    trigger = CallbackTrigger(path, {})
    if refusal:
        with pytest.raises(OrchestrationError, match=refusal):
            run(trigger)
    else:
        run(trigger)
    assert ran == ([] if refusal else [trigger])
    assert not (home / "dags" / "hostile_waits.ran").exists()


def test_an_approval_is_waited_for_by_its_own_task(ran: list[object]) -> None:
    own, other = uuid4(), uuid4()
    for answered in (own, other):
        trigger = HITLTrigger(
            ti_id=answered, options=["Approve"], params={}, defaults=["Approve"],
            timeout_datetime=None,
        )  # fmt: skip
        trigger.task_instance = SimpleNamespace(id=own, task_id="ask")  # type: ignore[assignment]
        if answered == own:
            run(trigger)
        else:
            with pytest.raises(OrchestrationError, match="may not wait for, or answer"):
                run(trigger)
    assert len(ran) == 1


def test_what_only_waits_is_run(ran: list[object]) -> None:
    trigger = TimeDeltaTrigger(timedelta(seconds=1))
    run(trigger, None, context=None)
    assert ran == [trigger]

"""Upgrade contracts: each name of another library that we use and that it does not promise."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.foreign import ForeignNames

SOURCE = Path(__file__).parents[1] / "src"
MODULES = sorted(
    ".".join(file.relative_to(SOURCE).with_suffix("").parts)
    for file in SOURCE.rglob("*.py")
    if re.search(r"^FOREIGN\b", file.read_text(encoding="utf-8"), re.MULTILINE)
)
# A process of its own: some of the libraries warn when they are imported beside each other.
LOOK = """
import importlib, json, sys
import mlflow  # before what it finds by entry points
said = {}
for module in sys.argv[1:]:
    names = importlib.import_module(module).FOREIGN
    said[module] = [sentence for each in names if (sentence := each.missing())]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each module lacks of its libraries."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK, *MODULES], capture_output=True, text=True,
        check=False, cwd=tmp_path_factory.mktemp("elsewhere"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", MODULES)
def test_libraries_still_have_what_is_used_of_them(said: dict[str, list[str]], module: str) -> None:
    assert said[module] == []


def test_modules_that_use_such_names_say_so() -> None:
    assert len(MODULES) >= 14


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("json", True),
        ("json:JSONDecoder", True),
        ("json:JSONDecoder.decode", True),
        ("json:JSONDecoder.strict", True),  # set by its constructor
        ("json:JSONDecoder.nothing", False),
        ("json:nothing.at_all", False),
        ("no_such_module:anything", False),
    ],
)
def test_a_name_is_found_or_not(name: str, there: bool) -> None:
    sentence = ForeignNames("pytest", (name,), "do it", "it is not done").missing()
    assert (sentence == "") == there
    assert there or sentence.endswith(f"lacks {name}, used to do it; without it, it is not done")


# What each module does where its library has lost a name: the library's own way, with a warning.
PLAIN = {
    "a task's process": (
        "import airflow.sdk.execution_time.supervisor as library\ndel library._subprocess_main",
        "from tradewind.orchestration.runtime.coordinator import TaskProcess\n"
        "assert TaskProcess is library.ActivitySubprocess",
        "Airflow's own supervisor runs the tasks",
    ),
    "the executor": (
        "from kombu.transport import redis as library\ndel library.Channel._q_for_pri",
        "from tradewind.orchestration.runtime.executor import PromptCeleryExecutor\n"
        "assert not PromptCeleryExecutor()._looks",
        "sent again by Airflow, after ten minutes",
    ),
    "the executor, as the provider sends": (
        "from airflow.providers.celery.executors.celery_executor import CeleryExecutor as library\n"
        "del library._send_workloads_to_celery\n"
        "sent = []\n"
        "library._send_workloads = lambda self, tasks: sent.extend(tasks)",
        "from tradewind.orchestration.runtime.executor import PromptCeleryExecutor\n"
        "executor = PromptCeleryExecutor()\n"
        "waits = []\n"
        "executor._bell.wait = waits.append\n"
        "executor._send_workloads(['a task'])\n"
        "executor.heartbeat()\n"
        "assert not executor._looks and sent == ['a task'] and waits == [0.1]",
        "Airflow's executor finds them after five to ten minutes",
    ),
    "the executor, as the provider hears": (
        "from airflow.providers.celery.executors.celery_executor import CeleryExecutor as library\n"
        "from celery.result import AsyncResult\n"
        "library._heard = library.update_task_state\n"
        "del library.update_task_state\n"
        "from airflow.models.taskinstancekey import TaskInstanceKey\n"
        "key = TaskInstanceKey('dag', 'task', 'run', 1, -1)\n"
        "library.sync = lambda self: self._heard(key, 'FAILURE', None)",
        "from tradewind.orchestration.runtime.executor import PromptCeleryExecutor\n"
        "executor = PromptCeleryExecutor()\n"
        "executor._bell.wait = lambda seconds: None\n"
        "executor.workloads[key] = AsyncResult('message')\n"
        "executor.heartbeat()\n"
        "assert executor.event_buffer[key] == ('failed', None), executor.event_buffer",
        "Airflow's executor finds them after five to ten minutes",
    ),
    "messages of the bridge": (
        "from kombu.transport import redis, virtual\ndel virtual.Channel._get_message_priority",
        "from tradewind.bridge._celery import Transport\nassert Transport.Channel is redis.Channel",
        "sends it again",
    ),
    "batches of metrics": (
        "import mlflow.utils.validation as library\ndel library._validate_run_id",
        "from tradewind.registry.server.stores import batched\n"
        "address = 'postgresql+psycopg2://u:p@h/d'\n"
        "assert batched(address) == address",
        "MLflow's own store writes it",
    ),
}


@pytest.mark.parametrize("what", PLAIN)
def test_without_a_name_the_library_s_own_way_is_taken_with_a_warning(
    what: str, tmp_path: Path
) -> None:
    lose, look, words = PLAIN[what]
    code = f"import logging\nlogging.basicConfig()\n{lose}\n{look}\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout + done.stderr

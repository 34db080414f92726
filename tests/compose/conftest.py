"""One real compose project for all of these tests, removed with its volumes when they are done.

Without an engine none of them is run, and one line says so; where ``REQUIRE_CONTAINER_ENGINE`` is
set, as it is in ``.ci/run``, that is an error.
"""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose.project import (
    Project,
    airflow_client,
    build,
    make_project,
    mlflow_client,
    remove,
    s3_client,
    start_training,
)
from tests.support import wait_until

HERE = Path(__file__).parent
REQUIRE = "REQUIRE_CONTAINER_ENGINE"
_said = pytest.StashKey[dict[str, str]]()
_LEFT_OUT = "left out, no container engine answers"


def why_no_engine() -> str | None:
    for words in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return f"`{' '.join(words)}`: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
    return None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "disturbs: breaks or restarts services; runs after the rest")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    if not here:
        return
    reason = why_no_engine()
    if reason is None:
        # Stable: within each half, files and tests stay in their order.
        here.sort(key=lambda item: item.get_closest_marker("disturbs") is not None)
        others = [item for item in items if HERE not in item.path.parents]
        items[:] = here + others
        return
    if os.environ.get(REQUIRE):
        raise pytest.UsageError(f"tests/compose needs a container engine: {reason}")
    items[:] = [item for item in items if HERE not in item.path.parents]
    config.hook.pytest_deselected(items=here)
    _said_of(config)[_LEFT_OUT] = reason


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for what, value in _said_of(config).items():
        terminalreporter.write_line(f"tests/compose: {what}: {value}", yellow=what == _LEFT_OUT)


def _said_of(config: pytest.Config) -> dict[str, str]:
    """What is told when all is done."""
    return config.stash.setdefault(_said, {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    found = getattr(item, "funcargs", {}).get("project")
    if report.failed and isinstance(found, Project):
        try:
            trouble = found.trouble()
        except AssertionError as error:  # the engine itself may be gone
            trouble = str(error)
        report.sections.append(("containers that are not well", trouble))
    return report


@pytest.fixture(scope="package")
def figures(pytestconfig: pytest.Config) -> dict[str, str]:
    """What was measured on the way, shown when all is done."""
    return _said_of(pytestconfig)


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory, figures: dict[str, str]) -> Iterator[Project]:
    made = make_project(
        tmp_path_factory.mktemp("compose") / "checkout", f"tradewind-test-{uuid.uuid4().hex[:6]}"
    )
    try:
        build(made)
        with made.recorded():
            try:
                made.seconds_to_healthy = made.up()
            except AssertionError as error:
                pytest.fail(f"{error}\n{made.trouble()}", pytrace=False)
            figures["seconds from up to all healthy"] = f"{made.seconds_to_healthy:.0f}"
            yield made
    finally:
        remove(made)


@pytest.fixture(scope="package")
def logins(project: Project) -> dict[str, dict[str, str]]:
    return project.credentials()


@pytest.fixture(scope="package")
def airflow(logins: dict[str, dict[str, str]]) -> Iterator[httpx.Client]:
    with airflow_client(logins["airflow"]) as client:
        yield client


@pytest.fixture(scope="package")
def mlflow(logins: dict[str, dict[str, str]]) -> Iterator[httpx.Client]:
    with mlflow_client(logins["mlflow"]) as client:
        yield client


@pytest.fixture
def s3(project: Project, logins: dict[str, dict[str, str]]) -> Any:
    return s3_client(project, logins["minio"]["password"])


@pytest.fixture(scope="package")
def secrets(project: Project) -> dict[str, str]:
    return project.secrets()


@pytest.fixture(scope="package")
def training(project: Project, airflow: httpx.Client) -> dict[str, Any]:
    """A run of the training workflow, with tasks of the trading application beside it.

    Airflow's account of the run, with ``tasks``; ``trading``: results of the other application's
    tasks; ``redis``: address and words of each command that Redis got; ``denied``: its record of
    refusals.
    """
    project.redis("ACL", "LOG", "RESET")
    with project.redis_commands() as commands:
        path = start_training(airflow)

        def states() -> dict[str, str]:
            found = airflow.get(f"{path}/taskInstances").json()["task_instances"]
            return {task["task_id"]: task["state"] for task in found}

        wait_until(lambda: states().get("train") == "running", 120, of=states)
        trading = project.python("trading-worker", ASK_TRADING)
        wait_until(lambda: airflow.get(path).json()["state"] in {"success", "failed"}, 180)
    return {
        **airflow.get(path).json(),
        "tasks": airflow.get(f"{path}/taskInstances").json()["task_instances"],
        "trading": json.loads(trading.splitlines()[-1]),
        "redis": commands,
        "denied": project.redis("ACL", "LOG"),
    }


ASK_TRADING = """
import json
from tradewind.trading.app import health
sent = [health.delay() for _ in range(4)]
print(json.dumps([result.get(timeout=30) for result in sent]))
"""

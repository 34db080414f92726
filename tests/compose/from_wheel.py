"""A workspace's own containers, built from what is installed, with a package of the desk's own.

Part of the campaign: `pytest tests/compose/from_wheel.py`. What `make test` does of it, without an
engine, is in `tests/test_wheel.py`.
"""

import hashlib
import os
import re
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.compose.project import (
    COMMIT,
    PORTS,
    Project,
    airflow_client,
    mlflow_client,
    remove,
    start_training,
)
from tests.support import free_ports, wait_until
from tests.wheels import install_wheel

PACKAGE = "roman==5.1"  # of no dependency, and none of ours


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("desk")
    installed = install_wheel(tmp_path_factory.mktemp("wheel"))
    installed.run("-m", "tradewind", "init", "my désk", cwd=folder)
    home = folder / "my désk"
    (home / "requirements.txt").write_text(PACKAGE + "\n")
    (home / "strategies" / "my_features.py").write_text(
        "import polars as pl\nimport roman\n\n\n"
        "def gone(window):\n    assert roman.toRoman(4) == 'IV'\n"
        "    return pl.col('close') / pl.col('close').shift(window) - 1.0\n"
    )
    strategy = (home / "strategies" / "momentum.yaml").read_text("utf-8")
    own = '  - custom: {name: gone, function: "my_features:gone", parameters: {window: 5}}\n'
    (home / "strategies" / "momentum.yaml").write_text(
        strategy.replace("  - return: {window: 5}\n", own), "utf-8"
    )
    git = home / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text(COMMIT + "\n")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    ours = re.compile(r"(TRADEWIND|AIRFLOW|MLFLOW|COMPOSE|SECRET)_")
    environment = {k: v for k, v in os.environ.items() if not ours.match(k)}
    environment |= {PORTS[page]: str(port) for page, port in ports.items()}
    name = f"tradewind-desk-{uuid.uuid4().hex[:6]}"
    environment |= {"AIRFLOW_PUBLIC_URL": f"http://localhost:{ports['airflow']}"}
    environment |= {"TRADEWIND_IMAGE_TAG": name}
    made = Project(home, name, ports, environment)
    try:
        made.compose("build", timeout=1800)
        made.up()
        yield made
    finally:
        remove(made)


def test_a_strategy_is_trained_with_a_package_of_its_own(desk: Project) -> None:
    logins = desk.credentials()
    with airflow_client(logins["airflow"]) as airflow, mlflow_client(logins["mlflow"]) as mlflow:
        path = start_training(airflow, "momentum")
        wait_until(lambda: airflow.get(path).json()["state"] in {"success", "failed"}, 600)
        assert airflow.get(path).json()["state"] == "success"
        found = mlflow.get(
            "/api/2.0/mlflow/model-versions/get", params={"name": "momentum", "version": "1"}
        )
        assert found.status_code == httpx.codes.OK, found.text
        tags = {tag["key"]: tag["value"] for tag in found.json()["model_version"]["tags"]}
    lock = (desk.home / "docker" / "uv.lock").read_bytes()
    assert tags["tradewind.lock_sha256"] == hashlib.sha256(lock).hexdigest()
    assert tags["tradewind.requirements_sha256"] == hashlib.sha256(PACKAGE.encode()).hexdigest()
    assert tags["tradewind.git_commit"] == COMMIT


def test_what_brokers_are_made_of_has_the_package_too(desk: Project) -> None:
    assert desk.python("trading-worker", "import roman; print('there')") == "there"

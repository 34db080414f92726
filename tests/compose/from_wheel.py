"""A workspace's own containers, built from what is installed, with packages of the desk's own.

Part of the campaign: `pytest -s tests/compose/from_wheel.py`. What `make test` does of it, without
an engine, is in `tests/test_wheel.py`. With PyTorch the images and their layers take 25 GB of disk.
"""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence

import httpx
import pytest

from tests import sessions
from tests.compose.project import (
    COMMIT,
    PORTS,
    Project,
    airflow_client,
    mlflow_client,
    remove,
    start_training,
)
from tests.own_kinds import COUNT, PACKAGES, PYTORCH, lay_code, strategies, told, took
from tests.stack.airflow import Airflow
from tests.support import free_ports, wait_until
from tests.wheels import install_wheel

PACKAGE = "roman==5.1"  # of no dependency, and none of ours
STRATEGIES = strategies(PYTORCH)
REPRODUCE = """
from tradewind.market.store.bar_store import BarStore
from tradewind.registry.reproduction import reproduce
from tradewind.settings import load_settings
settings = load_settings()
read = BarStore(settings.market_store).read
print(reproduce({!r}, 1, read, home=settings.home).identical)
"""
ASK = """
from tradewind.registry.retrieval import load_registered
found = load_registered({!r})
print(found.info.version)
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("desk")
    installed = install_wheel(tmp_path_factory.mktemp("wheel"))
    installed.run("-m", "tradewind", "init", "my désk", cwd=folder)
    home = folder / "my désk"
    (home / "requirements.txt").write_text("\n".join((PACKAGE, *PACKAGES)) + "\n")
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
    lay_code(home)
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
        with took("build"):
            made.compose("build", timeout=3600)
        with took("up"):
            made.up()
        yield made
    finally:
        remove(made)


@pytest.fixture(scope="module")
def traded(desk: Project) -> None:
    """Each of the three is trained, becomes the champion, and trades on paper."""
    with airflow_client(desk.credentials()["airflow"]) as client:
        airflow = Airflow(client)
        sessions.play(airflow, desk.home, COUNT, strategies=list(STRATEGIES.values()))
        told(airflow, STRATEGIES)


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
    assert re.fullmatch("[0-9a-f]{64}", tags["tradewind.requirements_sha256"])
    assert tags["tradewind.git_commit"] == COMMIT


def test_what_brokers_are_made_of_has_the_package_too(desk: Project) -> None:
    assert desk.python("trading-worker", "import roman; print('there')") == "there"


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_kind_is_traded_to_the_cent_and_reproduced(desk: Project, name: str) -> None:
    def ask(query: str) -> Sequence[Sequence[object]]:
        return desk.sql(query, "tradewind")

    assert sessions.check_book(ask, STRATEGIES[name]) > COUNT
    shown = desk.execute(
        "trading-worker", "with-secrets", "tradewind", "trading", "reconcile", name, "--json"
    )
    [compared] = json.loads(shown)
    assert compared["difference"] == ""
    with took(f"fetch {name}"):
        assert desk.python("airflow-worker", ASK.format(name)).splitlines()[-1] == "1"
    with took(f"reproduce {name}"):
        said = desk.execute(
            "airflow-worker", "with-secrets", "python", "-c", REPRODUCE.format(name), timeout=600
        )
    assert said.strip().endswith("True"), said

"""A workspace from the wheel alone, with a stack: made, started, trained in, traded in, asked.

Part of the campaign: `pytest -s tests/stack/from_wheel.py`. What `make test` does of it, without a
stack, is in `tests/test_wheel.py`. All that the wheel needs is installed anew, from the index, and
PyTorch with it, 5 GB.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sessions
from tests.own_kinds import COUNT, PACKAGES, PYTORCH, lay_code, strategies, told, took
from tests.stack.airflow import login
from tests.stack.conftest import CHECKOUT, MACHINE, Stack, commit, environment_for
from tests.wheels import write_wheel

STRATEGIES = strategies(PYTORCH)
OWN = "tradewind_tests_own"  # a package that no index has


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and what it needs, by uv, which needs no more than half a minute."""
    folder = tmp_path_factory.mktemp("from wheel")
    subprocess.run(["make", "--silent", "wheel", f"DIST={folder}"], cwd=CHECKOUT, check=True)
    uv = shutil.which("uv") or str(CHECKOUT / ".uv" / "bin" / "uv")
    [wheel] = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    with took("install"):
        subprocess.run(
            [uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True
        )
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python,
             "--constraint", folder / "constraints.txt", f"{wheel}[local]"],
            check=True,
        )  # fmt: skip
    return folder / "env" / "bin" / "tradewind"


@pytest.fixture(scope="module")
def desk(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("desk") / "t r ä#d %e"
    environment = environment_for(home)
    del environment["TRADEWIND_HOME"]  # it is found
    environment["PATH"] += f":{CHECKOUT / '.uv' / 'bin'}"  # the environment has no pip
    for name in MACHINE:  # an index is reached as this machine reaches it
        if name.lower().endswith("_proxy"):
            del environment[name]
    environment |= {name: text for name, text in os.environ.items() if name in MACHINE}
    with took("init"):
        subprocess.run([program, "init", home], env=environment, check=True)
    write_wheel(home / "wheels", OWN, "1.0", "import polars as pl\n\nCLOSE = pl.col('close')\n")
    asked = ("--find-links wheels", f"{OWN}==1.0", *PACKAGES)
    (home / "requirements.txt").write_text("\n".join(asked) + "\n")
    (home / "strategies" / "my_features.py").write_text(
        f"from {OWN} import CLOSE\n\n\n"
        "def gone(window):\n    return CLOSE / CLOSE.shift(window) - 1.0\n"
    )
    strategy = (home / "strategies" / "momentum.yaml").read_text("utf-8")
    own = '  - custom: {name: gone, function: "my_features:gone", parameters: {window: 5}}\n'
    (home / "strategies" / "momentum.yaml").write_text(
        strategy.replace("  - return: {window: 5}\n", own), "utf-8"
    )
    lay_code(home)
    commit(home)
    made = Stack(home, environment, (str(program),))
    try:
        with took("up, with what requirements.txt asks for"):
            said = made.ok("up", "--detach", timeout=1800)
        assert OWN.replace("_", "-") in said.replace("_", "-")
        yield made
    finally:
        with took("down"):
            made.run("down")


@pytest.fixture(scope="module")
def traded(desk: Stack) -> None:
    """Each of the three is trained, becomes the champion, and trades on paper."""
    page = desk.json("credentials")["airflow"]
    with login(page["address"], page["user"], page["password"]) as airflow:
        sessions.play(airflow, desk.home, COUNT, strategies=list(STRATEGIES.values()))
        told(airflow, STRATEGIES)


def test_a_strategy_is_trained_registered_and_asked(desk: Stack) -> None:
    with took("train"):
        desk.ok("train", "momentum", "--wait", timeout=1800)
    [version] = desk.json("models", "show", "momentum")
    tags = {key.removeprefix("tradewind."): value for key, value in version["tags"].items()}
    head = subprocess.run(
        ["git", "-C", str(desk.home), "rev-parse", "HEAD"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert tags["git_commit"] == head.stdout.strip()
    assert tags["git_dirty"] == "false"
    lock = hashlib.sha256((CHECKOUT / "uv.lock").read_bytes()).hexdigest()
    assert tags["lock_sha256"] == lock
    assert re.fullmatch("[0-9a-f]{64}", tags["requirements_sha256"])
    with took("champion"):
        desk.ok("models", "promote", "momentum", "1", "--reason", "test", "--override", "test")
    assert set(desk.json("predict", "momentum")["predictions"]) == {"AAPL", "GOOG", "IBM", "MSFT"}
    assert desk.json("reproduce", "momentum", "1")["identical"]


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_kind_is_judged_and_traded_to_the_cent(desk: Stack, name: str) -> None:
    [version] = desk.json("models", "show", name)
    assert version["decision"]["passed"]
    assert "champion" in version["aliases"]
    assert sessions.check_book(desk.rows, STRATEGIES[name]) > COUNT
    [compared] = desk.json("trading", "reconcile", name)
    assert compared["difference"] == ""


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_kind_is_fetched_in_a_process_of_its_own_and_reproduced(desk: Stack, name: str) -> None:
    with took(f"predict {name}"):
        found = desk.json("predict", name)
    assert (found["version"], found["alias"]) == (1, "champion")
    assert found["predictions"].keys() == set(sessions.SYMBOLS)
    assert desk.json("signals", name)["weights"].keys() == set(sessions.SYMBOLS)
    with took(f"reproduce {name}"):
        assert desk.json("reproduce", name, "1")["identical"]


def test_the_stack_of_a_workspace_is_well_and_starts_again(desk: Stack) -> None:
    assert desk.status()["healthy"]
    assert [check for check in desk.json("doctor") if check["problem"]] == []
    desk.ok("down")
    with took("up again"):
        again = desk.ok("up", "--detach")
    assert OWN not in again
    assert desk.status()["healthy"]

"""A workspace from the wheel alone, with a stack: made, started, trained in, asked.

Part of the campaign: `pytest -s tests/stack/from_wheel.py`. What `make test` does of it, without a
stack, is in `tests/test_wheel.py`. All that the wheel needs is installed anew, from the index.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.conftest import CHECKOUT, Stack, commit, environment_for
from tests.wheels import write_wheel


def took(what: str, began: float) -> None:
    print(f"{what} took {time.monotonic() - began:.1f} s")  # noqa: T201 - a campaign tells


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and what it needs, by uv, which needs no more than half a minute."""
    folder = tmp_path_factory.mktemp("from wheel")
    subprocess.run(["make", "--silent", "wheel", f"DIST={folder}"], cwd=CHECKOUT, check=True)
    uv = shutil.which("uv") or str(CHECKOUT / ".uv" / "bin" / "uv")
    [wheel] = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    began = time.monotonic()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python,
         "--constraint", folder / "constraints.txt", f"{wheel}[local]"],
        check=True,
    )  # fmt: skip
    took("install", began)
    return folder / "env" / "bin" / "tradewind"


@pytest.fixture(scope="module")
def desk(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("desk") / "t r ä#d %e"
    environment = environment_for(home)
    del environment["TRADEWIND_HOME"]  # it is found
    environment["PATH"] += f":{CHECKOUT / '.uv' / 'bin'}"  # the environment has no pip
    began = time.monotonic()
    subprocess.run([program, "init", home], env=environment, check=True)
    took("init", began)
    write_wheel(home / "wheels", "mine", "1.0", "import polars as pl\n\nCLOSE = pl.col('close')\n")
    (home / "requirements.txt").write_text("--no-index\n--find-links wheels\nmine==1.0\n")
    (home / "strategies" / "my_features.py").write_text(
        "from mine import CLOSE\n\n\n"
        "def gone(window):\n    return CLOSE / CLOSE.shift(window) - 1.0\n"
    )
    strategy = (home / "strategies" / "momentum.yaml").read_text("utf-8")
    own = '  - custom: {name: gone, function: "my_features:gone", parameters: {window: 5}}\n'
    (home / "strategies" / "momentum.yaml").write_text(
        strategy.replace("  - return: {window: 5}\n", own), "utf-8"
    )
    commit(home)
    made = Stack(home, environment, (str(program),))
    try:
        began = time.monotonic()
        said = made.ok("up", "--detach", timeout=1800)
        took("up", began)
        assert "mine" in said
        yield made
    finally:
        began = time.monotonic()
        made.run("down")
        took("down", began)


def test_a_strategy_is_trained_registered_and_asked(desk: Stack) -> None:
    began = time.monotonic()
    desk.ok("train", "momentum", "--wait", timeout=1800)
    took("train", began)
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
    assert (
        tags["requirements_sha256"]
        == hashlib.sha256(b"mine==1.0\n--no-index\n--find-links wheels").hexdigest()
    )
    began = time.monotonic()
    desk.ok("models", "promote", "momentum", "1", "--reason", "test", "--override", "test")
    took("champion", began)
    assert set(desk.json("predict", "momentum")["predictions"]) == {"AAPL", "GOOG", "IBM", "MSFT"}
    assert desk.json("reproduce", "momentum", "1")["identical"]


def test_the_stack_of_a_workspace_is_well(desk: Stack) -> None:
    assert desk.status()["healthy"]
    assert [check for check in desk.json("doctor") if check["problem"]] == []
    again = desk.ok("up", "--detach")
    assert "mine" not in again

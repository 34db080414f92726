"""Packages of the desk's own are installed by pip or uv, into an environment of the test's own."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.wheels import write_wheel

CHECKOUT = Path(__file__).parents[1]
INSTALL = """
import json, sys
from importlib.metadata import version
from pathlib import Path
from tradewind.errors import TradewindError
from tradewind.settings import Settings
from tradewind.stack.installing import install_packages
from tradewind.stack.layout import Layout

settings = Settings(home=Path(sys.argv[1]))
Layout(settings.state).create()
said = []
try:
    print(json.dumps({"done": install_packages(settings, said.append), "said": said}))
except TradewindError as error:
    print(json.dumps({"error": str(error)}))
"""


@dataclass(frozen=True)
class Environment:
    """A Python with one of pip and uv, this one's libraries, and a workspace."""

    python: Path
    site: Path
    home: Path
    path: str

    def require(self, *lines: str) -> None:
        text = ["--no-index", "--find-links wheels", *lines]
        (self.home / "requirements.txt").write_text("\n".join(text) + "\n")

    def wheel(self, name: str, number: str, *needs: str) -> None:
        write_wheel(self.home / "wheels", name, number, f"VERSION = {number!r}\n", *needs)

    def install(self) -> dict[str, object]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")}
        done = subprocess.run(
            [self.python, "-c", INSTALL, str(self.home)],
            env=environment | {"PATH": self.path}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def installed(self) -> set[str]:
        return {each.name.partition(".dist-info")[0] for each in self.site.glob("*.dist-info")}


@pytest.fixture(scope="module", params=["pip", "uv"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp(request.param) / "a b"
    bare = ["--without-pip"] if request.param == "uv" else []
    subprocess.run([sys.executable, "-m", "venv", *bare, folder], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    beside = [sysconfig.get_path("purelib"), str(CHECKOUT / "src")]
    (site / "libraries.pth").write_text("\n".join(beside) + "\n")
    # `make install` brings uv where the machine has none.
    uv = shutil.which("uv") or CHECKOUT / ".uv" / "bin" / "uv"
    path = str(Path(uv).parent) if request.param == "uv" else "/none"
    return Environment(folder / "bin" / "python", site, folder, path)


def test_what_is_asked_for_is_installed_once_and_again_when_it_changes(
    python: Environment, tmp_path: Path
) -> None:
    its = Environment(python.python, python.site, tmp_path / "dé sk", python.path)
    its.home.mkdir()
    before = its.installed()
    assert its.install() == {"done": False, "said": []}  # no file
    its.wheel("mine", "1.0")
    its.wheel("mine", "2.0", "other")
    its.wheel("other", "1.0")
    its.require("mine==1.0")
    found = its.install()
    assert found["done"]
    assert found["said"]
    assert its.installed() - before == {"mine-1.0"}
    assert its.install() == {"done": False, "said": []}
    its.require("mine>=2")
    assert its.install()["done"]
    assert its.installed() - before == {"mine-2.0", "other-1.0"}
    shutil.rmtree(its.site / "other-1.0.dist-info")  # as another environment would be
    assert its.install()["done"]
    assert its.installed() - before == {"mine-2.0", "other-1.0"}


def test_a_conflict_is_refused_with_both_names_and_nothing_is_installed(
    python: Environment, tmp_path: Path
) -> None:
    its = Environment(python.python, python.site, tmp_path, python.path)
    its.wheel("sound", "1.0")
    its.wheel("clashing", "1.0", "numpy<2")
    its.require("sound", "clashing")
    before = its.installed()
    error = str(its.install()["error"])
    assert "could not be installed, and the stack was not started" in error
    assert "clashing" in error
    assert f"numpy=={version('numpy')}" in error
    assert its.installed() == before
    assert not (tmp_path / ".tradewind" / "installed").exists()  # the next is refused, too


@pytest.mark.parametrize("python", ["uv"], indirect=True)
def test_without_pip_and_uv_the_way_out_is_told(python: Environment, tmp_path: Path) -> None:
    its = Environment(python.python, python.site, tmp_path, "/none")
    its.require("mine")
    assert "-m ensurepip brings pip; --no-install starts without" in str(its.install()["error"])

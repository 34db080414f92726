"""A workspace is made, read and started from the wheel alone, and no checkout is looked at."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tradewind.registry.provenance import code_hash

CHECKOUT = Path(__file__).parents[1]
# Any look into the checkout is an error, but for the libraries that lie there.
WATCH = f"""
import sys

def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "import"):
        path = str(arguments[1 if event == "import" else 0])
        if path.startswith({str(CHECKOUT)!r}) and not path.startswith({sys.prefix!r}):
            raise RuntimeError(f"{{event}} looks into the checkout: {{path}}")

sys.addaudithook(watch)
"""
STARTED = """
import json, sys
from pathlib import Path

import tradewind
from tradewind.registry.provenance import collect
from tradewind.settings import load_settings
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets
from tradewind.stack.services import services

settings = load_settings()
layout = Layout(settings.state)
layout.create()
found = services(settings, layout, Secrets())
print(json.dumps({
    "code": tradewind.__file__,
    "home": str(settings.home),
    "lock": collect(settings.home).lock_sha256,
    "code_hash": collect(settings.home).code_sha256,
    "services": len(found),
    "shipped": sorted({
        Path(word).name for each in found for word in [*each.command, *each.environment.values()]
        if "/tradewind/_shipped/config/" in word
    }),
}))
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and the libraries of this one."""

    python: Path
    package: Path

    def run(self, *words: str, cwd: Path) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"  # airflow's
        done = subprocess.run(
            [self.python, *words], cwd=cwd, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        ["make", "--silent", "wheel", f"DIST={folder}"], cwd=CHECKOUT, check=True,
        capture_output=True,
    )  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "sitecustomize.py").write_text(WATCH)
    return Installed(folder / "venv" / "bin" / "python", site / "tradewind")


def test_a_workspace_works_from_the_wheel_alone(installed: Installed, tmp_path: Path) -> None:
    made = json.loads(installed.run("-m", "tradewind", "init", "my désk", "--json", cwd=tmp_path))
    home = Path(made["folder"])
    assert home == tmp_path / "my désk"
    found = json.loads(installed.run("-c", STARTED, cwd=home / "strategies"))
    assert found == {
        "code": str(installed.package / "__init__.py"),
        "home": str(home),
        "code_hash": code_hash(CHECKOUT / "src" / "tradewind"),
        "lock": hashlib.sha256((CHECKOUT / "uv.lock").read_bytes()).hexdigest(),
        "services": found["services"],
        "shipped": ["mlflow-auth.ini", "postgresql.conf", "redis.conf"],
    }
    assert found["services"] >= 12
    said = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=home)
    assert "2 passed" in said


def test_the_watch_on_the_checkout_can_fail(installed: Installed, tmp_path: Path) -> None:
    look = f"open({str(CHECKOUT / 'uv.lock')!r})"
    with pytest.raises(AssertionError, match="looks into the checkout"):
        installed.run("-c", look, cwd=tmp_path)


def test_no_secret_that_a_user_lays_into_the_checkout_is_in_the_wheel(installed: Installed) -> None:
    assert (installed.package / "_shipped" / "config" / "airflow.env").is_file()
    assert not (installed.package / "_shipped" / "config" / "certificates").exists()
    assert not (installed.package / "_shipped" / ".env").exists()


def test_without_the_packages_of_the_stack_the_extra_is_named(
    installed: Installed, tmp_path: Path
) -> None:
    """As `pip install tradewind` leaves it."""
    (tmp_path / "tradewind").symlink_to(installed.package)
    start = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from tradewind.__main__ import main; main()"
    )
    done = subprocess.run(
        [installed.python, "-S", "-P", "-c", start, "up"],  # -S: without site-packages
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "error: typer is not installed. The command line and the stack need more than the package "
        "alone: pip install 'tradewind[local]'\n"
    )

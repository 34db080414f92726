"""A workspace is made, read and started from the wheel alone, and no checkout is looked at."""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.wheels import Installed, install_wheel
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = install_wheel(tmp_path_factory.mktemp("wheel"))
    (made.package.parent / "sitecustomize.py").write_text(WATCH)
    return made


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


def test_no_secret_that_a_user_lays_into_the_checkout_gets_into_the_wheel() -> None:
    """Whatever lies there today: each file is named in pyproject.toml, or its folder."""
    named = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    taken = named["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for secret in (".env", "config/certificates/tls.key", "backups/b", ".tradewind/secrets.json"):
        assert not [name for name in taken if (CHECKOUT / secret).is_relative_to(CHECKOUT / name)]


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

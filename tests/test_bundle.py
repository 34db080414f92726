"""The program of the desk's page: what is in the package is what `web/` builds, and it works."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tradewind.orchestration.runtime.page.mounted import BUNDLE

WEB = Path(__file__).parents[1] / "web"

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None and "CI" not in os.environ, reason="no npm on PATH"
)  # where the tests must run, they fail without it


@pytest.fixture(scope="module")
def web() -> Path:
    """The folder with the packages of its lock file."""
    installed = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm("ci", "--no-audit", "--no-fund")
    return WEB


def npm(*words: str) -> None:
    done = subprocess.run(
        ["npm", *words], cwd=WEB, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.usefixtures("web")
def test_the_bundle_in_the_package_is_what_the_source_builds(tmp_path: Path) -> None:
    npm("run", "build", "--", "--outDir", str(tmp_path))
    built = (tmp_path / "desk.js").read_bytes()
    assert built == BUNDLE.read_bytes(), "run `make web`, and commit what it makes"


@pytest.mark.usefixtures("web")
def test_the_page_s_own_tests_pass() -> None:
    npm("test")


def test_the_lock_file_names_no_registry_and_each_package_s_hash() -> None:
    import json

    packages = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(packages) > 50
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert not name or package.get("integrity", "").startswith("sha512-"), name

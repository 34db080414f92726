"""The documentation as a site is built whole, or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the site is built from, to be changed."""
    for name in (".env.example", "README.md", "CHANGELOG.md", "mkdocs.yml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    for name in ("benchmarks", "docs", "examples", "sources", "strategies"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    (tmp_path / "src").symlink_to(CHECKOUT / "src")
    return tmp_path


def build(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=checkout,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_leads_nowhere_fails_and_is_named(checkout: Path) -> None:
    with (checkout / "docs" / "trading.md").open("a") as page:
        page.write("\n[a](nowhere.md) [b](research.md#nothing) [c](../sources/none.yaml)\n")
    with (checkout / "docs" / "reference" / "python.md").open("a") as page:
        page.write("\n[`x`][tradewind.nothing]\n")
    with (checkout / "mkdocs.yml").open() as file:
        config = file.read()
    (checkout / "mkdocs.yml").write_text(config.replace("      - Trading: trading.md\n", ""))
    done = build(checkout)
    assert done.returncode != 0
    for told in ("nowhere.md", "research.md#nothing", "none.yaml", "tradewind.nothing"):
        assert told in done.stderr
    assert 'not included in the "nav"' in done.stderr


def test_a_page_that_loads_something_from_elsewhere_is_refused(checkout: Path) -> None:
    with (checkout / "docs" / "trading.md").open("a") as page:
        page.write("\n![](https://example.com/spy.png)\n")
    done = build(checkout)
    assert done.returncode != 0
    assert "trading.md loads https://example.com/spy.png" in done.stderr


def test_the_start_page_is_the_readme_and_files_of_the_checkout_come_along(checkout: Path) -> None:
    done = build(checkout)
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
    site = checkout / "site"
    start = (site / "index.html").read_text("utf-8")
    assert 'href="research.html"' in start
    assert 'src="images/tearsheet.png"' in start
    assert "](examples)" not in start
    assert 'href="files/sources/sample.yaml"' in (site / "source.html").read_text("utf-8")
    assert (site / "files" / "sources" / "sample.yaml").is_file()
    reference = site / "reference"
    python = (reference / "python.html").read_text("utf-8")
    assert "Judge a strategy as its file is now" in python
    assert "::</p>" not in python
    assert "TRADEWIND_ALERT_URL" in (reference / "settings.html").read_text("utf-8")
    assert "tradewind models compare" in (reference / "commands.html").read_text("utf-8")

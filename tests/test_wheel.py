"""A workspace is made, read and started from the wheel alone, and no checkout is looked at."""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
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
    assert "config/tls" in taken


def test_a_workspace_has_all_that_its_images_are_built_from(
    installed: Installed, tmp_path: Path
) -> None:
    home = tmp_path / "desk"
    installed.run("-m", "tradewind", "init", "desk", cwd=tmp_path)
    [wheel] = (home / "docker").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed, zipfile.ZipFile(installed.wheel) as built:
        assert sorted(packed.namelist()) == sorted(built.namelist())
        for name in built.namelist():
            assert name.endswith("/RECORD") or packed.read(name) == built.read(name), name
        record = csv.reader(
            packed.read(next(n for n in packed.namelist() if "RECORD" in n)).decode().splitlines()
        )
        assert sorted(row[0] for row in record) == sorted(packed.namelist())
    dockerfile = (home / "docker" / "Dockerfile").read_text()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for word in line.split()
    ]
    assert len(copied) > 6
    for pattern in copied:
        assert list(home.glob(pattern)) or pattern == ".gi[t]", pattern
    assert "src" not in copied
    for compose in sorted(home.glob("compose*.yaml")):
        text = re.sub(r"(?m)^ *#.*$", "", compose.read_text())
        assert "./config" not in text
        for path in re.findall(r"\./([\w./-]+)", text):
            assert (home / path).exists() or path == "backups", f"{compose.name}: {path}"
        for path in re.findall(r"env_file: (\S+)", text):
            assert (home / path).is_file()
    override = CHECKOUT / "compose.override.yaml"  # of whoever tests
    ours = {path.name for path in CHECKOUT.glob("compose*.yaml") if path != override}
    assert {path.name for path in home.glob("compose*.yaml")} == ours
    [page] = re.findall(
        r"^COPY --from=build /opt/airflow/lib/python3\*/site-packages/(\S+)",
        dockerfile,
        re.MULTILINE,
    )
    assert (installed.package.parent / page).is_file()
    for script in ("probe", "with-secrets", "postgres/databases.sh"):
        assert os.access(home / "docker" / script, os.X_OK)


def test_containers_files_are_written_anew_unless_a_user_changed_them(
    installed: Installed, tmp_path: Path
) -> None:
    home = tmp_path / "desk"
    installed.run("-m", "tradewind", "init", "desk", cwd=tmp_path)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    written = home / "docker" / "written.json"
    old = home / "docker" / "tradewind-0.1.0-py3-none-any.whl"  # as another version left them
    old.write_bytes(b"old")
    probe = home / "docker" / "probe"
    probe.write_bytes(b"old")
    hashes = json.loads(written.read_text())
    hashes |= dict.fromkeys(
        ("docker/probe", f"docker/{old.name}"), hashlib.sha256(b"old").hexdigest()
    )
    written.write_text(json.dumps(hashes))
    told = json.loads(installed.run("-m", "tradewind", "containers", "--json", cwd=home / "dags"))
    assert told["folder"] == str(home)
    assert "docker/probe" in told["files"]
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    assert os.access(probe, os.X_OK)
    # One that is killed has written some, and the list of them last.
    written.write_text(json.dumps(hashes | {"compose.yaml": "of another version"}))
    installed.run("-m", "tradewind", "containers", cwd=home)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    (home / "compose.yaml").write_text("mine")
    with pytest.raises(AssertionError, match=r"compose\.yaml in .* was changed, .*nothing was"):
        installed.run("-m", "tradewind", "containers", cwd=home)
    assert (home / "compose.yaml").read_text() == "mine"
    for damaged in ("[]", "{", json.dumps({str(tmp_path / "mine"): "0"}), '{"../mine": "0"}'):
        written.write_text(damaged)
        with pytest.raises(AssertionError, match=r"written\.json is damaged: take it away"):
            installed.run("-m", "tradewind", "containers", cwd=home)


def test_what_is_gone_of_the_installation_is_told(installed: Installed, tmp_path: Path) -> None:
    gone = installed.package / "py.typed"
    kept = gone.read_bytes()
    gone.unlink()
    try:
        with pytest.raises(
            AssertionError, match=r"cannot read .*py\.typed.*Install tradewind again"
        ):
            installed.run("-m", "tradewind", "init", "desk", cwd=tmp_path)
    finally:
        gone.write_bytes(kept)
    assert not (tmp_path / "desk").exists()


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

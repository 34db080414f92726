import hashlib
import platform
import subprocess
from pathlib import Path

import pytest

from tradewind.registry.provenance import UNKNOWN, Provenance, collect


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "uv.lock").write_text("version = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert collect(checkout) == Provenance(
        git_commit=git(checkout, "rev-parse", "HEAD"),
        git_dirty="false",
        lock_sha256=hashlib.sha256(b"version = 1\n").hexdigest(),
        python=platform.python_version(),
    )


@pytest.mark.parametrize("name", ["uv.lock", "new_file"])
def test_a_changed_or_new_file_makes_it_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("changed")
    assert collect(checkout).git_dirty == "true"


def test_a_folder_inside_somebody_else_s_checkout_has_no_commit(checkout: Path) -> None:
    inner = checkout / "inner"
    inner.mkdir()
    found = collect(inner)
    assert (found.git_commit, found.git_dirty) == (UNKNOWN, UNKNOWN)


def test_a_repository_without_a_commit_is_unknown(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    found = collect(tmp_path)
    assert (found.git_commit, found.git_dirty) == (UNKNOWN, UNKNOWN)


def test_without_git_and_lock_file_both_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert collect(tmp_path) == Provenance(UNKNOWN, UNKNOWN, UNKNOWN, platform.python_version())

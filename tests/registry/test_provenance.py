import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import tradewind
from tradewind.registry.provenance import NONE, UNKNOWN, Provenance, code_hash, collect

PACKAGE = Path(tradewind.__file__).parent
LOCK = hashlib.sha256((PACKAGE.parents[1] / "uv.lock").read_bytes()).hexdigest()


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
        lock_sha256=LOCK,
        python=platform.python_version(),
        code_sha256=code_hash(PACKAGE),
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


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert collect(tmp_path) == Provenance(
        UNKNOWN, UNKNOWN, LOCK, platform.python_version(), code_hash(PACKAGE), "none"
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("where", [".git", "built-from"])
def test_without_git_the_commit_is_read_from_its_files(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, detached: bool, where: str
) -> None:
    git(checkout, "checkout", "-q", "-b", "feature/a.b")
    (checkout / "uv.lock").write_text("version = 2\n")
    git(checkout, "commit", "-q", "-a", "-m", "second")
    commit = git(checkout, "rev-parse", "HEAD")
    if packed:
        git(checkout, "pack-refs", "--all")
        assert not (checkout / ".git" / "refs" / "heads" / "feature" / "a.b").exists()
    if detached:
        git(checkout, "checkout", "-q", "--detach")
    monkeypatch.setenv("PATH", str(checkout))
    (checkout / ".git").rename(checkout / where)
    found = collect(checkout)
    assert (found.git_commit, found.git_dirty) == (commit, UNKNOWN)


@pytest.mark.parametrize(
    "head", ["", "ref: refs/heads/../../secret", "ref: refs/heads/gone", "0" * 39, "gitdir: /x"]
)
def test_a_head_that_names_no_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "secret").write_text("c0ffee" * 6 + "0000")
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text(head)
    assert collect(tmp_path).git_commit == UNKNOWN


def test_the_hash_of_code_follows_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    hashes = [code_hash(tmp_path)]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert code_hash(tmp_path) == hashes[0]
    (tmp_path / "a.py").write_text("x = 2\n")
    hashes.append(code_hash(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    hashes.append(code_hash(tmp_path))
    assert len(set(hashes)) == 3


def test_packages_of_the_desk_s_own_are_named_by_their_versions(tmp_path: Path) -> None:
    assert collect(tmp_path).requirements_sha256 == NONE
    (tmp_path / "requirements.txt").write_text("threadpoolctl>=1\n")
    told = f"threadpoolctl=={version('threadpoolctl')}"
    assert collect(tmp_path).requirements_sha256 == hashlib.sha256(told.encode()).hexdigest()
    (tmp_path / "requirements.txt").write_bytes(b"\xff")
    assert collect(tmp_path).requirements_sha256 == UNKNOWN

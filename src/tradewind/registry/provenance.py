"""From which code, and with which packages, something was computed."""

import hashlib
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import RequirementsError
from tradewind.own_packages import hash_of_installed
from tradewind.shipped import IN_THE_WHEEL, shipped

__all__ = ["NONE", "UNKNOWN", "Provenance", "code_hash", "collect"]

UNKNOWN: Final = "unknown"
NONE: Final = "none"
_GIT_TIMEOUT_SECONDS: Final = 10
# What a container image keeps of the checkout it was built from (docker/Dockerfile).
_BUILT_FROM: Final = "built-from"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_BRANCH: Final = re.compile(r"ref: (refs/heads/(?!.*\.\.)[^\s:]+)")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What must be had again to compute the same result."""

    git_commit: str
    """Of the workspace: forty hexadecimal digits, or `UNKNOWN` where it is no repository, nor an
    image built from one."""
    git_dirty: str
    """``"true"``, ``"false"`` or `UNKNOWN`: whether files differed from the commit. Without git,
    as in a container, nobody can say; `code_sha256` then tells whether code is the same."""
    lock_sha256: str
    """SHA-256 of the ``uv.lock`` that this version of tradewind comes with."""
    python: str
    """Version of the interpreter, such as ``"3.13.1"``."""
    code_sha256: str = UNKNOWN
    """SHA-256 of the source of tradewind that ran, wherever it is installed."""
    features_sha256: str = NONE
    """SHA-256 of the source of the user's own features, `NONE` if the strategy has none."""
    model_code_sha256: str = NONE
    """SHA-256 of the source of the user's own model or rule, `NONE` if the strategy has none."""
    requirements_sha256: str = NONE
    """SHA-256 of names and versions of the packages that the workspace's ``requirements.txt`` asks
    for, as they were installed (`tradewind.own_packages`); `NONE` if it asks for none, `UNKNOWN`
    if it cannot be read."""


def collect(
    home: Path, *, features_sha256: str = NONE, model_code_sha256: str = NONE
) -> Provenance:
    """Return where the running code comes from.

    A workspace without git is no error: a model trained in a container is still a model, and says
    of itself that its commit is unknown.

    Parameters
    ----------
    home : Path
        The workspace, which is the top of a git working tree if there is one.
    features_sha256 : str
        Of the source of the strategy's own features.
    model_code_sha256 : str
        Of that of its own model or rule.
    """
    commit, dirty = _git_state(home)
    return Provenance(
        git_commit=commit,
        git_dirty=dirty,
        lock_sha256=hashlib.sha256(shipped("uv.lock").read_bytes()).hexdigest(),
        python=platform.python_version(),
        code_sha256=code_hash(Path(__file__).parents[1]),
        features_sha256=features_sha256,
        model_code_sha256=model_code_sha256,
        requirements_sha256=_own_packages(home),
    )


def _own_packages(home: Path) -> str:
    try:
        return hash_of_installed(home) or NONE
    except RequirementsError:
        return UNKNOWN


def code_hash(package: Path) -> str:
    """Return the SHA-256 of a package's Python files, their names and content in order of name.

    A commit says less: files may differ from it, and an image may know of none. What only comes
    along in a wheel is no code, so that a wheel and its checkout have the same hash.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] == IN_THE_WHEEL:
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _git_state(home: Path) -> tuple[str, str]:
    top = _git(home, "rev-parse", "--show-toplevel")
    # A checkout without .git inside somebody else's repository is not at that one's commit.
    if top is not None and Path(top).resolve() == home.resolve():
        commit = _git(home, "rev-parse", "--verify", "HEAD")
        changes = _git(home, "status", "--porcelain")
        if commit is not None and changes is not None:
            return commit, "true" if changes else "false"
    commit = _head(home / ".git") or _head(home / _BUILT_FROM)
    return commit or UNKNOWN, UNKNOWN


def _head(folder: Path) -> str | None:
    """Return the commit that git's files say is checked out, None if they do not."""
    head = _read(folder / "HEAD")
    branch = _BRANCH.fullmatch(head)
    if branch is None:
        commit = head
    else:
        name = branch.group(1)
        line = re.compile(rf"^(\S+) {re.escape(name)}$", re.MULTILINE)
        packed = line.search(_read(folder / "packed-refs"))
        commit = _read(folder / name) or (packed.group(1) if packed else "")
    return commit if _COMMIT.fullmatch(commit) else None


def _read(path: Path) -> str:
    """Return the text of a file, nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _git(home: Path, *arguments: str) -> str | None:
    """Return what git says, or None if it is missing, refuses or hangs."""
    # No optional locks: `git status` otherwise writes the index of a checkout that a user may
    # be committing to at this moment.
    command = ["git", "--no-optional-locks", "-C", str(home), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""From which code, and with which packages, something was computed."""

import hashlib
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["UNKNOWN", "Provenance", "collect"]

UNKNOWN = "unknown"
_GIT_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Provenance:
    """What must be had again to compute the same result."""

    git_commit: str
    """Forty hexadecimal digits, or `UNKNOWN` outside a checkout or without git."""
    git_dirty: str
    """``"true"``, ``"false"`` or `UNKNOWN`: whether files differed from the commit."""
    lock_sha256: str
    """SHA-256 of ``uv.lock``, or `UNKNOWN` if there is none."""
    python: str
    """Version of the interpreter, such as ``"3.13.1"``."""


def collect(home: Path) -> Provenance:
    """Return where the running code comes from.

    Nothing here is an error: a model trained in a container without git is still a model, and
    says of itself that its commit is unknown.

    Parameters
    ----------
    home : Path
        The checkout: holds ``uv.lock``, and is the top of a git working tree if there is one.
    """
    commit, dirty = _git_state(home)
    lock = home / "uv.lock"
    return Provenance(
        git_commit=commit,
        git_dirty=dirty,
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else UNKNOWN,
        python=platform.python_version(),
    )


def _git_state(home: Path) -> tuple[str, str]:
    top = _git(home, "rev-parse", "--show-toplevel")
    # A checkout without .git inside somebody else's repository is not at that one's commit.
    if top is None or Path(top).resolve() != home.resolve():
        return UNKNOWN, UNKNOWN
    commit = _git(home, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return UNKNOWN, UNKNOWN
    changes = _git(home, "status", "--porcelain")
    if changes is None:
        return commit, UNKNOWN
    return commit, "true" if changes else "false"


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

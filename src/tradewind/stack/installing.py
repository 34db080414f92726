"""Installs the packages of the desk's own before the stack starts, if they have changed."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tradewind.errors import RequirementsError
from tradewind.own_packages import (
    FILE,
    Line,
    check_requirements,
    packages_of_tradewind,
    requirements,
)
from tradewind.settings import Settings
from tradewind.stack.layout import Layout, write_atomically

__all__ = ["install_packages"]

_LAST_LINES: Final = 20
_NO_NEWS: Final = "Requirement already satisfied"  # a line for each package that is there


def install_packages(settings: Settings, on_line: Callable[[str], None] = lambda _: None) -> bool:
    """Install what ``requirements.txt`` asks for into this environment, beside tradewind.

    The packages that tradewind runs with keep their versions. Nothing is done, and nobody asked,
    if neither the file nor the environment has changed since the last time.

    Parameters
    ----------
    settings : Settings
    on_line : callable, optional
        Called with each line that pip or uv says.

    Returns
    -------
    bool
        Whether anything was to be installed.

    Raises
    ------
    RequirementsError
        If a line cannot be meant, there is neither pip nor uv, or what is asked for cannot be had.
        Both resolve and fetch everything before they install anything.
    StackError
        If the state directory cannot be written.
    """
    lines = requirements(settings.home)
    mark = Layout(settings.state).installed_file
    if not lines or (mark.exists() and mark.read_text() == _state_of(lines)):
        return False
    ours = packages_of_tradewind()
    check_requirements(settings.home, lines, ours)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="tradewind-") as constraints:
        constraints.writelines(
            f"{name}=={version}\n" for name, version in ours.items() if name != "tradewind"
        )
        constraints.flush()
        words = ["--requirement", str(settings.home / FILE), "--constraint", constraints.name]
        _run([*_installer(), *words], settings.home, on_line)
    write_atomically(mark, _state_of(lines))
    return True


def _state_of(lines: Iterable[Line]) -> str:
    """Return a name for what the file says, and for what is installed here."""
    site = Path(sysconfig.get_path("purelib"))
    installed = sorted(each.name for each in site.glob("*.dist-info"))
    state = [[line.text for line in lines], str(site), installed]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _installer() -> list[str]:
    """Return the command of what is there: pip as whoever made this environment has set it up."""
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "install", "--no-input", "--progress-bar=off"]
        return [*pip, "--disable-pip-version-check"]
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        # Compiled now, as pip does by itself: each task, which writes nothing there, would do so.
        words = ["--no-progress", "--compile-bytecode", "--python", sys.executable]
        return [uv, "pip", "install", *words]
    raise RequirementsError(
        f"{FILE} asks for packages, and neither pip is in {sys.prefix} nor uv on PATH: "
        f"{sys.executable} -m ensurepip brings pip; --no-install starts without them"
    )


def _run(command: list[str], home: Path, on_line: Callable[[str], None]) -> None:
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command, cwd=home, env={**os.environ, "NO_COLOR": "1"}, text=True, encoding="utf-8",
        errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            if not line.startswith(_NO_NEWS):
                last.append(line.rstrip())
                on_line(line.rstrip())
    if process.returncode:
        said = "\n".join(f"  {line}" for line in last)
        raise RequirementsError(
            f"{home / FILE} could not be installed, and the stack was not started:\n{said}\n"
            "What is called a constraint is a package that tradewind runs with: ask for versions "
            "that go with it. --no-install starts without"
        )

"""Environments of what ours is compared with: made by uv when first asked for, versions pinned.

Each has a file of requirements beside this one, ``others/NAME.txt``, as ``uv pip compile`` writes
it. They are kept in ``.bench/`` of the checkout, and are no dependencies of the project.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["environment"]

CHECKOUT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("others")
FOLDER = CHECKOUT / ".bench"


def environment(name: str) -> Path:
    """Return the folder of programs of an environment, ready to be run.

    Parameters
    ----------
    name : str
        Of its file of requirements.
    """
    wanted = REQUIREMENTS / f"{name}.txt"
    version = hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    folder = FOLDER / f"{name}-{version}"
    if not (folder / ".compiled").exists():
        uv = shutil.which("uv") or str(CHECKOUT / ".uv" / "bin" / "uv")
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.stderr.write(f"installing {name} into {folder}\n")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder)]
        subprocess.run([*install, "-r", str(wanted)], check=True)
        (folder / ".compiled").touch()
    return folder / "bin"

"""Wheels: ours, in an environment of its own, and those of packages that nobody has heard of."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and the libraries of this one."""

    wheel: Path
    python: Path
    package: Path

    def run(self, *words: str, cwd: Path) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"  # airflow's
        done = subprocess.run(
            [self.python, *words], cwd=cwd, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def install_wheel(folder: Path) -> Installed:
    """Build the wheel, and lay it into an environment that has this one's libraries."""
    subprocess.run(
        ["make", "--silent", "wheel", f"DIST={folder}"], cwd=CHECKOUT, check=True,
        capture_output=True,
    )  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(wheel, folder / "venv" / "bin" / "python", site / "tradewind")


def write_wheel(folder: Path, name: str, version: str, code: str, *needs: str) -> None:
    """Lay a wheel of one module into a folder."""
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {each}" for each in needs]
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)

"""The command as a user calls it, where nothing of theirs may hide a module of ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("tradewind")
# Of what we stand on, and of Python itself.
SHADOWS = (
    "redis", "celery", "typer", "click", "pydantic", "yaml", "polars", "httpx",
    "statistics", "json", "tempfile", "subprocess", "logging", "getpass", "pathlib", "datetime",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    for name in SHADOWS:
        (made / f"{name}.py").write_text(f"raise ImportError('not {name}')\n")
    for name in ("sources", "strategies"):
        (made / name).mkdir()
    (made / "strategies" / "own.yaml").write_text(
        "name: own\ndescription: d\nuniverse: {source: sample, symbols: [IBM, MSFT]}\nhorizon: 5\n"
        'features:\n  - custom: {name: x, function: "my_features:own"}\n'
        "model: {kind: ridge}\nwalk_forward: {train: 504, test: 126}\n"
        "backtest: {commission_bps: 1, slippage_bps: 4}\n"
    )
    (made / "strategies" / "my_features.py").write_text(
        "import statistics\nimport polars as pl\n\n\n"
        "def own():\n    return pl.col('close').pct_change() * statistics.mean([1.0])\n"
    )
    return made


@pytest.mark.parametrize("program", [(str(SCRIPT),), (sys.executable, "-m", "tradewind")])
@pytest.mark.parametrize("path", [".", "/none:{folder}"])
def test_modules_in_the_folder_hide_none_of_ours(
    folder: Path, program: tuple[str, ...], path: str
) -> None:
    run = subprocess.run(
        [*program, "backtest", "none_such"],
        cwd=folder,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")},
            "TRADEWIND_HOME": str(folder),
            "PYTHONPATH": path.format(folder=folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in run.stderr
    assert "no strategy named 'none_such'" in run.stderr
    assert run.returncode == 1


def test_nor_in_what_the_command_starts(folder: Path) -> None:
    """A trial of the strategy's own features, which inherits the environment and the folder."""
    code = (
        "from pathlib import Path\n"
        "from tradewind.research.features.tried_once import try_features\n"
        "from tradewind.research.strategy.files import load_strategy\n"
        "directory = Path('strategies').absolute()\n"
        "print(try_features(load_strategy(directory / 'own.yaml'), directory) or 'sound')\n"
        "import os; print('PYTHONPATH' in os.environ)\n"
    )
    (folder.parent / "probe.py").write_text(
        "import os\nfrom tradewind.__main__ import main\n"
        "if 'PYTHONPATH' not in os.environ:  # it was started anew\n"
        f"    import tradewind.cli\n    tradewind.cli.main = lambda: exec({code!r}, {{}})\n"
        "main()\n"
    )
    run = subprocess.run(
        [sys.executable, str(folder.parent / "probe.py")],
        cwd=folder,
        env={**os.environ, "TRADEWIND_HOME": str(folder), "PYTHONPATH": "/none:."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["sound", "False"]

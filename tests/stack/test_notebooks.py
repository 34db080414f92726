"""The notebooks in examples/ run from top to bottom on the real stack."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.conftest import CHECKOUT, Stack

MODEL = "believed"  # passes its gate, so that its first version becomes the champion
NOTEBOOKS = sorted((CHECKOUT / "examples").glob("*.ipynb"))


@pytest.fixture(scope="module")
def champion(stack: Stack) -> None:
    """A model with a champion, as a notebook asks for one."""
    if not any("champion" in model["aliases"] for model in stack.json("models", "list")):
        stack.ok("train", MODEL, "--wait", timeout=900)


@pytest.fixture
def examples(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """The notebooks in a folder of their own; what they write into the checkout goes after."""
    yield shutil.copytree(CHECKOUT / "examples", tmp_path / "examples")
    (stack.home / "strategies" / "reversal.yaml").unlink(missing_ok=True)


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("notebook", [file.stem for file in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom(stack: Stack, examples: Path, notebook: str) -> None:
    environment = {
        **stack.environment,
        **{f"JUPYTER_{name}_DIR": str(examples / name) for name in ("CONFIG", "DATA", "RUNTIME")},
        "IPYTHONDIR": str(examples / "ipython"),
        "PYTHONUTF8": "1",
    }
    del environment["PYTHONPATH"]  # the folder's shadows are for the command
    file = examples / f"{notebook}.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", "from nbclient.cli import main; main()", "--inplace",
         "--timeout=600", str(file)],
        cwd=examples, env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    shown = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("text/html" in output.get("data", ()) for output in shown) >= 3
    said = [output["text"] for output in shown if output.get("name") == "stderr"]
    # tqdm, which MLflow and Optuna bring, says that it would rather have widgets.
    assert [text for text in said if "IProgress not found" not in str(text)] == []
    if notebook == "idea_to_backtest":
        assert any("data:image/png;base64" in str(output) for output in shown)
        assert (examples / "reversal.html").is_file()


def test_notebooks_are_kept_without_outputs() -> None:
    assert len(NOTEBOOKS) == 3
    for file in NOTEBOOKS:
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None

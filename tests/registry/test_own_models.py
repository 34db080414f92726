"""Models and rules of the desk's own: kept with their code, fetched, and trained once more."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.research.own_models import SEQUENCES, SOUND
from tradewind.errors import RegistryError
from tradewind.registry.promotion import judge_version
from tradewind.registry.provenance import collect
from tradewind.registry.reproduction import reproduce
from tradewind.registry.retrieval import load_registered, verify_round_trip
from tradewind.registry.tracking import ModelVersionRef, log_training
from tradewind.research.code.own import model_code_hash
from tradewind.research.models.model import fingerprint
from tradewind.research.models.rows import example
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

HOME = Path(__file__).parent  # no checkout, so that it does not matter what is being edited
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "class": (
        "import sklearn.linear_model\n" + SOUND,
        {"kind": "custom", "class": "mine:Mine", "parameters": {"scale": 2.0}},
    ),
    "sequences": (SEQUENCES, {"kind": "custom", "class": "mine:Mine", "lookback": 5}),
    "rule": (
        "def rule(features, sign):\n    return sign * features['return_5']\n",
        {"kind": "rule", "function": "mine:rule", "parameters": {"sign": -1.0}},
    ),
}

Trained = Callable[..., tuple[Strategy, TrainingResult, ModelVersionRef]]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file beside the strategy files."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()
    return tmp_path / "strategies" / "mine.py"


@pytest.fixture
def trained(training: Any, code: Path, request: pytest.FixtureRequest) -> Trained:
    def make(kind: str) -> tuple[Strategy, TrainingResult, ModelVersionRef]:
        text, model = KINDS[kind]
        code.write_text(text)
        name = f"own_{request.node.originalname.removeprefix('test_')[:30]}_{kind}"
        strategy = Strategy.model_validate(
            {**training.strategy.model_dump(), "model": model, "name": name}
        )
        result = train(training.store.read(training.snapshot_id), strategy)
        ref = log_training(
            result,
            strategy=strategy,
            snapshot_id=training.snapshot_id,
            provenance=collect(HOME, model_code_sha256=model_code_hash(strategy) or ""),
        )
        return strategy, result, ref

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_asked_and_trained_again_by_the_code_it_was_trained_with(
    trained: Trained, training: Any, code: Path, kind: str, client: Any
) -> None:
    strategy, result, ref = trained(kind)
    tags = client.get_model_version(ref.name, ref.version).tags
    assert tags["tradewind.model_code_sha256"] == model_code_hash(strategy)
    code.write_text("raise RuntimeError('edited since')")
    back = load_registered(ref.name, int(ref.version))
    assert fingerprint(back.model) == fingerprint(result.model) == tags["tradewind.model_sha256"]
    assert verify_round_trip(ref.name, int(ref.version), training.store) > 0
    code.unlink()
    found = reproduce(ref.name, int(ref.version), training.store.read, home=HOME)
    assert found.identical, found.results
    assert found.compared["out-of-sample predictions"] == result.predictions.height


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_no_tradewind_can_load_it(trained: Trained, kind: str, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    strategy, result, ref = trained(kind)
    download_artifacts(f"models:/{ref.name}/{ref.version}", dst_path=str(tmp_path / "kept"))
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix in {".pkl", ".pickle"}] == []
    wanted = (tmp_path / "kept" / "requirements.txt").read_text()
    assert ("\nscikit-learn==" in wanted) == (kind == "class")
    script = """
import json, sys, warnings
sys.modules["tradewind"] = None  # importing it fails
warnings.simplefilter("ignore")
import mlflow.pyfunc
model = mlflow.pyfunc.load_model("kept")
print(json.dumps(model.predict(model.input_example).tolist()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    asked = result.input_example.select("symbol", "session")
    expected = result.reference.join(asked, on=["symbol", "session"], maintain_order="right")
    assert expected.height == 5
    np.testing.assert_array_equal(json.loads(done.stdout), expected["prediction"].to_numpy())
    assert result.input_example.columns == example(result.input_example, strategy).columns


def test_a_file_that_was_changed_in_the_registry_is_not_run(
    trained: Trained, client: Any, tmp_path: Path
) -> None:
    _, _, ref = trained("rule")
    changed = tmp_path / "changed" / "artifacts" / "own" / "code"
    changed.mkdir(parents=True)
    (changed / "mine.py").write_text("raise RuntimeError('never run')")
    model_id = client.get_model_version(ref.name, ref.version).source.rpartition("/")[2]
    client.log_model_artifacts(model_id, str(tmp_path / "changed"))
    with pytest.raises(RegistryError, match=r"mine.py is not the file that was logged"):
        load_registered(ref.name, int(ref.version))


def test_one_that_comes_out_differently_is_refused_by_the_gate(training: Any, code: Path) -> None:
    drawing = SOUND.replace("rcond=None)[0]", "rcond=None)[0] + np.random.normal(size=2)")
    code.write_text(drawing)
    strategy = Strategy.model_validate(
        {
            **training.strategy.model_dump(),
            "model": {"kind": "custom", "class": "mine:Mine"},
            "name": "own_drawing",
        }
    )
    result = train(training.store.read(training.snapshot_id), strategy)
    ref = log_training(
        result, strategy=strategy, snapshot_id=training.snapshot_id, provenance=collect(HOME)
    )
    decision = judge_version(ref.name, int(ref.version))
    refused = {rule.rule: rule.reason for rule in decision.refused}
    assert refused["reproducible"].startswith("not reproducible: two fits on the same rows")
    assert isinstance(result.predictions, pl.DataFrame)

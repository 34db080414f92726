"""Models of every kind into a real MLflow server and out again."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.models import fitted
from tradewind.errors import RegistryError
from tradewind.market.sources import sample
from tradewind.registry.flavours import load_model, log_model, packages
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.models.model import fit, predict_rows
from tradewind.research.strategy.strategy import Strategy

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

MODELS = {
    "regression": {"kind": "lightgbm", "rounds": 10},
    "lambdarank": {"kind": "lightgbm", "rounds": 10, "objective": "lambdarank"},
    "ridge": {"kind": "ridge"},
    "rule": {"kind": "ma_crossover", "fast": 10, "slow": 50},
}
FLAVOURS = {
    "regression": {"lightgbm", "python_function"},
    "lambdarank": {"lightgbm", "python_function"},
    "ridge": {"sklearn", "python_function"},
    "rule": {"python_function"},
}
FEATURES = [{"return": {"window": 5}}, {"rank": {"of": {"return": {"window": 21}}}}]


class Logged:
    """A fitted model, its input, and where it was logged."""

    def __init__(self, name: str, bars: pl.DataFrame) -> None:
        import mlflow
        from mlflow.models import infer_signature

        fields = {
            "name": "small",
            "description": "Small enough for a test.",
            "universe": {"source": "sample", "symbols": ["AAPL", "IBM", "MSFT"]},
            "horizon": 5,
            "features": [] if name == "rule" else FEATURES,
            "model": MODELS[name],
            "walk_forward": {"train": 756, "test": 504},
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
        }
        self.strategy = Strategy.model_validate(fields)
        features = compute_features(bars, self.strategy)
        rows = features.join(compute_labels(bars, self.strategy), on=["symbol", "session"])
        self.model = fit(rows, self.strategy)
        self.rows = features.tail(500)
        self.example = features.select(self.strategy.feature_names).tail(5).to_pandas()
        mlflow.set_experiment("flavours")
        with mlflow.start_run():
            self.info = log_model(
                self.model,
                name="model",
                signature=infer_signature(self.example, np.zeros(5)),
                input_example=self.example,
                pip_requirements=packages(self.strategy.model),
            )


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return sample.load(["AAPL", "IBM", "MSFT"])


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_as_it_was_and_leaves_no_files_behind(
    name: str, bars: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = Logged(name, bars)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    back = load_model(logged.info.model_uri, logged.strategy.model)
    assert list(tmp_path.iterdir()) == []
    assert type(back.native) is type(logged.model.native)
    expected = predict_rows(logged.model, logged.rows, logged.strategy)
    assert predict_rows(back, logged.rows, logged.strategy).tobytes() == expected.tobytes()
    assert np.unique(expected).size > 10


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_native_described_and_no_pickle(
    name: str, bars: pl.DataFrame, tmp_path: Path
) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    logged = Logged(name, bars)
    folder = Path(download_artifacts(logged.info.model_uri, dst_path=str(tmp_path)))
    model = Model.load(folder)
    assert set(model.flavors) == FLAVOURS[name]
    assert model.signature is not None
    assert model.signature.inputs.input_names() == list(logged.strategy.feature_names)
    example: Any = model.load_input_example(str(folder))
    np.testing.assert_array_equal(example.to_numpy(), logged.example.to_numpy())
    wanted = (folder / "requirements.txt").read_text().split()
    assert set(packages(logged.strategy.model)) <= set(wanted)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 3
    assert [file for file in files if file.suffix in {".pkl", ".pickle", ".lock"}] == []
    assert not any(file.read_bytes().startswith(b"\x80") for file in files)  # as pickles do


def test_who_has_no_tradewind_can_load_them(bars: pl.DataFrame, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    expected = {}
    for name in MODELS:
        logged = Logged(name, bars)
        download_artifacts(logged.info.model_uri, dst_path=str(tmp_path / name))
        expected[name] = predict_rows(logged.model, logged.rows.tail(5), logged.strategy)
    script = f"""
import json, sys, warnings
sys.modules["tradewind"] = None  # importing it fails
warnings.simplefilter("ignore")
import mlflow.pyfunc
found = {{}}
for name in {list(MODELS)}:
    model = mlflow.pyfunc.load_model(name)
    found[name] = model.predict(model.input_example).tolist()
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    found = json.loads(done.stdout)
    assert set(found) == set(MODELS)
    for name, predictions in expected.items():
        np.testing.assert_allclose(found[name], predictions, rtol=1e-9)  # BLAS rounds otherwise


@pytest.mark.parametrize(("name", "other"), [("rule", "ridge"), ("ridge", "rule")])
def test_a_model_of_another_kind_is_refused(name: str, other: str, bars: pl.DataFrame) -> None:
    logged = Logged(name, bars)
    with pytest.raises(RegistryError, match=rf"{logged.info.model_uri} .*Train it again"):
        load_model(logged.info.model_uri, Logged(other, bars).strategy.model)


def test_a_flavour_that_there_is_not_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"plain is to be kept as 'none'\. There are"):
        load_model("models:/any/1", fitted(None).fields)


def test_types_that_no_ridge_has_are_not_made(
    bars: pl.DataFrame, client: Any, tmp_path: Path
) -> None:
    import skops.io

    class Surprise:
        pass

    Surprise.__module__, Surprise.__qualname__ = "builtins", "Surprise"
    logged = Logged("ridge", bars)
    folder = tmp_path / "changed"
    folder.mkdir()
    skops.io.dump({"model": Surprise()}, folder / "model.skops")
    client.log_model_artifacts(logged.info.model_id, str(folder))
    with pytest.raises(RegistryError, match=r"types that no ridge has: .*Surprise"):
        load_model(logged.info.model_uri, logged.strategy.model)

"""Estimators of other libraries into a real MLflow server and out again."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import polars as pl
import pytest

from tests.estimators import ESTIMATORS, estimator, part
from tradewind.errors import RegistryError
from tradewind.market.sources import sample
from tradewind.registry.flavours import load_model, log_model, packages
from tradewind.registry.provenance import collect
from tradewind.registry.reproduction import reproduce
from tradewind.registry.retrieval import load_registered, verify_round_trip
from tradewind.registry.tracking import log_training
from tradewind.registry.versions import show_model
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.models.model import FittedModel, fingerprint, fit, predict_rows
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

PICKLED = estimator("sklearn.ensemble:GradientBoostingRegressor", n_estimators=10, max_depth=2) | {
    "pickle": "accept"
}
MODELS = {**ESTIMATORS, "pickled": PICKLED}
FLAVOURS = dict.fromkeys(MODELS, "sklearn") | {
    "xgboost": "xgboost",
    "xgboost classifier": "xgboost",
    "xgboost ranker": "xgboost",
    "catboost": "catboost",
}
SYMBOLS = ["AAPL", "IBM", "MSFT"]
KEY = ["session", "symbol"]
ASKED = 300  # rows


def strategy_of(model: dict[str, Any]) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "small",
            "description": "Small enough for a test.",
            "universe": {"source": "sample", "symbols": SYMBOLS},
            "horizon": 5,
            "features": [{"return": {"window": 5}}, {"rank": {"of": {"return": {"window": 21}}}}],
            "model": model,
            "walk_forward": {"train": 756, "test": 504},
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            "seed": 3,
        }
    )


@dataclass(frozen=True)
class Logged:
    """A fitted model, and where it was logged."""

    strategy: Strategy
    model: FittedModel
    predictions: bytes
    info: Any


Log = Callable[[str], Logged]


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    found = compute_features(sample.load(SYMBOLS), strategy_of(ESTIMATORS["pipeline"]))
    return found.sort("session", "symbol")


_LOGGED: dict[str, Logged] = {}


@pytest.fixture
def log(features: pl.DataFrame) -> Log:
    """Log a model, once for all tests: none of them changes it, but those that log their own."""

    def logged(name: str) -> Logged:
        if name not in _LOGGED:
            _LOGGED[name] = log_anew(MODELS[name], features)
        return _LOGGED[name]

    return logged


def log_anew(fields: dict[str, Any], features: pl.DataFrame) -> Logged:
    import mlflow
    from mlflow.models import infer_signature

    strategy = strategy_of(fields)
    labels = compute_labels(sample.load(SYMBOLS), strategy)
    model = fit(features.join(labels, on=KEY).sort(KEY).tail(1500), strategy)
    asked = features.tail(ASKED)
    example = features.select(strategy.feature_names).tail(5).to_pandas()
    mlflow.set_experiment("estimators")
    with mlflow.start_run():
        info = log_model(
            model,
            name="model",
            signature=infer_signature(example, np.zeros(5)),
            input_example=example,
            pip_requirements=packages(strategy.model),
        )
    return Logged(strategy, model, predict_rows(model, asked, strategy).tobytes(), info)


@pytest.mark.parametrize("name", MODELS)
def test_one_comes_back_as_it_was_in_its_own_flavour(
    name: str, log: Log, features: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    logged = log(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    back = load_model(logged.info.model_uri, logged.strategy.model)
    found = predict_rows(back, features.tail(ASKED), logged.strategy)
    assert found.tobytes() == logged.predictions
    assert np.unique(found).size > 10
    assert type(back.native) is type(logged.model.native)
    assert fingerprint(back) == fingerprint(logged.model)
    assert list(tmp_path.iterdir()) == []  # nothing is left behind

    folder = Path(download_artifacts(logged.info.model_uri, dst_path=str(tmp_path)))
    about = Model.load(folder)
    assert set(about.flavors) == {FLAVOURS[name], "python_function"}
    assert about.signature is not None
    assert about.signature.inputs.input_names() == list(logged.strategy.feature_names)
    wanted = (folder / "requirements.txt").read_text().split()
    assert set(packages(logged.strategy.model)) <= set(wanted)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 3
    pickles = [file for file in files if file.read_bytes().startswith(b"\x80")]
    assert bool(pickles) == (name == "pickled")


def test_packages_are_those_that_are_installed() -> None:
    assert packages(strategy_of(ESTIMATORS["xgboost"]).model) == (
        "numpy", "pandas", "scikit-learn", "skops", "xgboost-cpu",
    )  # fmt: skip
    assert "cloudpickle" in packages(strategy_of(PICKLED).model)
    assert {"lightgbm", "scikit-learn"} <= {*packages(strategy_of(ESTIMATORS["stack"]).model)}


def test_clean_processes_fetch_the_same(log: Log, features: pl.DataFrame, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    names = ["xgboost", "xgboost classifier", "catboost", "lightgbm ranker", "forest", "committee"]
    plain = ["xgboost", "catboost", "lightgbm ranker", "committee"]  # no classes, which differ
    wanted, uris = {}, {}
    for name in names:
        logged = log(name)
        uris[name] = logged.info.model_uri
        wanted[name] = [logged.predictions.hex(), fingerprint(logged.model)]
        (tmp_path / f"{name}.json").write_text(logged.strategy.model_dump_json())
        download_artifacts(logged.info.model_uri, dst_path=str(tmp_path / name))
    features.tail(ASKED).write_parquet(tmp_path / "features.parquet")
    script = f"""
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import mlflow.pyfunc
import polars as pl

sys.modules["tradewind"] = None  # importing it fails: who does not have it can load them, too
alone = {{}}
for name in {plain!r}:
    model = mlflow.pyfunc.load_model(name)
    alone[name] = model.predict(model.input_example).tolist()

del sys.modules["tradewind"]
from tradewind.registry.flavours import load_model
from tradewind.research.models.model import fingerprint, predict_rows
from tradewind.research.strategy.strategy import Strategy
found = {{}}
for name, uri in {uris!r}.items():
    strategy = Strategy.recorded(Path(name + ".json").read_text())
    model = load_model(uri, strategy.model)
    predictions = predict_rows(model, pl.read_parquet("features.parquet"), strategy)
    found[name] = [predictions.tobytes().hex(), fingerprint(model)]
print(json.dumps([alone, found]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    alone, found = json.loads(done.stdout)
    assert found == wanted
    assert set(alone) == set(plain)
    for name, predictions in alone.items():
        expected = np.frombuffer(log(name).predictions)[-5:]
        np.testing.assert_allclose(predictions, expected, rtol=1e-6)  # XGBoost's are single


@pytest.mark.parametrize(("name", "other"), [("xgboost", "catboost"), ("pipeline", "pickled")])
def test_one_of_another_class_is_refused(name: str, other: str, log: Log) -> None:
    uri, fields = log(name).info.model_uri, log(other).strategy.model
    with pytest.raises(RegistryError, match=rf"{uri} holds no .*Train it again"):
        load_model(uri, fields)


def test_another_class_within_the_same_package_is_refused(log: Log) -> None:
    uri = log("forest").info.model_uri
    with pytest.raises(RegistryError, match=r"is no sklearn\.pipeline:Pipeline"):
        load_model(uri, log("pipeline").strategy.model)


def test_a_damaged_file_is_told(features: pl.DataFrame, client: Any, tmp_path: Path) -> None:
    logged = log_anew(ESTIMATORS["xgboost"], features)
    (tmp_path / "model.ubj").write_bytes(b"no model")
    client.log_model_artifacts(logged.info.model_id, str(tmp_path))
    with pytest.raises(RegistryError, match="cannot be read as xgboost:XGBRegressor"):
        load_model(logged.info.model_uri, logged.strategy.model)


class Surprise:
    """Nothing of any package."""


def _called(state: Any) -> Any:
    """Return what is called numpy.memmap and is made by a call: it would write a file."""
    state["content"]["content"]["memmap"] = {
        "__class__": "memmap",
        "__module__": "numpy",
        "__loader__": "ConstructorFromReduceNode",
        "content": state["content"]["content"]["memory"],
    }
    return state


def _function(state: Any) -> Any:
    """Return a function of NumPy's that runs a text."""
    state["content"]["content"]["memory"] = {
        "__class__": "runstring",
        "__module__": "numpy.testing",
        "__loader__": "FunctionNode",
    }
    return state


def _other_package(state: Any) -> Any:
    """Return a type of a package that the strategy does not name."""
    state["content"]["content"]["memory"] = {
        "__class__": "DataFrame",
        "__module__": "polars",
        "__loader__": "ObjectNode",
    }
    return state


def test_a_file_that_somebody_changed_is_refused(
    features: pl.DataFrame, client: Any, tmp_path: Path
) -> None:
    logged = log_anew(ESTIMATORS["pipeline"], features)
    whole, file = tmp_path / "whole", tmp_path / "changed" / "model.skops"
    file.parent.mkdir()
    import skops.io

    skops.io.dump(logged.model.native, whole)
    changes = {
        "numpy.memmap": _called,
        "numpy.testing.runstring": _function,
        "polars.DataFrame": _other_package,
    }
    for named, change in changes.items():
        with ZipFile(whole) as parts, ZipFile(file, "w") as changed:
            for part_name in parts.namelist():
                content = parts.read(part_name)
                if part_name == "schema.json":
                    content = json.dumps(change(json.loads(content))).encode()
                changed.writestr(part_name, content)
        client.log_model_artifacts(logged.info.model_id, str(file.parent))
        why = rf"holds what no sklearn\.pipeline:Pipeline has.*{named}"
        with pytest.raises(RegistryError, match=why):
            load_model(logged.info.model_uri, logged.strategy.model)


def test_what_cannot_be_kept_says_what_could_be_done(features: pl.DataFrame) -> None:
    strategy = strategy_of(ESTIMATORS["pipeline"])
    labels = compute_labels(sample.load(SYMBOLS), strategy)
    model = fit(features.join(labels, on=KEY).sort(KEY).tail(500), strategy)
    from sklearn.cluster import Birch  # of which skops knows that it cannot write it

    common: Any = {"name": "model", "signature": None, "input_example": None}
    oddities = {
        "no type of the strategy's packages: .*Surprise": Surprise(),
        "cannot be kept without a pickle: ": Birch(),
    }
    for why, oddity in oddities.items():
        model.native.oddity = oddity
        with pytest.raises(RegistryError, match=f"{why}.*pickle: accept"):
            log_model(model, pip_requirements=(), **common)


def test_a_package_that_is_gone_is_named(log: Log) -> None:
    logged = log("xgboost")
    record = logged.strategy.model_dump_json().replace("xgboost:XGB", "of_nobody:XGB")
    with pytest.raises(RegistryError, match=r"no installed package of_nobody\. Often used are"):
        load_model(logged.info.model_uri, Strategy.recorded(record).model)


def test_parts_are_made_by_name(features: pl.DataFrame) -> None:
    """A member of a committee of another package is one of the strategy's packages, too."""
    members = [["boosted", part("catboost:CatBoostRegressor", iterations=3)]]
    logged = log_anew(estimator("sklearn.ensemble:VotingRegressor", estimators=members), features)
    back = load_model(logged.info.model_uri, logged.strategy.model)
    found = predict_rows(back, features.tail(ASKED), logged.strategy)
    assert found.tobytes() == logged.predictions


def test_a_version_is_trained_again_to_the_same_bits(
    training: Any, client: Any, tmp_path: Path
) -> None:
    fields = {**training.strategy.model_dump(), "model": MODELS["xgboost ranker"]}
    strategy = Strategy.model_validate({**fields, "name": "again"})
    read = training.store.read
    ref = log_training(
        train(read(training.snapshot_id), strategy),
        strategy=strategy,
        snapshot_id=training.snapshot_id,
        provenance=collect(tmp_path),
    )
    assert reproduce("again", int(ref.version), read, home=tmp_path).identical
    assert verify_round_trip("again", int(ref.version), training.store) > 10
    assert [version.pickled for version in show_model("again")] == [False]
    assert client.get_run(ref.run_id).data.params["model.class"] == "xgboost:XGBRanker"
    # A record that somebody made to accept a pickle loads none.
    path = Path(client.download_artifacts(ref.run_id, "strategy.json", str(tmp_path)))
    record = json.loads(path.read_text())
    record["model"]["pickle"] = "accept"
    path.write_text(json.dumps(record))
    client.log_artifact(ref.run_id, str(path))
    with pytest.raises(RegistryError, match="Somebody changed the file"):
        load_registered("again", int(ref.version))
    with pytest.raises(RegistryError, match=r"accepts a pickle.*Somebody changed the file"):
        reproduce("again", int(ref.version), read, home=tmp_path)


def test_a_version_that_is_a_pickle_is_marked(
    training: Any, features: pl.DataFrame, tmp_path: Path
) -> None:
    fields = {**training.strategy.model_dump(), "model": PICKLED, "name": "marked"}
    strategy = Strategy.model_validate(fields)
    rows = features.join(compute_labels(sample.load(SYMBOLS), strategy), on=KEY).tail(500)
    rows = rows.rename(dict(zip(features.columns[2:], strategy.feature_names, strict=True)))
    log_training(
        replace(training.result, model=fit(rows, strategy)),
        strategy=strategy,
        snapshot_id=training.snapshot_id,
        provenance=collect(tmp_path),
    )
    [version] = show_model("marked")
    assert version.pickled
    assert version.tags["tradewind.pickle"] == "true"

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.models import fitted
from tradewind.errors import ReproductionError
from tradewind.registry.retrieval import RegisteredModel, refuse_other_features
from tradewind.registry.version_info import VersionInfo
from tradewind.research.features.own_code import feature_code_hash
from tradewind.research.strategy.files import load_strategies
from tradewind.research.strategy.strategy import Strategy

REPOSITORY = Path(__file__).parents[2]


def registered(strategy: Strategy, tags: dict[str, str]) -> RegisteredModel:
    info = VersionInfo(
        name=strategy.name,
        version=3,
        aliases=("champion",),
        run_id="0" * 32,
        metrics={},
        tags=tags,
        created=datetime(2013, 3, 2, tzinfo=UTC),
        decision=None,
    )
    return RegisteredModel(fitted(None), info, strategy, "a" * 64)


def test_a_model_is_not_asked_by_features_that_were_edited_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(REPOSITORY / "strategies", tmp_path / "strategies")
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    noise = load_strategies(tmp_path / "strategies")[0]["noise"]
    model = registered(noise, {"tradewind.features_sha256": feature_code_hash(noise) or ""})
    refuse_other_features(model)
    with (tmp_path / "strategies" / "noise_features.py").open("a") as code:
        code.write("\n\ndef noise(seed): return pl.lit(seed)\n")
    with pytest.raises(ReproductionError, match=r"noise version 3 .*other code"):
        refuse_other_features(model)


def test_a_model_without_features_of_its_own_has_nothing_to_compare() -> None:
    ridge = load_strategies(REPOSITORY / "strategies")[0]["ridge"]
    refuse_other_features(registered(ridge, {"tradewind.features_sha256": "none"}))

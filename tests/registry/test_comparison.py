"""Two versions side by side, against a real MLflow server."""

import math
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from tradewind.errors import RegistryError
from tradewind.registry.comparison import compare
from tradewind.registry.provenance import Provenance
from tradewind.registry.tracking import log_training

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

NAME = "compared"
PROVENANCE = Provenance(git_commit="c0ffee", git_dirty="false", lock_sha256="10c", python="3.11.7")


@pytest.fixture(scope="module")
def _two_versions(training: Any, mlflow_server: str, _mlflow_imported: None) -> None:
    """A version, and one of another seed and commit that earns 10 basis points more a day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        strategy = training.strategy.model_copy(update={"name": NAME})
        known = {"strategy": strategy, "snapshot_id": training.snapshot_id}
        log_training(training.result, **known, provenance=PROVENANCE)
        shifted = training.result.equity.with_columns(pl.col("net_return") + 0.001).slice(100)
        better = replace(
            training.result, equity=shifted, metrics={**training.result.metrics, "extra": 1.0}
        )
        known["strategy"] = strategy.model_copy(update={"seed": 8})
        log_training(better, **known, provenance=replace(PROVENANCE, git_commit="decaf"))


@pytest.mark.usefixtures("_two_versions")
def test_a_comparison_shows_figures_sharpe_difference_and_origin(training: Any) -> None:
    found = compare(NAME, 1, 2)
    sharpe = training.result.metrics["sharpe"]
    assert found.metrics["sharpe"] == (sharpe, sharpe)
    assert found.metrics["extra"] == (None, 1.0)
    returns = training.result.equity.get_column("net_return").slice(100)
    assert found.common_sessions == returns.len()
    deviation = returns.std()
    assert isinstance(deviation, float)
    expected = 0.001 / deviation * math.sqrt(252)
    assert found.sharpe_difference == pytest.approx(expected, rel=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert 0.0 < found.low < expected < found.high
    assert found.strategy == {"seed": (7, 8)}
    assert {key: pair for key, pair in found.provenance.items() if key != "strategy_sha256"} == {
        "git_commit": ("c0ffee", "decaf"), "seed": ("7", "8"),
    }  # fmt: skip


@pytest.mark.usefixtures("_two_versions")
def test_a_version_differs_from_itself_in_nothing() -> None:
    found = compare(NAME, 2, 2)
    assert (found.sharpe_difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.strategy == {}
    assert found.provenance == {}


@pytest.mark.usefixtures("_two_versions")
def test_a_version_that_is_not_there_is_named() -> None:
    with pytest.raises(RegistryError, match=rf"no '{NAME}' version 3"):
        compare(NAME, 1, 3)

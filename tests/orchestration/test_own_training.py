"""The example of a workflow of one's own in dags/examples; tests/stack runs it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from tradewind.market.sources import sample
from tradewind.orchestration.dags.common import champion_asset
from tradewind.orchestration.dags.strategy_dags import strategy_dags
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.models.external import HandedIn
from tradewind.research.strategy.files import load_strategy

EXAMPLES = Path(__file__).parents[2] / "dags" / "examples"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_training", EXAMPLES / "own_training.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bars(example: ModuleType) -> pl.DataFrame:
    return sample.load(example.SYMBOLS)


def test_it_predicts_all_that_its_strategy_asks_for(
    example: ModuleType, bars: pl.DataFrame
) -> None:
    strategy = load_strategy(EXAMPLES / "handed_in.yaml")
    made = HandedIn.of(example.walk_forward(bars), strategy)
    made.refuse_unfit(bars, strategy)
    dataset = prepare(bars, strategy)
    made.refuse_holes(dataset.rows.slice(dataset.windows[0].test_start), strategy)


def test_it_knows_no_future(example: ModuleType, bars: pl.DataFrame) -> None:
    whole = example.walk_forward(bars)
    for cut in ("2006-03-01", "2010-08-17"):
        end = pl.lit(cut).str.to_date()
        then = example.walk_forward(bars.filter(pl.col("session") <= end))
        assert then.height > 1000
        assert then.equals(whole.filter(pl.col("session") <= end))


def test_an_external_model_has_signals_and_orders_and_is_neither_trained_nor_watched(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "handed_in.yaml").write_text((EXAMPLES / "handed_in.yaml").read_text())
    dags = strategy_dags(folder)
    assert sorted(dags) == ["execute_handed_in", "signals_handed_in"]
    # New bars alone would find nothing that was handed in for them.
    waits: Any = dags["signals_handed_in"].timetable
    assert waits.asset_condition == champion_asset("handed_in")

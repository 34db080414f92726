from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tradewind.market.sources import sample
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train

STRATEGIES = Path(__file__).parents[2] / "strategies"


@pytest.fixture(scope="session")
def bars() -> pl.DataFrame:
    """Every real bar that ships with the project."""
    return sample.load(sample.SYMBOLS)


@pytest.fixture(scope="session")
def strategy() -> Strategy:
    """The shipped strategy."""
    return load_strategy(STRATEGIES / "momentum.yaml")


@pytest.fixture(scope="session")
def trained(bars: pl.DataFrame, strategy: Strategy) -> TrainingResult:
    """One training of the shipped strategy; read, never changed."""
    return train(bars, strategy)


Own = Callable[..., Strategy]


@pytest.fixture
def own(tmp_path: Path, strategy: Strategy, monkeypatch: pytest.MonkeyPatch) -> Own:
    """Make a strategy of one feature of one's own, in a folder of strategies of its own."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()

    def make(
        expression: str = "", *, code: str = "", rank: bool = False, **spec: object
    ) -> Strategy:
        body = code or f"def feature():\n    return {expression}\n"
        (tmp_path / "strategies" / "mine.py").write_text(f"import polars as pl\n\n\n{body}")
        custom = {"custom": {"name": "x", "function": "mine:feature", **spec}}
        fields = {
            **strategy.model_dump(),
            "features": [{"rank": {"of": custom}} if rank else custom],
        }
        return Strategy.model_validate(fields)

    return make

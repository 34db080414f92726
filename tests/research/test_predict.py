import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.models import fitted
from tests.research.holes import PLACE, punched, walk
from tradewind.errors import ResearchError, StrategyError
from tradewind.research.evaluation.predict import predict, wanted_weights
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult


def test_a_model_read_back_from_its_file_predicts_the_reference(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult, tmp_path: Path
) -> None:
    import lightgbm

    assert isinstance(trained.model.native, lightgbm.Booster)
    trained.model.native.save_model(tmp_path / "model.lgb")
    fetched = replace(trained.model, native=lightgbm.Booster(model_file=tmp_path / "model.lgb"))
    assert predict(fetched, bars, strategy, sessions=20).equals(trained.reference)


def test_the_latest_session_comes_alone_unless_more_are_asked_for(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    found = predict(trained.model, bars, strategy)
    day = dt.date(2013, 3, 1)
    assert found.select("symbol", "session").rows() == [
        ("AAPL", day),
        ("GOOG", day),
        ("IBM", day),
        ("MSFT", day),
    ]
    assert found.equals(trained.reference.tail(4))


def test_a_prediction_does_not_change_when_later_bars_arrive(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    day = dt.date(2013, 2, 15)
    then = predict(trained.model, bars.filter(pl.col("session") <= day), strategy)
    now = trained.reference.filter(pl.col("session") == day)
    assert now.height == 4
    assert then.equals(now)


def test_too_few_bars_are_refused(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    few = bars.filter(pl.col("session") > dt.date(2013, 1, 1))
    with pytest.raises(ResearchError, match="fewer than its features look back"):
        predict(trained.model, few, strategy)


@pytest.fixture
def holed(own: Callable[..., Strategy]) -> Callable[[str, str], Strategy]:
    """A strategy on made bars whose first feature can be undefined."""

    def make(symbols: str, missing: str) -> Strategy:
        fields = own(PLACE).model_dump()
        return Strategy.model_validate(
            {
                **fields,
                "universe": {"source": "made", "symbols": tuple(symbols)},
                "features": [*fields["features"], {"return": {"window": 5}}],
                "model": {"kind": "ridge"},
                "missing": missing,
            }
        )

    return make


class First:
    """A model that predicts its first feature."""

    def predict(self, data: np.ndarray) -> np.ndarray:
        return data[:, 0]


FIRST = fitted(First())


def test_sessions_are_those_of_the_bars_not_of_the_rows(
    holed: Callable[[str, str], Strategy],
) -> None:
    bars = walk("AB", 60)
    days = bars.get_column("session").unique().sort().to_list()
    broken = punched(punched(bars, "A", days[-3:]), "B", days[-3:-1])
    for missing in ("drop_row", "hold"):
        found = predict(FIRST, broken, holed("AB", missing), sessions=3)
        assert found.select("symbol", "session").rows() == [("B", days[-1])]
        four = predict(FIRST, broken, holed("AB", missing), sessions=4)
        assert four.get_column("session").to_list() == [days[-4], days[-4], days[-1]]


@pytest.mark.parametrize("sessions", [1, 5])
def test_by_default_what_cannot_be_predicted_is_refused_by_name(
    holed: Callable[[str, str], Strategy], sessions: int
) -> None:
    bars = walk("AB", 60)
    days = bars.get_column("session").unique().sort().to_list()
    strategy = holed("AB", "refuse")
    message = f"feature x of B in 1 session \\({days[-1]}\\).*drop_row.*hold"
    with pytest.raises(StrategyError, match=message):
        predict(FIRST, punched(bars, "B", days[-1:]), strategy, sessions=sessions)
    long_ago = punched(bars, "B", days[20:22])
    assert predict(FIRST, long_ago, strategy, sessions=sessions).height == 2 * sessions
    with pytest.raises(StrategyError, match=f"feature x of B in 2 sessions \\({days[20]}"):
        predict(FIRST, long_ago, strategy, sessions=50)


@pytest.mark.parametrize("missing", ["refuse", "drop_row", "hold"])
def test_a_last_session_that_nobody_can_be_predicted_for_is_always_an_error(
    holed: Callable[[str, str], Strategy], missing: str
) -> None:
    bars = walk("AB", 60)
    days = bars.get_column("session").unique().sort().to_list()
    broken = punched(punched(bars, "A", days[-1:]), "B", days[-2:])
    for ask in (predict, wanted_weights):
        with pytest.raises(ResearchError, match=f"x of A.*{days[-1]}|{days[-1]}.*x of A"):
            ask(FIRST, broken, holed("AB", missing), sessions=5)
    with pytest.raises(ResearchError, match="still in its warm-up"):
        predict(FIRST, bars.filter(pl.col("session").is_in(days[:5])), holed("AB", missing))
    # B's last bar is older, so nothing is known of it: that is no hole.
    gone = bars.filter((pl.col("symbol") == "A") | (pl.col("session") < days[-1]))
    assert predict(FIRST, gone, holed("AB", missing))["symbol"].to_list() == ["A"]


def test_no_sessions_are_refused(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    with pytest.raises(ResearchError, match="ask for one or more"):
        predict(trained.model, bars, strategy, sessions=0)

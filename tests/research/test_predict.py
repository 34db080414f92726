import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from tradewind.errors import ResearchError
from tradewind.research.predict import predict
from tradewind.research.strategy import Strategy
from tradewind.research.training import TrainingResult


def test_a_model_read_back_from_its_file_predicts_the_reference(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult, tmp_path: Path
) -> None:
    import lightgbm

    trained.model.save_model(tmp_path / "model.lgb")
    fetched = lightgbm.Booster(model_file=tmp_path / "model.lgb")
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


def test_no_sessions_are_refused(
    bars: pl.DataFrame, strategy: Strategy, trained: TrainingResult
) -> None:
    with pytest.raises(ResearchError, match="ask for one or more"):
        predict(trained.model, bars, strategy, sessions=0)

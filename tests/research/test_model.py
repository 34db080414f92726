import numpy as np
import polars as pl
import pytest

from tradewind.research.features import compute_features
from tradewind.research.labels import compute_labels
from tradewind.research.model import fit, predict_rows
from tradewind.research.strategy import Strategy


@pytest.fixture(scope="module")
def rows(bars: pl.DataFrame, strategy: Strategy) -> pl.DataFrame:
    features, labels = compute_features(bars, strategy), compute_labels(bars, strategy)
    return features.join(labels, on=["symbol", "session"]).tail(1500)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_the_number_of_cores_changes_no_bit(
    rows: pl.DataFrame, strategy: Strategy, num_threads: int
) -> None:
    matrix = rows.select(strategy.feature_names).to_numpy()
    small = strategy.model.model_copy(update={"rounds": 10})
    found = [
        predict_rows(
            fit(
                matrix,
                rows.get_column("label").to_numpy(),
                parameters=small,
                feature_names=strategy.feature_names,
                seed=3,
                num_threads=cores,
            ),
            matrix,
            num_threads=cores,
        )
        for cores in (1, num_threads)
    ]
    assert np.array_equal(found[0], found[1])
    assert np.unique(found[0]).size > 10


def test_a_planted_signal_is_learnt(rows: pl.DataFrame, strategy: Strategy) -> None:
    matrix = rows.select(strategy.feature_names).to_numpy()
    labels = np.where(matrix[:, 0] > 0.0, 0.01, -0.01)
    booster = fit(
        matrix[:1000],
        labels[:1000],
        parameters=strategy.model,
        feature_names=strategy.feature_names,
        seed=3,
    )
    predicted = predict_rows(booster, matrix[1000:])
    assert (np.sign(predicted) == np.sign(labels[1000:])).mean() > 0.95

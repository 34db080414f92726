"""Models that share binned rows predict what models that bin for themselves predict."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.research.conftest import STRATEGIES
from tradewind.errors import FitError
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.walk_forward import score
from tradewind.research.models._bins import Bins, binning
from tradewind.research.models.model import fit, predict_rows
from tradewind.research.models.rows import matrix
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.parameter_sets import draw

SETTINGS = {"objective": "regression", "min_data_in_leaf": 20, "seed": 7, "max_bin": 255}


@pytest.fixture(scope="module")
def ranker() -> Strategy:
    return load_strategy(STRATEGIES / "ranker.yaml")


@pytest.mark.parametrize(
    "name", ["learning_rate", "num_leaves", "feature_fraction", "bagging_fraction", "lambda_l2",
             "bagging_freq", "num_threads", "verbosity", "min_data_in_leaf"],
)  # fmt: skip
def test_parameters_that_have_no_say_in_binning_are_left_out(name: str) -> None:
    assert binning({**SETTINGS, name: 3}) == binning({**SETTINGS, name: 4})


@pytest.mark.parametrize(
    "name", ["objective", "seed", "max_bin", "min_data_in_bin", "data_random_seed", "label_gain",
             "bin_construct_sample_cnt", "lambdarank_truncation_level", "one_that_is_new"],
)  # fmt: skip
def test_all_other_parameters_count(name: str) -> None:
    assert binning({**SETTINGS, name: 3}) != binning({**SETTINGS, name: 4})
    assert binning({**SETTINGS, name: 3}) != binning(
        {key: value for key, value in SETTINGS.items() if key != name}
    )


def test_trials_that_share_bins_score_the_same_to_the_bit(
    bars: pl.DataFrame, ranker: Strategy
) -> None:
    dataset = prepare(bars, ranker)
    bins = [Bins() for _ in dataset.windows]
    trials = [ranker.with_parameters(drawn) for drawn in draw(ranker)[:3]]
    for trial in trials:
        alone, shared = score(dataset, trial), score(dataset, trial, shared=bins)
        assert shared.predictions.equals(alone.predictions)
        assert shared.equity.equals(alone.equity)
        assert shared.metrics == alone.metrics


def made_up(objective: str, n_sessions: int = 150) -> tuple[Strategy, pl.DataFrame]:
    """Features of which some cannot be split for many rows a leaf: two values, few, or one."""
    draw = np.random.default_rng(3)
    n_rows = 4 * n_sessions
    strategy = load_strategy(STRATEGIES / "momentum.yaml")
    columns = {name: draw.normal(size=n_rows) for name in strategy.feature_names}
    names = list(columns)
    columns[names[1]] = (np.arange(n_rows) % 20 == 0).astype(float)
    columns[names[3]] = (np.arange(n_rows) % 6 == 0).astype(float)
    columns[names[4]] = np.zeros(n_rows)
    columns[names[6]] = np.round(columns[names[6]])
    columns[names[7]] = np.where(np.arange(n_rows) % 8, 0.0, columns[names[7]])
    days = np.datetime64("2001-01-01") + np.arange(n_sessions)
    rows = pl.DataFrame(
        {
            "symbol": np.tile(["A", "B", "C", "D"], n_sessions),
            "session": np.repeat(days, 4),
            **columns,
            "label": draw.normal(size=n_rows) + columns[names[0]] + columns[names[3]],
        }
    )
    return strategy.with_parameters({"objective": objective}), rows


@pytest.mark.parametrize("objective", ["regression", "lambdarank"])
@pytest.mark.parametrize("order", [1, -1])
def test_features_too_thin_to_split_are_left_out_as_before(objective: str, order: int) -> None:
    strategy, rows = made_up(objective)
    bins = Bins()
    asked = sorted(itertools.product([1, 10, 31, 60, 101, 200, 301], [0.3, 0.7]))[::order]
    for least, fraction in asked:
        trial = strategy.with_parameters(
            {"min_data_in_leaf": least, "feature_fraction": fraction, "rounds": 10}
        )
        alone, shared = fit(rows, trial), fit(rows, trial, shared=bins)
        one, other = (predict_rows(model, rows, trial) for model in (shared, alone))
        assert np.array_equal(one, other), (least, fraction)


def test_rows_are_binned_once_and_again_where_a_parameter_has_a_say() -> None:
    strategy, rows = made_up("regression")
    made = []

    def make(settings: Mapping[str, Any]) -> Any:
        import lightgbm

        made.append(settings["min_data_in_leaf"])
        data = matrix(rows, strategy)
        return lightgbm.Dataset(data[:, :1], data[:, 0], params={**settings, "verbosity": -1})

    bins = Bins()
    first, _ = bins.binned(SETTINGS, make)
    assert made == [20, 40]  # once without the filter, once to see that it changes nothing
    for least in (40, 30, 1):
        assert bins.binned({**SETTINGS, "min_data_in_leaf": least}, make)[0] is first
    assert made == [20, 40]
    own, settings = bins.binned({**SETTINGS, "min_data_in_leaf": 500}, make)
    assert own is not first  # 500 of 600 rows cannot be on both sides
    assert settings == {**SETTINGS, "min_data_in_leaf": 500}
    assert bins.binned({**SETTINGS, "max_bin": 15}, make)[0] is not first


def test_what_lightgbm_refuses_is_refused_alike() -> None:
    strategy, rows = made_up("regression", n_sessions=2)
    trial = strategy.with_parameters({"bagging_fraction": 0.01})
    errors = []
    for bins in (None, Bins()):
        with pytest.raises(FitError) as error:
            fit(rows, trial, shared=bins)
        errors.append(str(error.value))
    assert errors[0] == errors[1]
